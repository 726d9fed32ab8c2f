"""Whether README and docs read easily: the rules of pyproject.toml and of proselint.

`make docs` runs it in the environment of the site. It prints each fault and exits with 1.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GENERATED = {"docs/parameters.md", "docs/commands.md", "docs/formats.md"}


def pages() -> list[Path]:
    """What people read, as far as people wrote it."""
    found = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "config/README.md"]
    found += sorted((ROOT / "docs").glob("*.md"))
    return [path for path in found if path.relative_to(ROOT).as_posix() not in GENERATED]


def passages(markdown: str) -> Iterator[str]:
    """Paragraphs, items and cells of tables as plain text; no code, no headings, no addresses."""
    text = re.sub(r"^( *)```.*?^\1```", "", markdown, flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"(?<=\n\n)(?: {4,}.*\n|\n)+", "\n", text)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^(#.*|[|:\s-]+)$", "", text, flags=re.MULTILINE)
    text = re.sub(r"`[^`]*`", "code", text)
    for block in re.split(r"\n\s*\n|\n(?=\s*(?:[-*]|\d+\.) )|\n(?=\|)", text):
        parts = block.split(" | ") if block.startswith("|") else [block]
        for part in parts:
            plain = " ".join(re.sub(r"[*_>|]|^\s*(?:[-*]|\d+\.) ", "", part).split())
            if plain:
                yield plain


def sentences(passage: str) -> list[str]:
    """Its sentences; a colon or a semicolon may end one, as a full stop does."""
    return [part for part in re.split(r"(?<=[.!?])\s+(?=\S)", passage) if part]


def faults(path: Path, rules: dict) -> Iterator[str]:
    """What breaks a rule on one page."""
    import textstat

    name = path.relative_to(ROOT).as_posix()
    found = list(passages(path.read_text(encoding="utf-8")))
    for passage in found:
        for sentence in sentences(passage):
            words = textstat.lexicon_count(sentence)
            if words > rules["longest_sentence"]:
                yield f"{name}: {words} words in one sentence: {sentence}"
        for phrase in rules["phrases"]:
            if re.search(rf"\b{phrase}\b", passage, flags=re.IGNORECASE):
                yield f"{name}: say “{phrase}” more plainly: {passage}"
    prose = " ".join(p if p[-1] in ".!?" else f"{p}." for p in found if len(p.split()) > 4)
    ease = textstat.flesch_reading_ease(prose)
    if ease < rules["reading_ease"]:
        yield f"{name}: reading ease {ease:.0f}, below {rules['reading_ease']}"


def main() -> int:
    rules = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    rules = rules["tool"]["readability"]
    wrong = [fault for path in pages() for fault in faults(path, rules)]
    linter = Path(sys.executable).with_name("proselint")
    words = [str(linter), "check", "--config", str(ROOT / "tools" / "proselint.json")]
    done = subprocess.run([*words, *map(str, pages())], capture_output=True, text=True, check=False)
    wrong += done.stdout.splitlines() + (done.stderr.splitlines() if done.returncode > 1 else [])
    print("\n".join(wrong) or f"{len(pages())} pages read well")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
