"""`sedrepro`: look at results, render the report, forget a run. Training is Snakemake's."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import yaml

from .. import __version__, papers, places, settings
from ..errors import SedreproError
from ..settings import Layout, Project, Run
from ..sources import coverage, registry
from . import check, export, fetch, predict, score

Command = Callable[[argparse.Namespace], int]
"""What a command does; it returns its exit code."""


def run(words: list[str] | None = None) -> int:
    """Carry out one command in the working folder that it is called in, or below.

    A `SedreproError` is one line and exit code 1.
    """
    options = _parser().parse_args(words)
    options.started = Path.cwd()
    try:
        with contextlib.chdir(places.top() or "."):
            return options.do(options)
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
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        print("stopped; what was done is kept", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sedrepro", description=__doc__)
    parser.add_argument("--version", action="version", version=f"sedrepro {__version__}")
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
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(name: str, do: Command, text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=[common])
        command.set_defaults(do=do)
        return command

    add("status", _status, "what is done, running, failed, waiting, and how long the rest takes")
    add("table", _table, "print a paper's tables, or every paper's headline").add_argument(
        "paper", nargs="?"
    )
    add("report", _report, "render tables, figures and page from whatever runs there are")
    add(
        "plan",
        _plan,
        "what will be downloaded, whence and how long it takes; and how long training takes",
    ).add_argument("--long", action="store_true", help="every file, with checksum and licence")
    add("audit", _audit, "what data is there, and what that means for each paper")
    text = "before a long download: hosts, yt-dlp, GPU, disk and clock, a line each"
    add("doctor", _doctor, text).add_argument(
        "--conda", action="store_true", help="you will call snakemake with --use-conda"
    )
    add("verify", _verify, "walk the chain of keys from data to page and say what does not hold")
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
        help="paper/row/condition/seed<s>, external/paper/name of a system, or its folder",
    )
    text = "detect events in recordings of your own with a finished run"
    predict.arguments(add("predict", _predict, text))
    text = "score somebody else's detections or scores on a set of a paper"
    score.arguments(add("score", _score, text))
    text = "write a run's scores or detections in the forms others read"
    export.arguments(add("export", _export, text))
    text = "compare this machine's copy of a corpus with the organisers'"
    check.arguments(add("check", _check, text))
    add("unlock", _unlock, "remove the lock a killed driver left behind")
    return parser


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
    models, place = papers.settings_of(), places.find()
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
    from ..sources.progress import arriving
    from .status import failures, standings, text

    project = _project(options)
    layout = Layout.of(project)
    print(text(standings(project, layout), [*arriving(project), *failures(layout)]))
    return 0


def _fetch(options: argparse.Namespace) -> int:
    until = fetch.moment(options.until, datetime.now()) if options.until else None
    return fetch.by_hand(options.resource, _project(options), until)


def _table(options: argparse.Namespace) -> int:
    project = _project(options, lazily=options.paper is not None)
    if options.paper is None:
        from .headline import headline

        print(headline(project, Layout.of(project)))
        return 0
    path = Path(Layout.of(project).paper_table(options.paper, "md"))
    if options.paper not in project.papers:
        raise SedreproError(
            f"{options.paper}: no such paper; papers are {', '.join(project.papers)}"
        )
    if not path.exists():
        raise SedreproError(f"{path}: not made yet; `snakemake {options.paper}` makes it")
    print(path.read_text(encoding="utf-8"))
    return 0


def _report(options: argparse.Namespace) -> int:
    from ..reporting import render

    project = _project(options)
    render(project, root=places.checkout())
    print(Layout.of(project).report)
    return 0


def _plan(options: argparse.Namespace) -> int:
    from ..pipeline import inventory
    from .status import hours, standings

    project = _project(options)
    found = inventory.plan(project, papers.settings_of())
    if not options.long:
        print(inventory.plan_text(found, project.data))
        return 0
    print(inventory.files_text(found))
    print(hours(project, standings(project, Layout.of(project))))
    return 0


def _audit(options: argparse.Namespace) -> int:
    from ..pipeline import inventory

    print(inventory.audit_text(inventory.audit(_project(options), papers.settings_of())))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import Doctor, text

    project = _project(options)
    known, models = registry.load(places.checkout()), papers.settings_of()
    found = Doctor(project, known, options.conda, models).lines()
    print(text(found))
    return 1 if any(line.state == "wrong" for line in found) else 0


def _verify(options: argparse.Namespace) -> int:
    from .verify import Walk, text

    project = _project(options)
    walk = Walk(project, Layout.of(project), places.checkout())
    walk.run()
    print(text(walk))
    return 1 if walk.problems else 0


def _diff(options: argparse.Namespace) -> int:
    from .difference import compare, text

    found = compare(options.first, options.second)
    print(text(found))
    return 1 if found.differences else 0


def _forget(options: argparse.Namespace) -> int:
    from ..reporting.externals import drop, folders
    from ..training.run import forget

    layout = Layout.of(_project(options, lazily=True))
    for name in options.run:
        for folder in (scored := folders(name, layout)) or []:
            drop(folder)
            print(f"forgot {folder}")
        if scored is not None:
            continue
        run_folder = layout.run(Run.parse(name))
        forget(run_folder)
        print(f"forgot {run_folder}")
    return 0


def _predict(options: argparse.Namespace) -> int:
    from ..sources import weights

    def find(resource: str) -> Path:
        project = _project(options, lazily=True)
        if why := weights.lacking(resource, project):
            raise SedreproError(f"{options.run}: builds on {why}")
        return weights.path(resource, project)

    return predict.predict(options, find)


def _score(options: argparse.Namespace) -> int:
    return score.score(options, _project(options))


def _export(options: argparse.Namespace) -> int:
    return export.export(options, _project(options))


def _check(options: argparse.Namespace) -> int:
    return check.check(options, _project(options, lazily=True))


def _unlock(options: argparse.Namespace) -> int:
    from ..pipeline.driver import unlock

    print("unlocked" if unlock(places.find().folder) else "there was no lock")
    return 0
