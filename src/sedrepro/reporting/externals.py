"""Systems that `sedrepro score` measured: rows of a result set beside its own."""

from __future__ import annotations

import shutil
from itertools import pairwise
from pathlib import Path

from .. import chain
from ..errors import SedreproError
from ..files import read_json
from ..settings import Layout, Run
from .links import measured_content
from .records import DONE, UNFINISHED, Record

MODEL = "external"
"""What the model of such a system is called in metrics.json."""


def externals(layout: Layout, paper: str) -> dict[str, list[Record]]:
    """The systems that were scored on a paper's sets, by the names they were given."""
    found: dict[str, list[Record]] = {}
    for path in sorted(Path(layout.results, "runs", "external", paper).glob("*/*/metrics.json")):
        name = path.parents[1].name
        run = Run(paper, row_of(name), path.parent.name, 0)
        found.setdefault(name, []).append(_record(path.parent, run))
    return found


def scored(layout: Layout, paper: str) -> list[Record]:
    """All of them, whichever set they are on."""
    return [record for found in externals(layout, paper).values() for record in found]


def is_external(record: Record) -> bool:
    """Whether it is such a system; the condition of its run is then the set it was scored on."""
    return record.run.row.startswith(f"{MODEL}/")


def row_of(name: str) -> str:
    """What the tables call the row of a system."""
    return f"{MODEL}/{name}"


def folders(text: str, layout: Layout) -> list[Path] | None:
    """The folders of a system that is named as one: of all its sets, or of one.

    `external/<paper>/<name>[/<set>]`, or the folder itself; None for the name of a run.
    """
    parts = ("runs", *Path(text).parts)
    starts = [at for at, pair in enumerate(pairwise(parts), 2) if pair == ("runs", MODEL)]
    if not starts:
        return None
    below = parts[starts[-1] :]
    if len(below) not in (2, 3):
        raise SedreproError(f"{text}: a system is {MODEL}/<paper>/<name>, or one set of it below")
    top = Path(layout.results, "runs", MODEL, *below)
    found = [top] if len(below) == 3 else sorted(path for path in top.glob("*") if path.is_dir())
    if not found or not found[0].is_dir():
        raise SedreproError(f"{top}: no such system was scored")
    return found


def drop(folder: Path) -> None:
    """Forget what a system scored on a set."""
    shutil.rmtree(folder)
    for above in list(folder.parents)[:3]:  # name, paper and all of them, once they are empty
        if not any(above.iterdir()):
            above.rmdir()


def _record(folder: Path, run: Run) -> Record:
    """What lies in the folder of one system on one set, if its keys hold."""
    try:
        described = read_json(folder / "run.json")
        measured = read_json(folder / "metrics.json")
        reason = _broken(described, measured)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Record(run, folder, UNFINISHED, f"{folder}: not whole; score it again")
    if reason:
        return Record(run, folder, UNFINISHED, f"{folder}: {reason}; score it again", described)
    metrics, curves, key = measured["metrics"], measured["curves"], measured["key"]
    return Record(run, folder, DONE, "", described, metrics, curves, key)


def _broken(described: dict, measured: dict) -> str:
    for kind, artefact in (("run", described), ("metrics", measured)):
        if why := chain.other_schema(kind, artefact):
            return why
    if measured_content(measured) != measured["content"]:
        return "metrics.json was changed after it was written"
    if measured["parents"]["run"]["key"] != described["key"]:
        return "metrics.json is of other files than run.json"
    return ""
