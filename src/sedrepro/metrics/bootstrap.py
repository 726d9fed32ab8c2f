"""Bootstrap over the units of a set: clips that depend on each other are drawn together.

Counts per clip are kept, so a resample is a weighted sum of counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from scipy.special import stdtrit


class PerClip(Protocol):
    """Counts per clip: `intersection.Counts` and `f1.F1Counts`."""

    @property
    def n_clips(self) -> int: ...
    def total(self) -> Any: ...
    def resampled(self, weights: np.ndarray) -> list[Any]: ...


class Interval(NamedTuple):
    """A value and the ends of its interval (None: not estimated)."""

    value: float
    low: float | None = None
    high: float | None = None


class Resampled(Interval):
    """An interval that keeps what it was estimated from: the statistic of every resample.

    Resamples of the same units are always the same draws, so those of two systems on the same
    clips are pairs: their differences make the interval of the difference.
    """

    values: np.ndarray
    """Every resample's value (resample), NaN where it is undefined."""

    @classmethod
    def of(cls, interval: Interval, values: np.ndarray) -> Resampled:
        made = cls(*interval)
        made.values = values
        return made


def draws(n_units: int, resamples: int, *, seed: int = 0) -> np.ndarray:
    """How often each unit is drawn (resample, unit); a pure function of its arguments."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_units, np.full(n_units, 1 / n_units), size=resamples)


def around(value: float, resampled: np.ndarray, confidence: float, n_units: int) -> Interval:
    """The bootstrap's standard interval: a value, and its standard error times a t quantile.

    Resamples of n units vary too little, by the square root of (n - 1) / n, and tell their
    deviation as inexactly as n units do: hence the factor, and t with n - 1 degrees of freedom. The
    interval lies about the value, not about the resamples: resampling makes classes more uneven,
    which PSDS punishes. Undefined resamples are left out.
    """
    defined = resampled[~np.isnan(resampled)]
    if len(defined) < 2 or n_units < 2 or np.isnan(value):
        return Interval(value)
    error = float(defined.std(ddof=1)) * math.sqrt(n_units / (n_units - 1))
    half = float(stdtrit(n_units - 1, (1 + confidence) / 2)) * error
    return Resampled.of(Interval(value, value - half, value + half), resampled)


@dataclass(frozen=True)
class Drawing:
    """How the intervals of a set are made: what is drawn together, how often, at which level."""

    units: Sequence[Hashable]
    """The unit of each clip."""
    resamples: int
    confidence: float

    @cached_property
    def _unit(self) -> np.ndarray:
        """The units numbered as they first occur (clip)."""
        numbers: dict[Hashable, int] = {}
        return np.array([numbers.setdefault(unit, len(numbers)) for unit in self.units], dtype=int)

    @cached_property
    def n_units(self) -> int:
        return len(set(self.units))

    @cached_property
    def weights(self) -> np.ndarray:
        """How often each clip counts (resample, clip): as often as its unit is drawn."""
        return draws(self.n_units, self.resamples)[:, self._unit]

    def around(self, value: float, resampled: np.ndarray) -> Interval:
        """The interval of a value, from those that `weights` gave."""
        return around(value, resampled, self.confidence, self.n_units)

    def interval(self, counts: PerClip, statistic: Callable[[Any], float]) -> Interval:
        """A statistic of total counts with its interval."""
        value = statistic(counts.total())
        values = [statistic(total) for total in counts.resampled(self.weights)]
        return self.around(value, np.array(values, dtype=float))
