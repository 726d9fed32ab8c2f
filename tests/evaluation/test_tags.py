"""The families of tags, counted by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sedrepro import tables
from sedrepro.evaluation.measures import Scored, Truth
from sedrepro.evaluation.tags import measure, measure_desed
from sedrepro.settings.declared import OWN
from sedrepro.settings.project import Report

CLASSES = ["Bark", "Bus", "Cat"]
EVENTS = [("x", "Bark", 0, 2, 1.0), ("x", "Bus", 1, 3, 1.0), ("y", "Bark", 2, 6, 1.0)]
AT_HALF = SimpleNamespace(decoding=SimpleNamespace(threshold=0.5))


def truth() -> Truth:
    events = pd.DataFrame(EVENTS, columns=tables.EVENTS)
    return Truth(["x", "y", "z"], np.full(3, 10.0), CLASSES, events, 3)


def test_each_family_counts_its_own_scores():
    """Bark is found in one clip of two and wrongly in another, Bus never; of Cat there is none."""
    clip = np.array([[0.9, 0.1, 0.2], [0.3, 0.2, 0.1], [0.6, 0.4, 0.4]])
    masked = np.array([[0.9, 0.6, 0.2], [0.7, 0.2, 0.1], [0.1, 0.4, 0.4]])
    scored = Scored("test", "teacher", 1.0, {"clip": clip, "clip_desed": masked})
    for family, expected in ((measure, (1 / 2 + 0) / 2), (measure_desed, (1 + 1 + 0) / 3)):
        found = family(scored, truth(), AT_HALF, Report(bootstrap=20))
        ((name, implementation, label),) = found.values
        assert (name, implementation, label) == ("weak_f1", OWN, "")
        number = found.values[name, implementation, label]
        assert number.value == pytest.approx(expected)
        assert number.low <= number.value <= number.high
