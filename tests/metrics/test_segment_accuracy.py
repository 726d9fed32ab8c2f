"""Accuracy of seconds: the formula on the real test split, and what is drawn when resampling."""

from __future__ import annotations

import numpy as np
import pytest

from sedrepro.metrics.bootstrap import Drawing
from sedrepro.metrics.events import reference
from sedrepro.metrics.segments import Shares, accuracy, labels, share
from sedrepro.settings.classes import AVE_CLASSES
from sedrepro.sources import ave


@pytest.fixture(scope="module")
def test_split(acceptance):
    """The true classes of the official test split."""
    rows = ave.read_annotations(acceptance / "ave/Annotations.txt", AVE_CLASSES)
    chosen = [rows[i] for i in ave.order(acceptance / "ave/test_order.h5", len(rows))]
    events = tuple(zip(*((r.clip, r.label, r.start, r.end) for r in chosen), strict=True))
    truth = reference(
        clips=[r.clip for r in chosen],
        seconds=[10.0] * len(chosen),
        classes=list(AVE_CLASSES),
        events=events,
    )
    return labels(truth, ave.SECONDS)


def one_hot(label):
    return np.eye(29)[label]


def test_4020_decisions_and_the_oracle_lines(test_split):
    assert test_split.size == 4020
    assert accuracy(one_hot(test_split), test_split).total() == (4020, 4020)
    # A perfect video classifier that never says background.
    category = np.where(test_split < 28, test_split, -1).max(1, keepdims=True)
    always = np.broadcast_to(category, test_split.shape)
    assert accuracy(one_hot(always), test_split).total() == (3305, 4020)
    assert round(100 * share(accuracy(one_hot(always), test_split).total()), 2) == 82.21
    nothing = np.full_like(test_split, 28)
    assert round(100 * share(accuracy(one_hot(nothing), test_split).total()), 2) == 17.79


def test_it_is_the_formula_decision_by_decision():
    draw = np.random.default_rng(0)
    scores, truth = draw.random((7, 10, 5)), draw.integers(0, 5, (7, 10))
    right = 0
    for clip in range(7):
        for t in range(10):
            best = max(range(5), key=lambda c: scores[clip, t, c])
            right += best == truth[clip, t]
    assert share(accuracy(scores, truth).total()) == right / 70


def test_a_second_is_an_events_from_its_onset_to_before_its_offset():
    truth = reference(
        clips=["x", "y"],
        seconds=[10, 10],
        classes=["a", "b"],
        events=(["x"], ["b"], [2.0], [5.0]),
    )
    assert labels(truth, 10).tolist() == [[2, 2, 1, 1, 1, 2, 2, 2, 2, 2], [2] * 10]


def test_resampling_draws_videos_not_seconds():
    """Videos all right or all wrong spread ten times wider than single seconds would."""
    hits = np.array([10, 0] * 20)
    clustered = Drawing(range(40), 1000, 0.95).interval(Shares(hits, np.full(40, 10)), share)
    seconds = Shares(np.repeat([1, 0], 200), np.ones(400, int))
    single = Drawing(range(400), 1000, 0.95).interval(seconds, share)
    assert clustered.value == single.value == 0.5
    ratio = (clustered.high - clustered.low) / (single.high - single.low)
    assert ratio == pytest.approx(10**0.5, rel=0.15)
