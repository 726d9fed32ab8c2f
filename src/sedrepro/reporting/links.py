"""Whether what lies in a run folder is what the settings ask for: the chain of keys, run by run.

Only small files are read here, so that every table can ask; `sedrepro verify` reads everything.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import chain
from ..files import digest, file_digest, read_json
from ..settings import Layout, Plan, Project, Run, Subset
from ..settings.runs import IDENTITY, MADE_WITH

AGAIN = "start the workflow again"
MEASURED_PARTS = ("status", "reason", "metrics", "curves")
"""What `content` of metrics.json is the digest of."""


@dataclass(frozen=True)
class Asked:
    """What the settings ask of a run."""

    plan: Plan
    project: Project

    @cached_property
    def training(self) -> dict[str, Any]:
        """What its run.json must say it was made with."""
        described = self.plan.describe_training()
        run = {name: described[name] for name in IDENTITY}
        return {"run": run, **{name: described[name] for name in MADE_WITH}}


def broken(
    asked: Asked, described: Mapping[str, Any], measured: Mapping[str, Any], layout: Layout
) -> str:
    """The first link that does not hold, in a line; empty if all do.

    `described` is run.json, empty for a row that re-evaluates; `measured` is metrics.json or empty.
    """
    source = asked.plan.scored
    if source == asked.plan.run:
        problem = _run(asked, described, layout) if described else ""
        origin = described
    else:
        origin = _of_source(source, layout)
        problem = "" if origin or not measured else f"{source}, which it decodes, is not there"
    if problem or not measured:
        return problem
    return _metrics(asked, origin, measured, layout)


def _run(asked: Asked, described: Mapping[str, Any], layout: Layout) -> str:
    """What is wrong with a run as it lies there."""
    if why := chain.other_schema("run", described):
        return f"run.json: {why}; {AGAIN}"
    here = json.loads(json.dumps(asked.training))
    there = {name: described.get(name) for name in here}
    if key := first_difference(there, here):
        return f"the run was made with another {key}; {AGAIN}"
    parents = described["parents"]
    if changed := _changed_data(parents, layout):
        return f"the run was made of another {changed}; {AGAIN}"
    source = asked.plan.source
    if source is not None and parents["source"] is not None:
        origin = _of_source(source, layout)
        if not origin:
            return f"{source}, which it starts from, is not there; {AGAIN}"
        checkpoint = origin.get("content", {}).get("checkpoint.pt")
        if parents["source"] != {"key": origin.get("key"), "checkpoint": checkpoint}:
            return f"{source}, which it starts from, is another now; {AGAIN}"
    return ""


def _metrics(
    asked: Asked, origin: Mapping[str, Any], measured: Mapping[str, Any], layout: Layout
) -> str:
    """What is wrong with a run's numbers."""
    if why := chain.other_schema("metrics", measured):
        return f"metrics.json: {why}; {AGAIN}"
    if digest({name: measured.get(name) for name in MEASURED_PARTS}) != measured.get("content"):
        return f"metrics.json was changed after it was written; delete it and {AGAIN}"
    if not origin:
        return f"its numbers are there, the run they were measured on is not; {AGAIN}"
    scores = origin.get("content", {}).get("scores.h5")
    if measured["parents"]["run"] != {"key": origin.get("key"), "scores": scores}:
        return f"metrics.json is of another run than the one that lies there; {AGAIN}"
    told = json.loads(json.dumps(asked.plan.describe_measuring(asked.project.report)))
    if key := first_difference(measured["settings"], told):
        return f"evaluated with another {key}; {AGAIN}"
    if _there(asked.plan, layout):
        truth = layout.digests(asked.plan.truths)
        if measured["parents"]["truth"] == truth:
            return ""
        return f"evaluated against other clip tables than those that lie there; {AGAIN}"
    return ""


def _of_source(source: Run, layout: Layout) -> dict[str, Any]:
    """run.json of the run a row starts from or decodes; empty if there is none."""
    try:
        found = read_json(layout.run(source, "run.json"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _there(plan: Plan, layout: Layout) -> bool:
    """Whether the truth lies on this machine; results that were copied alone still count."""
    return all(Path(layout.table(subset, "events")).exists() for subset in plan.truths)


def _changed_data(parents: Mapping[str, Any], layout: Layout) -> str:
    """The first store or table that is no longer the one a run was made of.

    What is gone cannot be compared: stores may be deleted to make room.
    """
    for name, content in parents["events"].items():
        corpus, _, subset = name.partition("/")
        path = Path(layout.table(Subset(corpus, subset), "events"))
        if path.exists() and file_digest(path) != content:
            return f"{path}"
    for name, content in parents["stores"].items():
        path = Path(layout.data) / "features" / f"{name}.h5"
        if path.exists() and _content_key(path) != content:
            return f"{path}"
    return ""


def _content_key(path: Path) -> str:
    """The content key of a store; many runs ask for the same one."""
    there = path.stat()
    return _key_of_store(path, (there.st_ino, there.st_mtime_ns, there.st_size))


@functools.lru_cache(256)
def _key_of_store(path: Path, stamp: tuple[int, int, int]) -> str:
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            return str(file.attrs["content_key"])
    except (OSError, KeyError):
        return ""


def first_difference(there: Any, here: Any, name: str = "") -> str:
    """The first setting in which two nested descriptions differ, with both values."""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(here.keys() | there.keys()):
            inner = f"{name}.{key}" if name else str(key)
            found = first_difference(there.get(key), here.get(key), inner)
            if found:
                return found
        return ""
    if there == here:
        return ""
    return f"{name} ({_short(there)}; now {_short(here)})"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
