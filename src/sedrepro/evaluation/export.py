"""A run's outputs in the forms others read: scores as sed_scores_eval has them, detections."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..errors import SedreproError
from ..files import write_text
from ..metrics.decode import frame_times, operating_points
from ..metrics.events import Events
from ..settings import Layout, Plan
from .measures import Truth
from .run import read, why_not_run
from .sed import Frames

DETECTIONS = ["event_label", "onset", "offset", "filename"]


@dataclass(frozen=True)
class Output:
    """What a run's model says of a set, as the row decodes it."""

    set: str
    model: str
    frames: Frames
    truth: Truth


def output(plan: Plan, layout: Layout, set_name: str | None, model: str) -> Output:
    """From the run's scores; by default of the first set that it was scored on."""
    if (reason := why_not_run(plan.scored, layout)) is not None:
        raise SedreproError(f"{plan.run}: was not run: {reason}")
    sets = []
    for held_out, truth, scores in read(plan, layout):
        if "sed" not in held_out.metrics:
            continue
        sets.append(held_out.name)
        if set_name in (None, held_out.name):
            models = {scored.model: scored for scored in scores}
            if model not in models:
                raise SedreproError(
                    f"{plan.run}: has no model {model!r}; models are {', '.join(models)}"
                )
            frames = Frames.of(models[model], truth, plan.settings.decoding)
            return Output(held_out.name, model, frames, truth)
    if set_name is None or not sets:
        raise SedreproError(f"{plan.run}: was scored on no set with events to detect")
    raise SedreproError(f"{plan.run}: was not scored on {set_name!r}; sets are {', '.join(sets)}")


def write_scores(output: Output, folder: Path) -> None:
    """One TSV per clip: onset and offset of each frame, and its filtered score of each class.

    Nine digits hold a float32 exactly, 17 a float64.
    """
    _refuse_filled(folder)
    frames, truth = output.frames, output.truth
    for clip, seconds, values in zip(truth.clips, truth.seconds, frames.scores, strict=True):
        times = frame_times(len(values), frames.hop, seconds if frames.trim else None)
        table = pd.DataFrame(values[: len(times) - 1], columns=truth.classes)
        table = table.map(lambda value: f"{value:.9g}")
        table.insert(0, "onset", times[:-1])
        table.insert(1, "offset", times[1:])
        _write(folder / f"{clip}.tsv", table)


def write_detections(output: Output, plan: Plan, folder: Path) -> Path:
    """One TSV per operating point, and in a folder of its own the one that F1 scores are of.

    Returns the latter.
    """
    _refuse_filled(folder)
    decoding = plan.settings.decoding
    detections, truth = output.frames.detections(decoding), output.truth
    thresholds = operating_points(decoding.operating_points)
    for threshold, point in zip(thresholds, detections.points, strict=True):
        _write(folder / _named(threshold), _table(point(), truth))
    at_threshold = folder / "at_threshold" / _named(decoding.threshold)
    assert detections.detected is not None  # they were decoded at one threshold
    _write(at_threshold, _table(detections.detected, truth))
    return at_threshold


def _named(threshold: float) -> str:
    return f"predictions_th_{float(threshold)!r}.tsv"


def _table(events: Events, truth: Truth) -> pd.DataFrame:
    clips, classes = (np.array(names, dtype=object) for names in (truth.clips, truth.classes))
    return pd.DataFrame(
        {
            "event_label": classes[events.label],
            "onset": events.onset,
            "offset": events.offset,
            "filename": clips[events.clip] + ".wav",
        },
        columns=DETECTIONS,
    )


def _write(path: Path, table: pd.DataFrame) -> None:
    write_text(path, table.to_csv(sep="\t", index=False, lineterminator="\n"))


def _refuse_filled(folder: Path) -> None:
    """Tables of another export in the same folder would be read together with these."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SedreproError(f"{folder}: is there already; name a new folder")
