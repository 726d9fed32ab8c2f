"""Intersection criteria: who counts as true, false and cross-triggered, clip by clip.

Bilen et al., "A framework for the robust evaluation of sound event detection" (ICASSP 2020), with
the details in which the psds_eval package settles it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .events import Events, Reference


class Criteria(NamedTuple):
    """Shares of overlap that are enough; without `cttc` cross-triggers are not counted."""

    dtc: float
    gtc: float
    cttc: float | None = None


class Totals(NamedTuple):
    """Counts over all clips.

    tp, fp (point, class); cross (point, detected class, true class) or None; n_events (class);
    event_seconds (class) and seconds, both in seconds.
    """

    tp: np.ndarray
    fp: np.ndarray
    cross: np.ndarray | None
    n_events: np.ndarray
    event_seconds: np.ndarray
    seconds: float


@dataclass(frozen=True)
class Counts:
    """Counts per clip: the shapes of `Totals` with the clip first.

    tp, fp and cross are float32, in which sums stay exact up to 16 million and are fast.
    """

    tp: np.ndarray
    fp: np.ndarray
    cross: np.ndarray | None
    n_events: np.ndarray
    event_seconds: np.ndarray
    seconds: np.ndarray

    @property
    def n_clips(self) -> int:
        return len(self.seconds)

    def total(self) -> Totals:
        return self.resampled(np.ones((1, self.n_clips)))[0]

    def resampled(self, weights: np.ndarray) -> list[Totals]:
        """Totals of each row of weights (resample, clip): how often each clip is drawn."""

        def totals(values: np.ndarray | None) -> np.ndarray | list[None]:
            if values is None:
                return [None] * len(weights)
            flat = values.reshape(len(values), -1)
            summed = weights.astype(values.dtype) @ flat
            return summed.reshape(len(weights), *values.shape[1:])

        columns = (self.tp, self.fp, self.cross, self.n_events, self.event_seconds, self.seconds)
        return [Totals(*row) for row in zip(*(totals(column) for column in columns), strict=True)]


def count(
    points: Sequence[Callable[[], Events]], truth: Reference, criteria: Sequence[Criteria]
) -> list[Counts]:
    """Counts of each of the criteria over the operating points.

    Each point is a function that makes its events, so that only one set is in memory at a time.
    Events of one class in one clip must not overlap.
    """
    shape = len(truth.clips), len(points), len(truth.classes)
    counts = [
        Counts(
            tp=np.zeros(shape, np.float32),
            fp=np.zeros(shape, np.float32),
            cross=None if each.cttc is None else np.zeros((*shape, shape[2]), np.float32),
            n_events=truth.n_events,
            event_seconds=truth.event_seconds,
            seconds=truth.seconds,
        )
        for each in criteria
    ]
    for point, events in enumerate(points):
        overlaps = _overlaps(events(), truth)
        for each, counted in zip(criteria, counts, strict=True):
            tp, fp, cross = _apply(each, overlaps, truth)
            counted.tp[:, point] = tp
            counted.fp[:, point] = fp
            if counted.cross is not None:
                counted.cross[:, point] = cross
    return counts


def found_by_score(
    detected: Events, score: np.ndarray, truth: Reference, criteria: Criteria, label: int
) -> tuple[np.ndarray, np.ndarray]:
    """Of one class, whose detections have a score each: the lowest score that is needed to find
    each true event (-inf: no score is enough), and the scores of the false alarms."""
    score = score[_counts(detected, truth)]
    pairs = _overlaps(detected, truth)
    same = pairs.same
    shares = np.bincount(pairs.detection[same], pairs.of_detection[same], minlength=len(score))
    relevant = (shares >= criteria.dtc) & (shares > 0)
    hits = same & relevant[pairs.detection]
    event, needed = pairs.truth[hits], score[pairs.detection[hits]]
    order = np.lexsort((-needed, event))
    event, needed = event[order], needed[order]
    covered = pairs.of_truth[hits][order].cumsum()
    before = np.append(0.0, covered)[np.searchsorted(event, event)]
    enough = covered - before >= criteria.gtc
    found = np.full(len(truth.events), -np.inf)
    np.maximum.at(found, event[enough], needed[enough])
    return found[truth.events.label == label], score[~relevant]


class _Overlaps(NamedTuple):
    """Pairs (detection, truth) that overlap, of the detections that overlap their clip."""

    detected: Events
    detection: np.ndarray
    truth: np.ndarray
    same: np.ndarray
    of_detection: np.ndarray  # share of the detection
    of_truth: np.ndarray  # share of the truth


def _counts(detected: Events, truth: Reference) -> np.ndarray:
    """Which detections count: one outside its clip is neither true nor false."""
    inside = (detected.onset < truth.seconds[detected.clip]) & (detected.offset > 0)
    return inside & (detected.offset > detected.onset)


def _overlaps(detected: Events, truth: Reference) -> _Overlaps:
    detected = detected[_counts(detected, truth)]
    events = truth.events
    first = np.searchsorted(events.clip, np.arange(len(truth.clips) + 1))
    n = np.diff(first)[detected.clip]
    detection = np.repeat(np.arange(len(detected)), n)
    within = np.arange(len(detection)) - np.repeat(np.cumsum(n) - n, n)
    other = first[detected.clip][detection] + within
    length = np.minimum(detected.offset[detection], events.offset[other]) - np.maximum(
        detected.onset[detection], events.onset[other]
    )
    keep = length > 0
    detection, other, length = detection[keep], other[keep], length[keep]
    return _Overlaps(
        detected,
        detection,
        other,
        detected.label[detection] == events.label[other],
        length / (detected.offset - detected.onset)[detection],
        length / (events.offset - events.onset)[other],
    )


def _apply(
    criteria: Criteria, pairs: _Overlaps, truth: Reference
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """True positives (in truths) and false positives per clip and class, and cross-triggers."""
    clips, classes = len(truth.clips), len(truth.classes)
    detected, events = pairs.detected, truth.events

    def reach(index: np.ndarray, shares: np.ndarray, n: int, enough: float) -> np.ndarray:
        summed = np.bincount(index, shares, minlength=n)
        return (summed >= enough) & (summed > 0)

    def per_cell(*keys: np.ndarray) -> np.ndarray:
        shape = (clips, *[classes] * (len(keys) - 1))
        cell = np.ravel_multi_index(keys, shape)
        return np.bincount(cell, minlength=int(np.prod(shape))).reshape(shape)

    same = pairs.same
    relevant = reach(pairs.detection[same], pairs.of_detection[same], len(detected), criteria.dtc)
    hits = same & relevant[pairs.detection]
    found = reach(pairs.truth[hits], pairs.of_truth[hits], len(events), criteria.gtc)
    tp = per_cell(events.clip[found], events.label[found])
    fp = per_cell(detected.clip[~relevant], detected.label[~relevant])
    if criteria.cttc is None:
        return tp, fp, None
    other = ~same & ~relevant[pairs.detection]
    target = pairs.detection[other] * classes + events.label[pairs.truth[other]]
    crossed = reach(
        target, pairs.of_detection[other], len(detected) * classes, criteria.cttc
    ).nonzero()[0]
    detection, label = np.divmod(crossed, classes)
    return tp, fp, per_cell(detected.clip[detection], detected.label[detection], label)
