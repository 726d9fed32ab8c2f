"""Means, intervals and verdicts: pure functions, the rule of which stands in docs/results.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Literal, NamedTuple

from scipy.special import stdtrit

from ..errors import SedreproError

REPRODUCED = "reproduced"
WITHIN_SPREAD = "within published spread"
NOT_REPRODUCED = "not reproduced"
NOT_COMPARABLE = "not comparable"
NO_PUBLISHED_NUMBER = "no published number"
NOT_RUN = "not run"
VERDICTS = (
    REPRODUCED,
    WITHIN_SPREAD,
    NOT_REPRODUCED,
    NOT_COMPARABLE,
    NO_PUBLISHED_NUMBER,
    NOT_RUN,
)
RECOMPUTED = "recomputed"
RECOMPUTED_OTHER_VERSION = "recomputed, other version"
NOT_RECOMPUTED = "not recomputed"
"""Verdicts on released systems: scoring them again is no reproduction of their training."""
JUDGED = (REPRODUCED, WITHIN_SPREAD, NOT_REPRODUCED)

ENOUGH = 0.95
"""The share of expected clips from which on a number is judged, its partial data stated beside."""


def coverage(found: float, expected: float) -> Literal["whole", "partial", "short"]:
    """Whether clips that are missing only have to be named, or forbid a comparison."""
    if found >= expected:
        return "whole"
    return "partial" if found >= ENOUGH * expected else "short"


@dataclass(frozen=True)
class Measured:
    """One run's value with the bootstrap interval over its clips, if there is one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Summary:
    """What several runs say together; NaN is kept, so that nobody takes it for a number."""

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int
    interval: Literal["runs", "clips", "none"]
    """Where the interval comes from: t-interval over runs, bootstrap over clips, or nowhere."""

    @property
    def finite(self) -> bool:
        return math.isfinite(self.mean)


def t_interval(values: Sequence[float], confidence: float) -> tuple[float, float, float, float]:
    """Mean, standard deviation (n - 1) and the t-interval of the mean of at least two values."""
    n = len(values)
    mean = math.fsum(values) / n
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    half = float(stdtrit(n - 1, (1 + confidence) / 2)) * sd / math.sqrt(n)
    return mean, sd, mean - half, mean + half


def summarise(runs: Sequence[Measured], confidence: float) -> Summary | None:
    """Runs of one cell: two or more give a t-interval, one keeps its bootstrap interval."""
    if not runs:
        return None
    values = [run.value for run in runs]
    if not all(map(math.isfinite, values)):
        return Summary(math.nan, None, None, None, len(runs), "none")
    if len(runs) > 1:
        mean, sd, low, high = t_interval(values, confidence)
        return Summary(mean, sd, *_within(low, high), len(runs), "runs")
    only = runs[0]
    if only.low is None or only.high is None or not math.isfinite(only.low + only.high):
        return Summary(only.value, None, None, None, 1, "none")
    return Summary(only.value, None, *_within(only.low, only.high), 1, "clips")


def _within(low: float, high: float) -> tuple[float, float]:
    """Every score lies between 0 and 1, and so does what it may truly be."""
    return max(0.0, low), min(1.0, high)


def verdict(
    ours: Summary | None,
    published: float | None,
    published_sd: float | None = None,
    *,
    obstacles: Sequence[str] = (),
) -> str:
    """Whether a published number is reproduced; `obstacles` are reasons why none can be compared.

    Without an interval of our own only the published spread can make room for a difference.
    """
    if ours is None:
        return NOT_RUN
    if published is None:
        return NO_PUBLISHED_NUMBER
    if obstacles or not ours.finite:
        return NOT_COMPARABLE
    low, high = ours.low, ours.high
    if low is not None and high is not None and low <= published <= high:
        return REPRODUCED
    if published_sd is not None and abs(ours.mean - published) <= published_sd:
        return WITHIN_SPREAD
    return NOT_REPRODUCED


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
    return Decimal(1).scaleb(printed.as_tuple().exponent) / 2
