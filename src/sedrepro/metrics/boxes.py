"""From frame scores to bounding boxes of sound events: change points, joined, with one score each.

Ebbers et al., "Sound Event Bounding Boxes" (Interspeech 2024), as far as it is told in words; what
is written down nowhere is inferred (docs/boxes.md). A threshold on frames moves an event's ends; a
threshold on boxes only says which events count.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

import numpy as np

from .events import Events, Reference
from .intersection import found_by_score
from .psds import HOUR, SCENARIOS

QUARTERS = 4
"""Boxes begin and end at quarters of a frame: half a filter of 0.48 s is 3.75 frames of 64 ms."""
EXACT = 2**32
"""Scores are counted in these parts, so that equal changes are equal on every machine."""
JUDGED_BY = SCENARIOS["psds1"]


class Shape(NamedTuple):
    """How boxes are found in the scores of a class."""

    step: float
    """Length of the step filter, in seconds."""
    merge_abs: float
    """A gap joins its neighbours if it lies no more than this below the higher of their peaks, …"""
    merge_rel: float
    """… and that peak is no more than so many times the gap."""


@dataclass(frozen=True)
class Boxes:
    """Boxes of one class, in the order of clips and time; times are in quarters of a frame."""

    clip: np.ndarray
    onset: np.ndarray
    offset: np.ndarray
    score: np.ndarray

    def __len__(self) -> int:
        return len(self.clip)


@dataclass(frozen=True)
class Segments:
    """What lies between the change points of one class, before any of it is joined."""

    clip: np.ndarray
    onset: np.ndarray
    offset: np.ndarray
    peak: np.ndarray
    """The highest score within each."""
    dip: np.ndarray
    """The lowest score between each and the next one."""
    summed: np.ndarray
    """Scores of a clip up to each quarter of a frame (clip, quarter)."""

    @classmethod
    def of(cls, scores: np.ndarray, step: float, hop: float) -> Segments:
        """Of scores (clip, frame) of one class.

        The change at a time is the mean score in half a filter after it, minus that in half a
        filter before it; outside a clip scores are 0. A segment begins where the change has
        finished to rise and ends where it has finished to fall.
        """
        half = max(1, round(step / 2 / hop * QUARTERS))
        parts = np.rint(np.asarray(scores, dtype=float) * EXACT).astype(np.int64)
        values = np.repeat(parts, QUARTERS, axis=1)
        summed = np.pad(values.cumsum(axis=1), ((0, 0), (1, 0)))
        length = values.shape[1]
        times = np.arange(length + 1)
        after, before = np.minimum(times + half, length), np.maximum(times - half, 0)
        change = summed[:, after] - 2 * summed + summed[:, before]
        rises = np.pad(np.diff(change) > 0, ((0, 0), (1, 1)), constant_values=True)
        clip, onset = np.nonzero(rises[:, :-1] & ~rises[:, 1:])
        _, offset = np.nonzero(~rises[:, :-1] & rises[:, 1:])
        # Segments and gaps take turns on one line, on which each clip has a place to spare.
        line = np.pad(values, ((0, 0), (0, 1))).ravel()
        edges = (clip[:, None] * (length + 1) + np.stack([onset, offset], axis=1)).ravel()
        peak = np.maximum.reduceat(line, edges)[::2]
        dip = np.minimum.reduceat(line, edges)[1::2]
        return cls(clip, onset, offset, peak, dip, summed)

    def joined(self, merge_abs: float, merge_rel: float) -> Boxes:
        """Boxes: segments joined over gaps that hardly lie below them, each with its mean score."""
        peak = np.maximum(self.peak[:-1], self.peak[1:])
        dip = self.dip[:-1]
        near = (peak - dip <= merge_abs * EXACT) & (peak <= merge_rel * dip)
        join = np.concatenate([[False], near & (self.clip[:-1] == self.clip[1:]), [False]])
        first, last = ~join[:-1], ~join[1:]
        clip, onset, offset = self.clip[first], self.onset[first], self.offset[last]
        mass = self.summed[clip, offset] - self.summed[clip, onset]
        score = (mass / (offset - onset) / EXACT).astype(np.float32)
        return Boxes(clip, onset, offset, score)


def boxes(scores: np.ndarray, shape: Shape, hop: float) -> Boxes:
    """The boxes in scores (clip, frame) of one class; `hop` is the length of a frame in seconds."""
    return Segments.of(scores, shape.step, hop).joined(shape.merge_abs, shape.merge_rel)


def box_scores(scores: np.ndarray, shapes: Sequence[Shape], hop: float) -> np.ndarray:
    """Scores (clip, quarter of a frame, class): a box's score within it and 0 elsewhere.

    Any threshold on them detects the boxes whose score exceeds it, with their own ends: between two
    boxes of a class there is always a gap.
    """
    clips, frames, classes = scores.shape
    found = np.zeros((clips, frames * QUARTERS, classes), dtype=np.float32)
    for label, shape in enumerate(shapes):
        found[:, :, label] = _drawn(boxes(scores[:, :, label], shape, hop), clips, frames)
    return found


def _drawn(made: Boxes, clips: int, frames: int) -> np.ndarray:
    length = frames * QUARTERS
    edges = np.zeros((clips, length + 1), dtype=np.int32)
    edges[made.clip, made.onset] += 1
    begun = edges.cumsum().reshape(edges.shape)
    edges[made.clip, made.offset] -= 1
    within = edges.cumsum(axis=1)[:, :length] > 0
    drawn = np.zeros((clips, length), dtype=np.float32)
    drawn[within] = made.score[begun[:, :length][within] - 1]
    return drawn


class Tuned(NamedTuple):
    """The shape chosen for a class, and the class's PSDS 1 with it; None: it has no event there."""

    shape: Shape
    psds1: float | None


def tune(
    scores: np.ndarray,
    truth: Reference,
    grid: tuple[Sequence[float], Sequence[float], Sequence[float]],
    *,
    hop: float,
    trim: bool,
) -> list[Tuned]:
    """Per class the shape with the best PSDS 1 of the class alone; the first one of equals.

    `grid` has the values of each field of a Shape. A class without an event in the truth gets the
    shape that is best on average.
    """
    shapes = [Shape(*values) for values in product(*grid)]
    columns = [
        list(_class_psds(scores[:, :, label], label, truth, grid, hop=hop, trim=trim))
        for label in range(scores.shape[2])
    ]
    values = np.array(columns)  # (class, shape)
    judged = truth.n_events.any(axis=0)
    average = shapes[int(values[judged].mean(axis=0).argmax())] if judged.any() else shapes[0]
    best = values.argmax(axis=1)
    return [
        Tuned(shapes[best[label]], float(values[label, best[label]]))
        if judged[label]
        else Tuned(average, None)
        for label in range(len(values))
    ]


def _class_psds(
    scores: np.ndarray,
    label: int,
    truth: Reference,
    grid: tuple[Sequence[float], Sequence[float], Sequence[float]],
    *,
    hop: float,
    trim: bool,
) -> Iterator[float]:
    """The PSDS 1 of one class with each shape, in the order of the grid; 0 without an event."""
    steps, merges_abs, merges_rel = grid
    for step in steps:
        segments = Segments.of(scores, step, hop)
        for merge_abs, merge_rel in product(merges_abs, merges_rel):
            made = segments.joined(merge_abs, merge_rel)
            yield class_psds(made, label, truth, hop=hop, trim=trim)


def class_psds(made: Boxes, label: int, truth: Reference, *, hop: float, trim: bool) -> float:
    """The PSDS 1 of one class alone, at every threshold: an event counts as far as the false alarms
    that come with it leave room."""
    onset, offset = (times * (hop / QUARTERS) for times in (made.onset, made.offset))
    if trim:
        offset = np.minimum(offset, truth.seconds[made.clip])
    events = Events(made.clip, np.full(len(made), label), onset, offset)
    heard = made.score > 0
    found, false = found_by_score(
        events[heard], made.score[heard], truth, JUDGED_BY.criteria, label
    )
    if not len(found):
        return 0.0
    alarms = len(false) - np.searchsorted(np.sort(false), found)
    room = 1 - alarms * HOUR / truth.seconds.sum() / JUDGED_BY.e_max
    return float(np.where(np.isfinite(found), np.maximum(room, 0), 0).mean())
