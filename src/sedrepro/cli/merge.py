"""`sedrepro merge`: take finished runs of other machines into this result set."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from .. import papers, settings
from ..errors import SedreproError
from ..files import file_digest, read_json, write_json
from ..places import typed
from ..reporting import links
from ..settings import Layout, Project, Run
from ..training.state import MEASURED, OUTPUTS

MERGED = "merged.json"
"""In a run's `.state/`: the result set that it was taken from."""
LOGS = ("train", "evaluate")
RECORDS = ("run.json", "metrics.json")
"""What says that a run is there; a row that decodes another's scores has only the second."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "others", nargs="+", type=typed, metavar="OTHER", help="a result set, results/<name>"
    )
    parser.add_argument(
        "--machine", metavar="NAME", help="what the page calls their machine; by default the folder"
    )


def merge(options: argparse.Namespace, project: Project) -> int:
    """Take what fits these settings, name and refuse the rest; 1 if anything was refused."""
    layout, refused, taken, known = Layout.of(project), [], 0, 0
    for other in map(Path, options.others):
        theirs = Layout(layout.data, str(other))
        # A row that starts from another's run comes after it.
        runs = sorted(runs_in(other), key=lambda run: _is_based(run, project))
        if not runs:
            raise SedreproError(f"{other}: has no runs; give a result set, results/<name>")
        for run in runs:
            if _same(run, layout, theirs):
                known += 1
            elif why := refusal(run, project, layout, theirs):
                refused.append(f"{other}: {run}: {why}")
            else:
                _take(run, layout, theirs, options.machine or str(other))
                taken += 1
    for line in refused:
        print(f"refused: {line}")
    print(f"{taken} runs taken, {known} were here already, {len(refused)} refused")
    if taken:
        print("`sedrepro report` prints them")
    return 1 if refused else 0


def runs_in(results: Path) -> Iterator[Run]:
    """Every run of a result set that left a record or numbers."""
    for folder in sorted((results / "runs").glob("*/*/*/seed*")):
        if any((folder / name).exists() for name in RECORDS):
            yield Run.parse(str(folder.relative_to(results / "runs")))


def _is_based(run: Run, project: Project) -> bool:
    spec = project.papers.get(run.paper)
    return spec is not None and run.row in spec.table and spec.table[run.row].source is not None


def _same(run: Run, layout: Layout, theirs: Layout) -> bool:
    """Whether the same run lies here already, by its keys."""
    here = [_key(Path(layout.run(run, name))) for name in RECORDS]
    return any(here) and here == [_key(Path(theirs.run(run, name))) for name in RECORDS]


def _key(path: Path) -> str:
    try:
        return str(read_json(path)["key"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def refusal(run: Run, project: Project, layout: Layout, theirs: Layout) -> str:
    """Why another machine's run is not one of this result set; empty if it is."""
    if any(Path(layout.run(run, name)).exists() for name in RECORDS):
        return "there is another run of this name here; `sedrepro forget` it first, or leave it"
    try:
        plan = settings.plan(project, run, papers.settings_models()[run.paper])
        described, numbers = (_read(Path(theirs.run(run, name))) for name in RECORDS)
        for name, content in described.get("content", {}).items():
            if file_digest(theirs.run(run, name)) != content:
                return f"{name} was changed after it was written"
        if plan.source is not None and not Path(layout.run(plan.source, "run.json")).exists():
            return f"{plan.source}, which it starts from, is not here"
        # Sources of a run are looked for here: they were taken before it.
        if why := links.broken(links.Asked(plan, project), described, numbers, layout):
            return why.removesuffix(f"; {links.AGAIN}")
        return _other_data(described, layout)
    except KeyError:
        return "it is of another version or project"
    except (OSError, ValueError) as error:
        return f"cannot be read ({' '.join(str(error).split())})"
    except SedreproError as error:
        return str(error)


def _read(path: Path) -> dict:
    return read_json(path) if path.exists() else {}


def _other_data(described: dict, layout: Layout) -> str:
    """Whether a run here read the same store, or was measured on the same set, of other content."""
    read = described["parents"] if described else {}
    for own in runs_in(Path(layout.results)):
        known = _read(Path(layout.run(own, "run.json"))).get("parents", {})
        for kind in ("stores", "events"):
            for name, content in read.get(kind, {}).items():
                if known.get(kind, {}).get(name, content) != content:
                    return f"it read other data: {name} is not that of {own}"
    return ""


def _take(run: Run, layout: Layout, theirs: Layout, origin: str) -> None:
    """Copy a run and what it keeps; hard links stay hard links."""
    target = Path(layout.run(run))
    draft = target.with_name(f".{target.name}.merging")
    shutil.rmtree(draft, ignore_errors=True)
    shutil.rmtree(target, ignore_errors=True)
    copied: dict[tuple[int, int], str] = {}

    def copy(source: str, to: str) -> None:
        status = os.stat(source)
        first = copied.setdefault((status.st_dev, status.st_ino), to)
        if first == to:
            shutil.copyfile(source, to)
        else:
            os.link(first, to)

    shutil.copytree(theirs.run(run), draft, copy_function=copy)
    write_json(draft / ".state" / MERGED, {"from": origin})
    os.replace(draft, target)
    for name in (*OUTPUTS, *MEASURED):  # newer than what they were made of: Snakemake asks dates
        with contextlib.suppress(FileNotFoundError):
            os.utime(target / name)
    for stage in LOGS:
        log = Path(theirs.log(stage, run))
        if log.exists():
            Path(layout.log(stage, run)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(log, layout.log(stage, run))
