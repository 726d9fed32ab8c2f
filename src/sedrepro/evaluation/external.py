"""Somebody else's system on a set: what it scores, recorded as a run folder of the result set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py

from .. import chain
from ..errors import SedreproError
from ..files import digest, file_digest, write_json
from ..metrics.resamples import Draws
from ..settings import Decoding, HeldOut, Layout, Plan
from ..settings.project import Report
from . import released, sed
from .measures import Measures
from .released import MODEL, Known
from .run import measure, read_set

SCORES = "scores.h5"
"""What the network of a checkpoint gave, in the folder of its system."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class External:
    """A system under its name, on one set of a paper, and the files that it was scored from."""

    name: str
    plan: Plan
    held_out: HeldOut
    files: Mapping[str, Path]
    """What was given, by what it is: detections, scores or a checkpoint, and tables."""
    smooth: bool = False
    """Whether its scores are raw and get the paper's median filters."""
    network: Mapping[str, Any] = field(default_factory=dict)
    """Of a checkpoint: what it was put into, and what that read."""

    @property
    def decoding(self) -> Decoding:
        """The paper's. Others' scores are one array, which is mostly filtered already."""
        if self.network:
            return self.plan.settings.decoding
        changes = {"scores": "frame"} if self.smooth else {"scores": "frame", "median": 1}
        return self.plan.settings.decoding.model_copy(update=changes)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise SedreproError(
                f"--as {self.name}: a name has letters, digits, `_`, `-` and `.`, and no spaces"
            )

    def folder(self, layout: Layout) -> Path:
        paper = self.plan.run.paper
        return Path(layout.results, "runs", "external", paper, self.name, self.held_out.name)


def of_detections(
    external: External, known: Known, report: Report, at: tuple[float, Path] | None
) -> Measures:
    """From a table per threshold; `at` names another for the F1 scores."""
    folder, threshold = external.files["detections"], external.decoding.threshold
    found = released.detections(folder, known, threshold, at)
    return sed.measure_detections(found, known.truth, report)


def of_scores(external: External, known: Known, report: Report) -> Measures:
    """From a table of frames per clip."""
    folder, plan = external.files["scores"], external.plan
    scored = released.scores(folder, known, external.held_out.name)
    hop = plan.grid.seconds
    if external.smooth and abs(scored.hop - hop) > released.TOLERANCE / 10:
        raise SedreproError(
            f"{folder}: frames of {scored.hop:g} s cannot be smoothed by median filters for "
            f"frames of {hop:g} s"
        )
    settings = plan.settings.model_copy(update={"decoding": external.decoding})
    return sed.measure(scored, known.truth, settings, report)


def of_network(plan: Plan, model: str, stores: Mapping[str, str]) -> dict[str, Any]:
    """What the numbers of a checkpoint depend on, beside its weights: the network and what it read.

    `stores` are the keys of the stores by front end.
    """
    training = plan.describe_training()
    made_with = {name: training[name] for name in ("row", "settings", "front_ends", "method")}
    return {**made_with, "model": model, "stores": dict(stores)}


def of_checkpoint(external: External, layout: Layout, report: Report) -> tuple[Known, Measures]:
    """From the scores that its network gave, which lie in the folder of the system."""
    held_out, plan = external.held_out, external.plan
    with h5py.File(external.folder(layout) / SCORES, "r", locking=False) as file:
        truth, scores = read_set(file, held_out, plan, layout)
        (scored,) = scores
        found = measure(scored, truth, held_out, plan, report)
    return Known(truth, layout.table(held_out.subset, "clips")), found


def record_external(
    external: External, known: Known, found: Measures, report: Report, layout: Layout
) -> Path:
    """Write run.json, metrics.json and resamples.npz; returns their folder.

    The one place that knows how such a run is recorded.
    """
    truth, set_name, folder = known.truth, external.held_out.name, external.folder(layout)
    told = {
        "paper": external.plan.run.paper,
        "set": set_name,
        "classes": truth.classes,
        "decoding": external.decoding.model_dump(mode="json"),
        **({"network": external.network} if external.network else {}),
    }
    given = {what: content_of(path) for what, path in external.files.items()}
    run = chain.link("run", told, {"files": given})
    clips = digest([truth.clips, truth.seconds.tolist(), truth.events.to_csv(index=False)])
    statistics = report.model_dump(mode="json", include={"bootstrap", "confidence"})
    metrics = chain.link("metrics", told | statistics, {"run": {"key": run["key"]}, "truth": clips})
    found_here = {
        "status": "done",
        "reason": "",
        "metrics": found.entries(set_name, MODEL, truth),
        "curves": {set_name: {MODEL: found.curves}},
    }
    draws = Draws(
        values=found.resampled(set_name, MODEL),
        clips={set_name: digest([truth.clips, truth.units])},
        units={set_name: truth.n_units},
        key=metrics["key"],
    )
    draws.write(folder / "resamples.npz")
    write_json(folder / "metrics.json", {**metrics, "content": digest(found_here), **found_here})
    about: dict[str, Any] = {
        "status": "done",
        "reason": "",
        "row": "external",
        "name": external.name,
    }
    scores = folder / SCORES
    about["content"] = {SCORES: file_digest(scores)} if external.network else {}
    paths = {what: str(path) for what, path in external.files.items()}
    write_json(folder / "run.json", {**run, **about, **told, "model": MODEL, "paths": paths})
    return folder


def content_of(path: Path) -> str:
    """The content key of a file, or of the tables in a folder by their names."""
    if path.is_dir():
        return digest({found.name: file_digest(found) for found in released.tables_in(path)})
    return file_digest(path)
