"""Whether what lies in a run folder is what the settings ask for: the chain of keys, run by run.

Only small files are read here, so that every table can ask; `sedrepro verify` reads everything.
"""

from __future__ import annotations

import functools
import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .. import chain
from ..clips import Clip, portions, read_clips
from ..errors import SedreproError
from ..files import digest, file_digest, read_json, tree_stamp
from ..papers import settings_models
from ..settings import Layout, Plan, Project, Run, Subset, plan
from ..settings.given import without_folders
from ..settings.runs import IDENTITY, MADE_WITH, TABLES
from ..settings.tasks import tables_of

AGAIN = "start the workflow again"
REMEASURE = f"{AGAIN}; if it finds nothing to do, delete metrics.json first"
"""Snakemake goes by dates and by what it noted; copies may have lost both."""
MEASURED_PARTS = ("status", "reason", "metrics", "curves", "tuned")
"""What `content` of metrics.json is the digest of, as far as it is there."""


def measured_content(measured: Mapping[str, Any]) -> str:
    """The digest of what metrics.json says was measured."""
    return digest({name: measured[name] for name in MEASURED_PARTS if name in measured})


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
        problem = _source(asked, source, origin, layout) if origin else ""
        if not origin and measured:
            problem = f"{source}, which it decodes, is not there"
    if problem or not measured:
        return problem
    return _metrics(asked, origin, measured, layout)


def _run(asked: Asked, described: Mapping[str, Any], layout: Layout) -> str:
    """What is wrong with a run as it lies there."""
    if why := chain.other_schema("run", described):
        return f"run.json: {why}; {_anew(asked.plan.run)}"
    here = json.loads(json.dumps(asked.training))
    there = {name: described.get(name) for name in here}
    if key := first_difference(there, here):
        return f"the run was made with another {key}; {_anew(asked.plan.run)}"
    if other := _other_data(asked, [subset for subset, _ in asked.plan.inputs()], layout):
        return other
    parents = described["parents"]
    if changed := _changed_data(parents, layout, asked.plan.run):
        return changed
    if other := _other_portions(asked, parents, layout):
        return other
    source = asked.plan.source
    if source is not None and parents["source"] is not None:
        origin = _of_source(source, layout)
        if not origin:
            return f"{source}, which it starts from, is not there; {AGAIN}"
        checkpoint = origin.get("content", {}).get("checkpoint.pt")
        if problem := _source(asked, source, origin, layout):
            return problem
        if parents["source"] != {"key": origin.get("key"), "checkpoint": checkpoint}:
            return f"{source}, which it starts from, is another now; {_anew(asked.plan.run)}"
    return ""


def _source(asked: Asked, source: Run, origin: Mapping[str, Any], layout: Layout) -> str:
    """What is wrong with the run a row starts from or decodes."""
    meant = plan(asked.project, source, settings_models()[source.paper])
    problem = _run(Asked(meant, asked.project), origin, layout)
    return f"{source}: {problem}" if problem else ""


def _metrics(
    asked: Asked, origin: Mapping[str, Any], measured: Mapping[str, Any], layout: Layout
) -> str:
    """What is wrong with a run's numbers."""
    if why := chain.other_schema("metrics", measured):
        return f"metrics.json: {why}; {REMEASURE}"
    if measured_content(measured) != measured.get("content"):
        return f"metrics.json was changed after it was written; {REMEASURE}"
    if not origin:
        return f"its numbers are there, the run they were measured on is not; {AGAIN}"
    scores = origin.get("content", {}).get("scores.h5")
    if measured["parents"]["run"] != {"key": origin.get("key"), "scores": scores}:
        return f"metrics.json is of another run than the one that lies there; {REMEASURE}"
    told = json.loads(json.dumps(asked.plan.describe_measuring(asked.project.report)))
    if key := first_difference(measured["settings"], told):
        return f"evaluated with another {key}; {REMEASURE}"
    if other := _other_data(asked, asked.plan.truths, layout):
        return other
    truth = layout.digests(asked.plan.truths) if _there(asked.plan, layout) else None
    if truth is not None and measured["parents"]["truth"] != truth:
        return f"evaluated against other clip tables than those that lie there; {REMEASURE}"
    resamples = layout.run(asked.plan.run, "resamples.npz")
    if "resamples" in measured and _digest(resamples, _stamped(resamples)) != measured["resamples"]:
        return f"resamples.npz is not what was written with metrics.json; {REMEASURE}"
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
    files = [path for subset in plan.truths for path in layout.truths(subset).values()]
    return all(Path(path).exists() for path in files)


def _anew(run: Run) -> str:
    """What makes a run again, also where Snakemake has lost what it knew."""
    return f"{AGAIN}; if it finds nothing to do, `sedrepro forget {run}` first"


def _other_data(asked: Asked, subsets: Iterable[Subset], layout: Layout) -> str:
    """The first subset whose data were made with other settings than those asked for.

    A run can be whole, and of just the data that lie there, while the settings ask for others.
    """
    for corpus, name in dict.fromkeys((subset.corpus, subset.name) for subset in subsets):
        key = layout.tables_key(Subset(corpus, name))
        made_with = _seal_now(key).settings
        if made_with is None:
            continue
        here = without_folders(tables_of(asked.project, Subset(corpus, name)))
        if other := first_difference(made_with, here):
            return f"{corpus} {name} was made with another {other}; {AGAIN}"
    return ""


def _other_portions(asked: Asked, parents: Mapping[str, Any], layout: Layout) -> str:
    """Whether a set that is only a part of its subset was cut otherwise when the run was made."""
    if not parents["stores"]:
        return ""
    try:
        now = digest(portions(asked.plan, layout, _clips))
    except (OSError, SedreproError):
        return ""  # what is gone cannot be compared; what is damaged its seal names
    if now == parents["portions"]:
        return ""
    return f"the run's sets were cut otherwise then; {_anew(asked.plan.run)}"


def _changed_data(parents: Mapping[str, Any], layout: Layout, run: Run) -> str:
    """The first store or table that is no longer the one a run was made of.

    What is gone cannot be compared: stores may be deleted to make room.
    """
    for name, content in parents["events"].items():
        subset = Subset(*name.split("/", 1))
        key, path = layout.tables_key(subset), layout.table(subset, "events")
        if broken := _sealed(key):
            return broken
        if os.path.exists(path) and _table_digest(key, path) != content:
            return f"the run was made of another {path}; {_anew(run)}"
    for name, content in parents["stores"].items():
        path = f"{layout.data}/features/{name}.h5"
        if os.path.exists(path) and (found := _content_key(path)) != content:
            if not found:
                return f"{path}: not a whole feature store; delete it and {AGAIN}"
            return f"the run was made of another {path}; {_anew(run)}"
    return ""


def _sealed(path: str) -> str:
    """What is wrong with the clip tables of a key, or with the user's own tree they describe."""
    seal = _seal_now(path)
    for tree, stamp in seal.trees.items():
        if os.path.isdir(tree) and _stamp(tree, int(time.monotonic() / AGE)) != stamp:
            return f"{tree}: has changed since the run's data were read; {AGAIN}"
    return seal.problem


def _table_digest(key: str, path: str) -> str:
    """The content of a clip table: by its key, which was compared with it, or else by itself."""
    return _seal_now(key).files.get(os.path.basename(path)) or file_digest(path)


@dataclass(frozen=True)
class _Seal:
    """The key of some clip tables, compared with them."""

    problem: str = ""
    trees: Mapping[str, str] = field(default_factory=dict)
    """The user's own trees they describe, and their stamps."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The content of the tables."""
    settings: Mapping[str, Any] | None = None
    """What they were made with; None where nobody knows."""


def _seal_now(path: str) -> _Seal:
    folder = os.path.dirname(path)
    return _seal(path, tuple(_stamped(f"{folder}/{name}") for name in _SEALED))


_SEALED = ("key.json", *(f"{name}.tsv" for name in TABLES))


@functools.lru_cache(256)
def _seal(path: str, stamps: tuple[Any, ...]) -> _Seal:
    """The key of some clip tables; many runs ask."""
    if stamps[0] is None:
        return _Seal()
    try:
        described = chain.read_seal(path, "tables")
    except SedreproError as error:
        return _Seal(str(error))
    changed = chain.changed_files(path, described)
    problem = next((one for one in changed if not one.endswith(chain.GONE)), "")
    if problem:
        problem = f"{problem}; delete it and {AGAIN}"
    trees, made_with = described.get("trees", {}), described.get("settings")
    return _Seal(problem, trees, described["files"], made_with)


def _stamped(path: str | Path) -> tuple[int, int, int] | None:
    """What changes when a file is written anew; None if it is not there."""
    try:
        there = os.stat(path)
    except OSError:
        return None
    return there.st_ino, there.st_mtime_ns, there.st_size


AGE = 10.0
"""Seconds for which a tree of the user's own is not looked at again: many runs ask for it."""


@functools.lru_cache(16)
def _stamp(tree: str, moment: int) -> str:
    return tree_stamp(tree)


def _content_key(path: str) -> str:
    """The content key of a store; many runs ask for the same one."""
    return _key_of_store(path, _stamped(path))


@functools.lru_cache(256)
def _key_of_store(path: str, stamp: Any) -> str:
    import h5py

    try:
        with h5py.File(path, "r", locking=False) as file:
            return str(file.attrs["content_key"])
    except (OSError, KeyError):
        return ""


def _clips(path: str) -> list[Clip]:
    """The clips of a table; many runs ask for the same one."""
    return _clips_of(path, _stamped(path))


@functools.lru_cache(64)
def _clips_of(path: str, stamp: Any) -> list[Clip]:
    return read_clips(path)


@functools.lru_cache(1024)
def _digest(path: str, stamp: Any) -> str:
    """The content of a file; empty if it is not there."""
    return "" if stamp is None else file_digest(path)


def first_difference(there: Any, here: Any, name: str = "") -> str:
    """The first setting in which two nested descriptions differ, with both values."""
    if there == here:
        return ""
    if isinstance(there, dict) and isinstance(here, dict):
        for key in sorted(here.keys() | there.keys()):
            inner = f"{name}.{key}" if name else str(key)
            found = first_difference(there.get(key), here.get(key), inner)
            if found:
                return found
        return ""
    return f"{name} ({_short(there)}; now {_short(here)})"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
