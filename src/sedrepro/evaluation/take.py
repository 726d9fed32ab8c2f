"""A row whose detections others released: its run folder, taken over instead of trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import chain
from ..files import write_json
from ..kept import REPUBLISHED
from ..settings import Layout, Plan, Project
from ..sources import released as sources
from ..store import creating
from ..training.record import write_table
from ..training.run import not_run, record
from ..training.state import State
from ..training.stopping import exclusive
from . import released, taken
from .external import content_of


def take(plan: Plan, project: Project, layout: Layout) -> None:
    """Make the run folder of a row whose detections others released."""
    system = plan.released
    assert system is not None
    state = State(Path(layout.run(plan.run)))
    with exclusive(state.lock):
        lacking = sources.lacking(system, project)
        paths = {"detections": sources.place(system, project), **sources.tables(system, project)}
        files = {} if lacking else {name: content_of(path) for name, path in paths.items()}
        parents = {"stores": {}, "events": {}, "weights": {}, "source": None, "files": files}
        link = chain.link("run", {"run": plan.describe_training()}, parents)
        state.open(link["key"])
        if state.finished:
            print(f"{REPUBLISHED}: key {link['key']}")
        elif lacking:
            not_run(plan, state, link, {}, lacking)
        else:
            _write(plan, paths, layout, state, link)
        state.publish()


def _write(
    plan: Plan, paths: dict[str, Path], layout: Layout, state: State, link: dict[str, Any]
) -> None:
    (held_out,) = plan.held_out
    threshold = plan.settings.decoding.threshold
    known = released.known(held_out, plan, layout, paths["truth"], paths["durations"])
    at = (threshold, paths["at"]) if "at" in paths else None
    found = released.detections(paths["detections"], known, threshold, at)
    with state.finishing() as folder:
        with creating(folder / "scores.h5") as (file, _):
            taken.fill(file, held_out, plan, known.truth, found)
        with creating(folder / "examples.h5") as (file, _):
            file.attrs["order"] = "[]"
        write_table(folder / "history.csv", [], ["epoch", "step"])
        write_table(folder / "timing.csv", [], ["epoch", "seconds"])
        (folder / "checkpoint.pt").write_bytes(b"")
        cost = {"wall_s": 0.0}
        write_json(folder / "run.json", record(plan, link, folder, {}, "done", steps=0, cost=cost))
