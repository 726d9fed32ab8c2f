"""Somebody else's system on a set: what it scores, recorded as a run folder of the result set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .. import chain
from ..errors import SedreproError
from ..files import digest, file_digest, write_json
from ..metrics.resamples import Draws
from ..settings import Decoding, HeldOut, Layout, Plan
from ..settings.project import Report
from . import released, sed
from .measures import Measures
from .released import MODEL, Known

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class External:
    """A system under its name, on one set of a paper, and the files that it was scored from."""

    name: str
    plan: Plan
    held: HeldOut
    files: Mapping[str, Path]
    """Detections or scores, and tables that were given, by what they are: files or folders."""
    smooth: bool = False
    """Whether its scores are raw and get the paper's median filters."""

    @property
    def decoding(self) -> Decoding:
        """The paper's, but of one array of scores, which is mostly filtered already."""
        changes = {"scores": "frame"} if self.smooth else {"scores": "frame", "median": 1}
        return self.plan.settings.decoding.model_copy(update=changes)

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            raise SedreproError(
                f"--as {self.name}: a name has letters, digits, `_`, `-` and `.`, and no spaces"
            )

    def folder(self, layout: Layout) -> Path:
        paper = self.plan.run.paper
        return Path(layout.results, "runs", "external", paper, self.name, self.held.name)


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
    scored = released.scores(folder, known, external.held.name)
    hop = plan.grid.seconds
    if external.smooth and abs(scored.hop - hop) > released.TOLERANCE / 10:
        raise SedreproError(
            f"{folder}: frames of {scored.hop:g} s cannot be smoothed by median filters for "
            f"frames of {hop:g} s"
        )
    settings = plan.settings.model_copy(update={"decoding": external.decoding})
    return sed.measure(scored, known.truth, settings, report)


def record_external(
    external: External, known: Known, found: Measures, report: Report, layout: Layout
) -> Path:
    """Write run.json, metrics.json and resamples.npz; returns their folder.

    The one place that knows how such a run is recorded.
    """
    truth, subset, folder = known.truth, external.held.name, external.folder(layout)
    told = {
        "paper": external.plan.run.paper,
        "set": subset,
        "classes": truth.classes,
        "decoding": external.decoding.model_dump(mode="json"),
    }
    given = {what: content_of(path) for what, path in external.files.items()}
    run = chain.link("run", told, {"files": given})
    clips = digest([truth.clips, truth.seconds.tolist(), truth.events.to_csv(index=False)])
    statistics = report.model_dump(mode="json", include={"bootstrap", "confidence"})
    metrics = chain.link("metrics", told | statistics, {"run": {"key": run["key"]}, "truth": clips})
    found_here = {
        "status": "done",
        "reason": "",
        "metrics": found.entries(subset, MODEL, truth),
        "curves": {subset: {MODEL: found.curves}},
    }
    draws = Draws(
        values=found.resampled(subset, MODEL),
        clips={subset: digest([truth.clips, truth.units])},
        units={subset: truth.n_units},
        key=metrics["key"],
    )
    draws.write(folder / "resamples.npz")
    write_json(folder / "metrics.json", {**metrics, "content": digest(found_here), **found_here})
    about = {"status": "done", "reason": "", "row": "external", "name": external.name}
    paths = {what: str(path) for what, path in external.files.items()}
    write_json(folder / "run.json", {**run, **about, **told, "model": MODEL, "paths": paths})
    return folder


def content_of(path: Path) -> str:
    """The content key of a file, or of the tables in a folder by their names."""
    if path.is_dir():
        return digest({found.name: file_digest(found) for found in released.tables_in(path)})
    return file_digest(path)
