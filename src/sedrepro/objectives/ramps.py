"""How weights, rates and averages grow with the step, counted from 1."""

from __future__ import annotations

import math


def exponential(step: float, length: float) -> float:
    """exp(-5 (1 - step/length)²) up to 1 at `length` steps, then 1."""
    return math.exp(-5 * (1 - min(step, length) / length) ** 2)


def decay(step: int, largest: float) -> float:
    """An average's decay: 1/2 at step 1, then growing to `largest`."""
    return min(1 - 1 / (step + 1), largest)
