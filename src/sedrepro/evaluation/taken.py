"""Detections that others released, as a run folder holds them.

The folder holds the truth they are measured against too, so that its numbers stand on nothing
outside it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import h5py
import numpy as np
import pandas as pd

from .. import tables
from ..metrics.events import Events
from ..settings import HeldOut, Plan
from .measures import Scored, Truth
from .sed import Detections

TRUTH, DETECTED, POINTS = "truth", "detected", "points"


def fill(file: h5py.File, held_out: HeldOut, plan: Plan, truth: Truth, found: Detections) -> None:
    """Write a system's detections and the truth that came with them."""
    assert plan.released is not None
    model = plan.released.model
    file.attrs["classes"] = json.dumps(truth.classes)
    file.attrs["models"] = json.dumps([model])
    group = file.create_group(held_out.name)
    group["clips"] = np.array(truth.clips, dtype=h5py.string_dtype())
    group["seconds"] = truth.seconds
    reference = truth.reference.events
    group[TRUTH] = _columns(reference)
    of_model = group.create_group(model)
    points = of_model.create_group(POINTS)
    for place, point in enumerate(found.points):
        points[f"{place:03d}"] = _columns(point())
    if found.detected is not None:
        of_model[DETECTED] = _columns(found.detected)


def _columns(events: Events) -> np.ndarray:
    """Clip, class, onset and offset of each event, in float64: times keep all their digits."""
    columns = (events.clip, events.label, events.onset, events.offset)
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=1)


def _events(values: np.ndarray) -> Events:
    return Events(
        values[:, 0].astype(int), values[:, 1].astype(int), values[:, 2].copy(), values[:, 3].copy()
    )


def read(file: h5py.File, held_out: HeldOut, plan: Plan) -> tuple[Truth, Iterator[Scored]]:
    """The truth that came with a system, and what it detected."""
    group = file[held_out.name]
    clips = [name.decode() for name in group["clips"][:]]
    classes = json.loads(file.attrs["classes"])
    true = _events(group[TRUTH][:])
    events = pd.DataFrame(
        {
            "clip": [clips[clip] for clip in true.clip],
            "label": [classes[label] for label in true.label],
            "onset": true.onset,
            "offset": true.offset,
            "confidence": 1.0,
        },
        columns=tables.EVENTS,
    )
    truth = Truth(clips, group["seconds"][:], classes, events, len(clips))
    (model,) = json.loads(file.attrs["models"])
    stored = group[model]
    points = [_events(stored[POINTS][name][:]) for name in sorted(stored[POINTS])]
    detected = _events(stored[DETECTED][:]) if DETECTED in stored else None
    found = Detections.of(points, detected)
    return truth, iter([Scored(held_out.name, model, 0.0, {}, found)])
