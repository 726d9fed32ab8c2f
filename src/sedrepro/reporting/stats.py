"""Means, intervals and verdicts: pure functions, the rule of which stands in docs/results.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from itertools import combinations
from typing import Literal, NamedTuple

from scipy.special import stdtrit

from ..errors import SedreproError
from ..metrics.resamples import Drawn

REPRODUCED = "reproduced"
WITHIN_SPREAD = "within published spread"
INCONCLUSIVE = "inconclusive"
NOT_REPRODUCED = "not reproduced"
NOT_COMPARABLE = "not comparable"
NO_PUBLISHED_NUMBER = "no published number"
NOT_RUN = "not run"
VERDICTS = (
    REPRODUCED,
    WITHIN_SPREAD,
    INCONCLUSIVE,
    NOT_REPRODUCED,
    NOT_COMPARABLE,
    NO_PUBLISHED_NUMBER,
    NOT_RUN,
)
RECOMPUTED = "recomputed"
RECOMPUTED_OTHER_VERSION = "recomputed, other version"
NOT_RECOMPUTED = "not recomputed"
"""Verdicts on released systems: scoring them again is no reproduction of their training."""
JUDGED = (REPRODUCED, WITHIN_SPREAD, INCONCLUSIVE, NOT_REPRODUCED)

ENOUGH = 0.95
"""The share of expected clips from which on a number is judged, its partial data stated beside."""

MARGIN = 0.03
"""How far an interval may reach to either side and still show that a number is reproduced."""


def coverage(found: float, expected: float) -> Literal["whole", "partial", "short"]:
    """Whether clips that are missing only have to be named, or forbid a comparison."""
    if found >= expected:
        return "whole"
    return "partial" if found >= ENOUGH * expected else "short"


@dataclass(frozen=True)
class Measured:
    """One run's value, or one pair's difference; its interval over clips and its resamples."""

    value: float
    low: float | None = None
    high: float | None = None
    draws: Drawn | None = None
    fold: int | None = None


Source = Literal["both", "runs", "clips", "none"]
"""What an interval speaks of: runs and clips, either of them alone, or nothing."""


@dataclass(frozen=True)
class Summary:
    """What several runs say together; NaN is kept, so that nobody takes it for a number."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int
    interval: Source

    @property
    def finite(self) -> bool:
        return math.isfinite(self.mean)


UNITS = {"clip": "clips", "recording": "recordings", "video": "videos"}
UNITS["events"] = "event recordings"


def estimand(interval: Source, unit: str = "clip") -> str:
    """What lies in the interval at its level of confidence."""
    units = UNITS.get(unit, UNITS["clip"])
    return {
        "both": f"another training, other {units}",
        "runs": f"another training, these {units}",
        "clips": f"this model, other {units}",
        "none": "no interval",
    }[interval]


def t_interval(values: Sequence[float], confidence: float) -> tuple[float, float, float, float]:
    """Mean, standard deviation (n - 1) and the t-interval of the mean of at least two values."""
    return random_effects(values, 0.0, 2, confidence)


def random_effects(
    values: Sequence[float], shared: float, units: int, confidence: float
) -> tuple[float, float, float, float]:
    """Mean, standard deviation and interval of values that are all from the same clips.

    `shared` is the covariance of two values that comes from the clips. The variance of the mean is
    Obuchowski and Rockette's (1995): the deviation of n values tells all but what they share. The
    quantile is Cochran and Cox's (1950): t for the runs and t for the units, weighted by their
    parts of the variance; it holds the mean at least as often as it says, with two runs too.
    """
    n = len(values)
    mean = math.fsum(values) / n
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    parts = [(sd**2 / n, n - 1), (shared, units - 1)]
    variance = sum(part for part, _ in parts)
    if not variance:
        return mean, sd, mean, mean
    upper = (1 + confidence) / 2
    t = sum(part * float(stdtrit(df, upper)) for part, df in parts if part) / variance
    half = t * math.sqrt(variance)
    return mean, sd, mean - half, mean + half


def shared_variance(runs: Sequence[Measured]) -> float | None:
    """The mean covariance of two runs that comes from their clips; None where it is not known.

    Two runs on the same clips were resampled alike, so their resamples tell it; runs of two folds
    share no clips.
    """
    total, pairs = 0.0, 0
    for one, other in combinations(runs, 2):
        pairs += 1
        if one.fold != other.fold:
            continue
        if one.draws is None or other.draws is None or not one.draws.pairs_with(other.draws):
            return None
        covariance = one.draws.covariance(other.draws)
        if covariance is None:
            return None
        total += covariance
    return max(0.0, total / pairs)


def summarise(runs: Sequence[Measured], confidence: float) -> Summary | None:
    """Runs of one cell: one keeps its interval over clips, several have one of runs and clips."""
    if not runs:
        return None
    values = [run.value for run in runs]
    if not all(map(math.isfinite, values)):
        return Summary(math.nan, None, None, None, len(runs), "none")
    if len(runs) > 1:
        shared = shared_variance(runs)
        if shared is None:
            mean, sd, low, high = t_interval(values, confidence)
            return Summary(mean, sd, low, high, len(runs), "runs")
        units = min((run.draws.units for run in runs if run.draws is not None), default=2)
        mean, sd, low, high = random_effects(values, shared, units, confidence)
        return Summary(mean, sd, low, high, len(runs), "both")
    only = runs[0]
    if only.low is None or only.high is None or not math.isfinite(only.low + only.high):
        return Summary(only.value, None, None, None, 1, "none")
    return Summary(only.value, None, only.low, only.high, 1, "clips")


def of_scores(summary: Summary | None) -> Summary | None:
    """Every score lies between 0 and 1, and so does what it may truly be."""
    if summary is None or summary.low is None or summary.high is None:
        return summary
    return replace(summary, low=max(0.0, summary.low), high=min(1.0, summary.high))


def verdict(
    ours: Summary | None,
    published: float | None,
    published_sd: float | None = None,
    *,
    obstacles: Sequence[str] = (),
) -> str:
    """Whether a published number is reproduced; `obstacles` are reasons why none can be compared.

    That an interval holds the published number says little where it would hold any: one that
    reaches further than the margin, or than the published spread if that is larger, is
    inconclusive. So is a value without an interval, unless it lies within that spread.
    """
    if ours is None:
        return NOT_RUN
    if published is None:
        return NO_PUBLISHED_NUMBER
    if obstacles or not ours.finite:
        return NOT_COMPARABLE
    low, high, spread = ours.low, ours.high, published_sd or 0.0
    if low is not None and high is not None and low <= published <= high:
        reach = max(high - ours.mean, ours.mean - low)
        return REPRODUCED if reach <= max(MARGIN, spread) else INCONCLUSIVE
    if published_sd is not None and abs(ours.mean - published) <= spread:
        return WITHIN_SPREAD
    return INCONCLUSIVE if low is None or high is None else NOT_REPRODUCED


CHECKPOINTS_MAY_DIFFER = Decimal("0.003")
"""What another front end or resampler may move the score of somebody's weights by."""


class Versions(NamedTuple):
    """A metric of one released system by two versions of a package, as printed numbers."""

    ours: str
    """By the version in use here."""
    other: str
    """By the version that the published number is of."""


def recomputed(
    ours: float | None,
    published: str,
    kind: Literal["detections", "checkpoint"],
    versions: Sequence[Versions] = (),
) -> str:
    """Whether a released system scores what its authors print; never judged by an interval.

    Detections must give the published cell at the precision that it is printed with; weights may
    differ a little. `versions` are known pairs: where ours is the first and the published number
    the second, the package's version explains the difference.
    """
    if ours is None:
        return NOT_RUN
    if not published.strip():
        return NO_PUBLISHED_NUMBER
    if not math.isfinite(ours):
        return NOT_COMPARABLE
    value, cell = Decimal(repr(float(ours))), _printed(published)
    within = CHECKPOINTS_MAY_DIFFER if kind == "checkpoint" else _half_a_digit(cell)
    if abs(value - cell) <= within:
        return RECOMPUTED
    for pair in versions:
        here, there = _printed(pair.ours), _printed(pair.other)
        same = abs(there - cell) <= _half_a_digit(cell)
        if same and abs(value - here) <= _half_a_digit(here):
            return RECOMPUTED_OTHER_VERSION
    return NOT_RECOMPUTED


def _printed(text: str) -> Decimal:
    try:
        return Decimal(text.strip())
    except InvalidOperation:
        raise SedreproError(f"{text!r} is not a number as tables print them") from None


def _half_a_digit(printed: Decimal) -> Decimal:
    """How far a value can lie from its printed form: half of the last place."""
    exponent = printed.as_tuple().exponent
    assert isinstance(exponent, int)  # it is a finite number
    return Decimal(1).scaleb(exponent) / 2
