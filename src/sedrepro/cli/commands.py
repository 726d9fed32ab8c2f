"""`sedrepro`: look at results, render the report, forget a run. Training is Snakemake's."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import yaml

from .. import __version__, papers, places, settings
from ..errors import SedreproError
from ..pipeline.flow import Flow
from ..settings import Layout, Project
from ..sources import coverage, registry
from . import archive, check, export, fetch, merge, newdata, predict, reference, score, table
from .naming import HELP, run_of, runs_of

Command = Callable[[argparse.Namespace], int]
"""What a command does; it returns its exit code."""


def run(words: list[str] | None = None) -> int:
    """Carry out one command in the working folder that it is called in, or below.

    A `SedreproError` is one line and exit code 1.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a locale may lack what we print
    options = command_line().parse_args(words)
    options.started = Path.cwd()
    try:
        with contextlib.chdir(places.top() or "."):
            code = options.do(options)
        sys.stdout.flush()
        return code
    except SedreproError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except ModuleNotFoundError as missing:
        package = (missing.name or "sedrepro").partition(".")[0]
        if package == "sedrepro":
            raise
        where = "call it in the environment that `make` builds"
        print(f"error: {package} is not in this environment; {where}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read has read enough
        _close_output()
        return 0
    except OSError as error:
        _close_output()
        print(f"error: {error.filename or 'the output'}: {error.strerror}", file=sys.stderr)
        return 1


def _close_output() -> None:
    """Nothing more can be written there, so Python must not try again at its end."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _common() -> argparse.ArgumentParser:
    """What every command takes."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--configfile",
        nargs="+",
        default=[],
        type=places.typed,
        metavar="FILE",
        help="overlays, as for snakemake",
    )
    common.add_argument(
        "--config", nargs="+", default=[], metavar="KEY=VALUE", help="settings, as for snakemake"
    )
    return common


def command_line() -> argparse.ArgumentParser:
    """What parses the words of a command; docs and completion are read off it."""
    parser = argparse.ArgumentParser(prog="sedrepro", description=__doc__)
    parser.add_argument("--version", action="version", version=f"sedrepro {__version__}")
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, do: Command, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=[_common()])
        command.set_defaults(do=do)
        return command

    command = add("status", _status, "what is done, running, failed, waiting, and what is left")
    command.add_argument("what", nargs="*", type=places.typed_run, help=HELP)
    command.add_argument("--watch", action="store_true", help="look again every few seconds")
    for_programs(command)
    text = "print a paper's tables, or every paper's headline"
    table.arguments(add("table", _table, text))
    add("report", _report, "render tables, figures and page from whatever runs there are")
    text = "what will be downloaded, from where and for how long; and how long training takes"
    command = add("plan", _plan, text)
    command.add_argument(
        "--long", action="store_true", help="every file, with checksum and licence"
    )
    for_programs(command)
    text = "a few full-size steps of each headline row: what training costs on this machine"
    add("rehearse", _rehearse, text)
    text = "what data is there, and what that means for each paper"
    for_programs(add("audit", _audit, text))
    text = "before a long download: hosts, yt-dlp, GPU, disk and clock, a line each"
    add("doctor", _doctor, text).add_argument(
        "--conda", action="store_true", help="you will call snakemake with --use-conda"
    )
    text = "walk the chain of keys from data to page and say what does not hold"
    add("verify", _verify, text).add_argument(
        "archive", nargs="?", type=places.typed, help="a file of `sedrepro archive`, in its place"
    )
    text = "take finished runs of other machines into this result set"
    merge.arguments(add("merge", _merge, text))
    text = "pack tables, keys, settings, environment and checksums into one file"
    archive.arguments(add("archive", _archive, text))
    text = "compare two result sets (results/<name>) cell by cell"
    difference = add("diff", _diff, text)
    difference.add_argument("first", type=places.typed)
    difference.add_argument("second", type=places.typed)
    text = "fetch one resource by hand, as `snakemake data` does"
    fetch.arguments(add("fetch", _fetch, text))
    add("forget", _forget, "drop a run's kept state, so that it is trained anew").add_argument(
        "run",
        nargs="+",
        type=places.typed_run,
        help=f"{HELP}; external/paper/name of a system",
    )
    text = "detect events in recordings of your own with a finished run"
    predict.arguments(add("predict", _predict, text))
    text = "score somebody else's detections or scores on a set of a paper"
    score.arguments(add("score", _score, text))
    text = "write a run's scores or detections in the forms others read"
    export.arguments(add("export", _export, text))
    text = "check a tree of your own recordings, and write the settings for it"
    newdata.arguments(add("new-data", _new_data, text))
    text = "compare this machine's copy of a corpus with the organisers'"
    check.arguments(add("check", _check, text))
    add("unlock", _unlock, "remove the lock a killed driver left behind")
    text = "print what lets a shell complete these commands"
    add("completion", _completion, text).add_argument("shell", choices=reference.SHELLS)
    return parser


def for_programs(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="the same as JSON, for programs")


def as_json(found: object) -> str:
    return json.dumps(found, indent=1, ensure_ascii=False)


def _project(options: argparse.Namespace, *, lazily: bool = False) -> Project:
    """What is set; `lazily` for commands that ask for less than every selected paper."""
    overlay: dict = {}
    for path in options.configfile:
        overlay = settings.merge(overlay, settings.read_yaml(path))
    for pair in options.config:
        key, equals, value = pair.partition("=")
        if not equals:
            raise SedreproError(f"--config {pair}: expected KEY=VALUE")
        overlay = settings.merge(overlay, {key: yaml.safe_load(value)})
    models, place = papers.settings_models(), places.find()
    project = settings.load(
        overlay,
        papers=models,
        files=options.configfile,
        root=place.checkout,
        folder=place.folder,
        lazily=lazily,
    )
    coverage.check(project, models, registry.load(place.checkout))
    return project


def _status(options: argparse.Namespace) -> int:
    from . import status

    project = _project(options)
    flow = Flow(project, places.checkout())
    chosen = [run for what in options.what for run in runs_of(what, project)] or None
    if options.watch:
        return status.watch(flow, chosen)
    found = status.look(flow, chosen)
    print(as_json(found.describe()) if options.json else status.text(found))
    return 0


def _fetch(options: argparse.Namespace) -> int:
    until = fetch.moment(options.until, datetime.now()) if options.until else None
    return fetch.by_hand(options.resource, _project(options), until)


def _table(options: argparse.Namespace) -> int:
    print(table.table(options, _project(options, lazily=options.what is not None)))
    return 0


def _report(options: argparse.Namespace) -> int:
    from ..reporting import render

    project = _project(options)
    render(project, root=places.checkout())
    print(Layout.of(project).report)
    return 0


def _rehearse(options: argparse.Namespace) -> int:
    import torch

    from ..training import rehearsal
    from ..training.record import hardware

    project = _project(options)
    layout = Layout.of(project)
    there = project.device != "cpu" and torch.cuda.is_available()
    found = rehearsal.rehearse(project, papers.settings_models(), gpus=int(there))
    device = torch.device("cuda" if there else "cpu")
    rehearsal.write(found, hardware(device), layout)
    return 1 if any("problem" in one for part in found.values() for one in part) else 0


def _plan(options: argparse.Namespace) -> int:
    from ..pipeline import costs, downloads
    from ..sources import registry
    from .status import hours, standings

    project = _project(options)
    found = downloads.plan(project, papers.settings_models())
    if options.json:
        print(as_json(downloads.plan_record(found, project.data)))
        return 0
    cost = costs.text(project, papers.settings_models(), registry.load(), Layout.of(project))
    if not options.long:
        print(downloads.plan_text(found, project.data))
        print(cost)
        return 0
    print(downloads.files_text(found, project.data))
    print(cost)
    print(hours(project, standings(project, Layout.of(project))))
    return 0


def _audit(options: argparse.Namespace) -> int:
    from ..pipeline.audit import audit, audit_text

    found = audit(_project(options), papers.settings_models())
    print(as_json(asdict(found)) if options.json else audit_text(found))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import Doctor, text

    project = _project(options)
    known = registry.load(places.checkout())
    found = Doctor(project, known, options.conda, papers.settings_models()).lines()
    print(text(found))
    return 1 if any(line.state == "wrong" for line in found) else 0


def _verify(options: argparse.Namespace) -> int:
    from .verify import ChainCheck, text

    if options.archive is not None:
        return archive.verify(Path(options.archive))
    project = _project(options)
    chain = ChainCheck(project, Layout.of(project), places.checkout())
    chain.run()
    print(text(chain))
    return 1 if chain.problems else 0


def _merge(options: argparse.Namespace) -> int:
    return merge.merge(options, _project(options))


def _archive(options: argparse.Namespace) -> int:
    return archive.archive(options, _project(options))


def _diff(options: argparse.Namespace) -> int:
    from .difference import compare, text

    found = compare(options.first, options.second)
    print(text(found))
    return 1 if found.differences else 0


def _forget(options: argparse.Namespace) -> int:
    from ..reporting.externals import drop, folders
    from ..training.run import forget

    project = _project(options, lazily=True)
    layout = Layout.of(project)
    for name in options.run:
        for folder in (scored := folders(name, layout)) or []:
            drop(folder)
            print(f"forgot {folder}")
        if scored is not None:
            continue
        found = runs_of(name, project)
        there = [run for run in found if Path(layout.run(run)).is_dir()]
        for run in there or found[:1]:
            forget(layout.run(run))
            print(f"forgot {layout.run(run)}")
    return 0


def _predict(options: argparse.Namespace) -> int:
    from ..sources import weights

    def find(resource: str) -> Path:
        project = _project(options, lazily=True)
        if why := weights.lacking(resource, project):
            raise SedreproError(f"{options.run}: builds on {why}")
        return weights.path(resource, project)

    if not Path(options.run).exists():  # neither a folder nor an exported file
        project = _project(options, lazily=True)
        options.run = Path(Layout.of(project).run(run_of(str(options.run), project)))
    return predict.predict(options, find)


def _score(options: argparse.Namespace) -> int:
    return score.score(options, _project(options))


def _export(options: argparse.Namespace) -> int:
    return export.export(options, _project(options))


def _new_data(options: argparse.Namespace) -> int:
    return newdata.new_data(options)


def _check(options: argparse.Namespace) -> int:
    return check.check(options, _project(options, lazily=True))


def _unlock(options: argparse.Namespace) -> int:
    from ..pipeline.driver import unlock

    print("unlocked" if unlock(places.find().folder) else "there was no lock")
    return 0


def _completion(options: argparse.Namespace) -> int:
    project = _project(options, lazily=True)
    rows = [f"{paper}/{row}" for paper, spec in project.papers.items() for row in spec.table]
    print(reference.completion(command_line(), options.shell, [*project.papers, *rows]), end="")
    return 0
