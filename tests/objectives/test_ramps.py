"""Ramps at their ends and in between."""

import math

import pytest

from sedrepro.objectives.ramps import decay, exponential


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (0, math.exp(-5)),
        (1, math.exp(-5 * (5899 / 5900) ** 2)),
        (2950, math.exp(-1.25)),
        (5900, 1.0),
        (23600, 1.0),
    ],
)
def test_exponential(step, expected):
    assert exponential(step, 5900) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("step", "expected"), [(1, 0.5), (2, 2 / 3), (998, 998 / 999), (999, 0.999), (5000, 0.999)]
)
def test_decay(step, expected):
    assert decay(step, 0.999) == pytest.approx(expected, rel=1e-12)
