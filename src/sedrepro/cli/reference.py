"""docs/commands.md and shell completion: both are read off the command line's own parser."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

HEAD = """\
# Commands

Written from the command line's own parser by `make config-docs`. Every command takes
`--configfile FILE …` and `--config KEY=VALUE …`, as snakemake does. Every command works from any
folder inside the checkout or a working folder. RUN is a paper, a row or a run: `lgc_sed`,
`lgc_sed/lgc`, a folder, or its full name.

Your shell can complete these words. Put `source <(sedrepro completion bash)` into `~/.bashrc`, or
the same with `zsh` into `~/.zshrc`.
"""
COMMON = {"--help", "--configfile", "--config"}
SHELLS = ("bash", "zsh")
RUNS = ("status", "table", "forget", "predict", "score", "export")
"""Commands that take papers, rows or runs."""

BASH = """\
_sedrepro() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    local command="" words="" runs="{runs}" i
    for ((i = 1; i < COMP_CWORD; i++)); do
        [[ ${{COMP_WORDS[i]}} == -* ]] || {{ command=${{COMP_WORDS[i]}}; break; }}
    done
    case "$command $before" in
{choices}
        *) case "$command" in
            "") words="{commands}" ;;
{options}
        esac ;;
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o bashdefault -o default -F _sedrepro sedrepro
"""
ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parser of each command, by its name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def page(parser: argparse.ArgumentParser) -> str:
    """docs/commands.md: what each command does and takes."""
    parts = [HEAD]
    for name, command in sorted(commands(parser).items()):
        parts.append(f"## sedrepro {name}\n")
        parts.append(f"{_sentence(command.description or '')}\n")
        actions = [a for a in command._actions if not COMMON & set(a.option_strings)]
        if actions:
            lines = [f"| {_name(action)} | {_meaning(action)} |" for action in actions]
            parts.append("\n".join(["| word | meaning |", "|---|---|", *lines]) + "\n")
    return "\n".join(parts)


def completion(parser: argparse.ArgumentParser, shell: str, names: Iterable[str]) -> str:
    """What a shell reads to complete commands, options, their choices, and `names` of runs."""
    choices, options = [], []
    for name, command in sorted(commands(parser).items()):
        offered = [word for action in command._actions for word in action.option_strings]
        offered += [
            str(word) for a in command._actions if not a.option_strings for word in a.choices or ()
        ]
        offered += ["$runs"] if name in RUNS else []
        options.append(f'            {name}) words="{" ".join(offered)}" ;;')
        for action in command._actions:
            if action.option_strings and action.choices:
                given = " ".join(map(str, action.choices))
                pattern = "|".join(f'"{name} {word}"' for word in action.option_strings)
                choices.append(f'        {pattern}) words="{given}" ;;')
    script = BASH.format(
        runs=" ".join(names),
        commands=" ".join(sorted(commands(parser))),
        choices="\n".join(choices),
        options="\n".join(options),
    )
    return ZSH + script if shell == "zsh" else script


def _name(action: argparse.Action) -> str:
    """How an option or a word is typed."""
    value = action.metavar or (action.dest.upper() if action.nargs != 0 else "")
    if isinstance(value, tuple):
        value = " ".join(value)
    if action.choices and not action.metavar:
        value = "|".join(map(str, action.choices))
    more = " …" if action.nargs in ("+", "*") else ""
    typed = " ".join(filter(None, ["`, `".join(action.option_strings), f"{value}{more}"]))
    return f"`{typed}`".replace("|", "\\|")


def _meaning(action: argparse.Action) -> str:
    text = (action.help or "").replace("|", "\\|").replace("<", "&lt;")
    shown = action.default not in (None, False, [], argparse.SUPPRESS) and action.nargs != 0
    if "%(default)s" in text:
        return text.replace("%(default)s", str(action.default))
    return f"{text} (default: `{action.default}`)" if shown else text


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}.".replace("<", "&lt;")
