"""Systems that `sedrepro score` measured: rows of a result set beside its own."""

from __future__ import annotations

from pathlib import Path

from .. import chain
from ..files import digest, read_json
from ..settings import Layout, Run
from .links import MEASURED_PARTS
from .records import DONE, UNFINISHED, Record

MODEL = "external"
"""What the model of such a system is called in metrics.json."""


def externals(layout: Layout, paper: str) -> dict[str, list[Record]]:
    """The systems that were scored on a paper's sets, by the names they were given."""
    found: dict[str, list[Record]] = {}
    for path in sorted(Path(layout.results, "runs", "external", paper).glob("*/*/metrics.json")):
        name = path.parents[1].name
        found.setdefault(name, []).append(_record(path.parent, Run(paper, _row(name), "", 0)))
    return found


def _row(name: str) -> str:
    return f"{MODEL}/{name}"


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
    if digest({name: measured.get(name) for name in MEASURED_PARTS}) != measured["content"]:
        return "metrics.json was changed after it was written"
    if measured["parents"]["run"]["key"] != described["key"]:
        return "metrics.json is of other files than run.json"
    return ""
