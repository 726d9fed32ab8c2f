"""What every resample of the clips gave, kept for the intervals of differences between runs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..files import open_atomic

Key = tuple[str, str, str, str, str]
"""Set, model, metric, implementation, label."""


@dataclass
class Draws:
    """What is to be stored: each metric's resamples, and per set what was drawn."""

    values: dict[Key, np.ndarray] = field(default_factory=dict)
    clips: dict[str, str] = field(default_factory=dict)
    """Per set a key of its clips in order, and of the units they are drawn in."""
    units: dict[str, int] = field(default_factory=dict)
    """Per set how many units there are."""
    key: str = ""
    """The key of the metrics that these are resamples of."""

    def write(self, path: str | Path) -> None:
        values = np.array(list(self.values.values()), dtype=np.float32)
        keys = [list(key) for key in self.values]
        about = {"keys": keys, "clips": self.clips, "units": self.units, "key": self.key}
        with open_atomic(path) as disk:
            np.savez(disk, values=values, about=json.dumps(about))


@dataclass(frozen=True)
class Drawn:
    """One statistic in every resample of a set, of one run or (run by run) of a difference."""

    values: np.ndarray
    clips: str
    """The key of what was drawn: draws of the same clips and units are pairs."""
    units: int

    def pairs_with(self, other: Drawn) -> bool:
        return self.clips == other.clips and len(self.values) == len(other.values)

    def minus(self, other: Drawn | None) -> Drawn | None:
        """The differences, resample by resample; None unless both drew the same."""
        if other is None or not self.pairs_with(other):
            return None
        return Drawn(self.values - other.values, self.clips, self.units)

    def covariance(self, other: Drawn) -> float | None:
        """What two values owe to the units they share; None where too few resamples tell.

        As for a standard error, resamples of n units vary too little by (n - 1) / n.
        """
        both = ~np.isnan(self.values) & ~np.isnan(other.values)
        if both.sum() < 2 or self.units < 2:
            return None
        covariance = np.cov(self.values[both], other.values[both])[0, 1]
        return float(covariance) * self.units / (self.units - 1)


class Resamples:
    """A run's resamples as stored; a file that is absent or damaged holds none."""

    def __init__(self, path: str | Path) -> None:
        self._draws: dict[Key, Drawn] = {}
        self.key = ""
        try:
            with np.load(path) as file:
                about, rows = json.loads(str(file["about"])), file["values"].astype(float)
            clips, units = about["clips"], about["units"]
            draws = {
                tuple(key): Drawn(row, clips[key[0]], units[key[0]])
                for key, row in zip(about["keys"], rows, strict=True)
            }
            self._draws = draws
            self.key = about["key"]
        except Exception:  # numpy and zipfile raise whatever a damaged file leads them to
            return

    @classmethod
    def none(cls) -> Resamples:
        """No resamples at all."""
        return cls(os.devnull)

    def draws(self, key: Key) -> Drawn | None:
        """What the resamples of a metric gave."""
        return self._draws.get(key)
