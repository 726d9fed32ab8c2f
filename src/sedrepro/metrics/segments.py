"""One class per second, the background among them: accuracies from counts per clip."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .events import Reference


@dataclass(frozen=True)
class Shares:
    """How many of how many, per clip."""

    hits: np.ndarray
    of: np.ndarray

    @classmethod
    def among(cls, right: np.ndarray, counted: np.ndarray) -> Shares:
        """From decisions (clip, segment): those that are right, of those that count."""
        return cls((right & counted).sum(1), counted.sum(1))

    @property
    def n_clips(self) -> int:
        return len(self.hits)

    def total(self) -> tuple[float, float]:
        return float(self.hits.sum()), float(self.of.sum())

    def resampled(self, weights: np.ndarray) -> list[tuple[float, float]]:
        """Totals of each row of weights (resample, clip): segments of a clip stay together."""
        return list(zip((weights @ self.hits).tolist(), (weights @ self.of).tolist(), strict=True))


def share(total: tuple[float, float]) -> float:
    """Right decisions of all; NaN where there are none."""
    hits, of = total
    return hits / of if of else float("nan")


def labels(truth: Reference, segments: int) -> np.ndarray:
    """The class of each second (clip, segment): t is an event's iff onset <= t < offset.

    The background is the class after the last.
    """
    found = np.full((len(truth.clips), segments), len(truth.classes))
    events = truth.events
    for clip, label, onset, offset in zip(
        events.clip, events.label, events.onset, events.offset, strict=True
    ):
        found[clip, round(onset) : round(offset)] = label
    return found


def predicted(scores: np.ndarray) -> np.ndarray:
    """The class of each second (clip, segment) from scores (clip, segment, class)."""
    return scores.argmax(-1)


def accuracy(scores: np.ndarray, truth: np.ndarray) -> Shares:
    """Every second of every clip is one decision."""
    return Shares.among(predicted(scores) == truth, np.ones_like(truth, dtype=bool))
