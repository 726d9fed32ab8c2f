"""Bootstrap over clips. Counts per clip are kept, so a resample is a weighted sum of counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np


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

    Resamples of one number of clips are always the same draws, so those of two systems on the same
    clips are pairs: their differences make the interval of the difference.
    """

    values: np.ndarray
    """Every resample's value (resample), NaN where it is undefined."""

    @classmethod
    def of(cls, interval: Interval, values: np.ndarray) -> Resampled:
        made = cls(*interval)
        made.values = values
        return made


def draws(n_clips: int, resamples: int, *, seed: int = 0) -> np.ndarray:
    """How often each clip is drawn (resample, clip); a pure function of its arguments."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(n_clips, np.full(n_clips, 1 / n_clips), size=resamples)


def around(value: float, resampled: np.ndarray, confidence: float) -> Interval:
    """The value with the central interval of resampled values, moved so that their median is on it.

    Resampling makes classes more uneven, which PSDS punishes: unmoved, its interval lies too low,
    and with few clips beside the value. Undefined resamples are left out.
    """
    defined = resampled[~np.isnan(resampled)]
    if not len(defined) or np.isnan(value):
        return Interval(value)
    ends = [(1 - confidence) / 2, 0.5, (1 + confidence) / 2]
    low, middle, high = np.quantile(defined, ends)
    interval = Interval(value, float(value + low - middle), float(value + high - middle))
    return Resampled.of(interval, resampled)


def bootstrap(
    counts: PerClip,
    statistic: Callable[[Any], float],
    *,
    resamples: int,
    confidence: float,
    seed: int = 0,
) -> Interval:
    """A statistic of total counts with its interval over resampled clips."""
    value = statistic(counts.total())
    if not resamples:
        return Interval(value)
    weights = draws(counts.n_clips, resamples, seed=seed)
    values = [statistic(total) for total in counts.resampled(weights)]
    return around(value, np.array(values), confidence)
