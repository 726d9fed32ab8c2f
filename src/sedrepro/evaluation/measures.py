"""What families of metrics are given, and what they give back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from .. import tables
from ..metrics.bootstrap import Drawing, Interval, Resampled
from ..metrics.boxes import Tuned
from ..metrics.events import Reference, columns, reference
from ..metrics.resamples import Key
from ..settings.project import Report

LAST = "@last"
"""Models of the last checkpoint are called `<model>@last`."""


@dataclass(frozen=True)
class Truth:
    """What is true of the clips of a held-out set that were scored."""

    clips: list[str]
    seconds: np.ndarray
    classes: list[str]
    events: pd.DataFrame
    n_expected: int | None
    paths: dict[str, str] = field(default_factory=dict)
    """Where each clip lies."""
    units: Sequence[str] = ()
    """The unit of each clip, which intervals draw as a whole; empty: each clip is its own."""
    unit: str = "clip"
    """What a unit is called."""
    hop: float = 0.064
    """Seconds per frame, by default that of the DCASE baselines. Ends are known to a frame."""

    @property
    def cut(self) -> tuple[int, int]:
        """How many timed events end after the part of their clip that was scored, and how many
        timed events there are. No system can find all of such an event.
        """
        scored = dict(zip(self.clips, self.seconds, strict=True))
        timed = self.events[self.events["onset"].notna() & self.events["clip"].isin(scored)]
        beyond = timed["offset"] > timed["clip"].map(scored) + self.hop
        return int(beyond.sum()), len(timed)

    @property
    def n_units(self) -> int:
        return len(set(self.units or self.clips))

    def only(self, counted: np.ndarray) -> Truth:
        """The truth of the clips that count (clip); the others are no longer expected."""
        left_out = len(self.clips) - int(counted.sum())
        return replace(
            self,
            clips=[clip for clip, counts in zip(self.clips, counted, strict=True) if counts],
            seconds=self.seconds[counted],
            units=[unit for unit, counts in zip(self.units, counted, strict=False) if counts],
            n_expected=None if self.n_expected is None else self.n_expected - left_out,
        )

    def drawing(self, report: Report) -> Drawing:
        """How intervals over these clips are made."""
        return Drawing(self.units or self.clips, report.bootstrap, report.confidence)

    @cached_property
    def reference(self) -> Reference:
        """The events that have times."""
        timed = self.events[self.events["onset"].notna()]
        return reference(
            clips=self.clips, seconds=self.seconds, classes=self.classes, events=columns(timed)
        )

    @cached_property
    def tags(self) -> np.ndarray:
        """Which classes a clip has, by events or by tags (clip, class)."""
        return tables.clip_targets(self.events, self.clips, self.classes)


@dataclass(frozen=True)
class Scored:
    """A model's scores of a held-out set: `arrays` has `frame`, `clip` and the method's extras."""

    set: str
    model: str
    hop: float
    arrays: dict[str, np.ndarray]
    detections: Any = None
    """What somebody else's system detected, where there are no scores."""
    tuned: Sequence[Tuned] = ()
    """How each class's boxes are found, where scores are decoded as boxes."""

    @property
    def is_last(self) -> bool:
        return self.model.endswith(LAST)

    def silenced(self, undecoded: np.ndarray) -> Scored:
        """The same with nothing detected in some of the clips (clip): their scores are 0."""
        for values in self.arrays.values():
            values[undecoded] = 0
        return self


@dataclass
class Measures:
    """Values under (metric, implementation, label), and PSD-ROC curves by metric."""

    values: dict[tuple[str, str, str], Interval] = field(default_factory=dict)
    curves: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, metric: str, implementation: str, value: Interval, label: str = "") -> None:
        self.values[metric, implementation, label] = value

    def entries(self, set_name: str, model: str, truth: Truth) -> list[dict[str, Any]]:
        """The values as metrics.json lists them."""
        cut, events = truth.cut
        return [
            {
                "metric": metric,
                "implementation": implementation,
                "set": set_name,
                "model": model,
                "label": label,
                "value": _number(value.value),
                "ci_low": _number(value.low),
                "ci_high": _number(value.high),
                "unit": truth.unit,
                "n_units": truth.n_units,
                "n_clips": len(truth.clips),
                "n_expected": truth.n_expected,
                "n_events": events,
                "n_cut": cut,
            }
            for (metric, implementation, label), value in self.values.items()
        ]

    def resampled(self, set_name: str, model: str) -> dict[Key, np.ndarray]:
        """What every resample gave, of the values that keep it."""
        return {
            (set_name, model, *key): value.values
            for key, value in self.values.items()
            if isinstance(value, Resampled)
        }


def _number(value: float | None) -> float | None:
    """JSON knows no NaN: what is undefined is null."""
    return None if value is None or not math.isfinite(value) else float(value)
