import math

import numpy as np
import pytest
from scipy import stats as reference

from sedrepro.metrics.bootstrap import Drawing, around, draws
from sedrepro.metrics.decode import detect, operating_points
from sedrepro.metrics.events import Events, Reference, merge
from sedrepro.metrics.f1 import collar_counts, intersection_counts, macro_f1
from sedrepro.metrics.intersection import count
from sedrepro.metrics.psds import SCENARIOS, psds


def points_of(scores, truth):
    points = operating_points(8)
    return [lambda t=t: detect(scores, t, hop=0.064, seconds=truth.seconds) for t in points]


def duplicated(scores, truth, times):
    """The clips drawn as often as `times` says, as clips of their own."""
    drawn = np.repeat(np.arange(len(times)), times)
    events = truth.events
    rows = [
        (new, events.label[i], events.onset[i], events.offset[i])
        for new, old in enumerate(drawn)
        for i in np.flatnonzero(events.clip == old)
    ]
    clips = [f"{truth.clips[old]}-{new}" for new, old in enumerate(drawn)]
    return scores[drawn], Reference(
        clips, truth.seconds[drawn], truth.classes, merge(Events.of(rows))
    )


def test_draws_replace_every_clip_once_on_average_and_repeat():
    weights = draws(40, 500, seed=3)
    assert (weights.sum(axis=1) == 40).all()
    assert weights.mean() == 1.0
    assert weights.var() == pytest.approx(1 - 1 / 40, rel=0.05)
    np.testing.assert_array_equal(weights, draws(40, 500, seed=3))
    assert (weights != draws(40, 500, seed=4)).any()
    np.testing.assert_array_equal(draws(5, 9), draws(5, 9, seed=0))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_resample_equals_computing_on_duplicated_clips(simulate, name):
    scores, truth = simulate(6, clips=25)
    scenario = SCENARIOS[name]
    (counts,) = count(points_of(scores, truth), truth, [scenario.criteria])
    weights = draws(25, 6)
    resampled = counts.resampled(weights)
    event = collar_counts(detect(scores, 0.4, hop=0.064), truth).resampled(weights)
    values = set()
    for total, event_total, times in zip(resampled, event, weights, strict=True):
        again, drawn = duplicated(scores, truth, times)
        (direct,) = count(points_of(again, drawn), drawn, [scenario.criteria])
        assert psds(total, scenario) == pytest.approx(psds(direct.total(), scenario), abs=1e-9)
        direct_event = collar_counts(detect(again, 0.4, hop=0.064), drawn).total()
        assert macro_f1(event_total) == pytest.approx(macro_f1(direct_event), abs=1e-12)
        values.add(psds(total, scenario))
    assert len(values) == 6


def test_the_interval_is_the_standard_error_times_a_t_quantile(simulate):
    scores, truth = simulate(8, clips=40)
    (counts,) = count(points_of(scores, truth), truth, [SCENARIOS["psds2"].criteria])
    f1 = intersection_counts(counts, point=3)
    interval = Drawing(range(40), 200, 0.9).interval(f1, macro_f1)
    values = [macro_f1(t) for t in f1.resampled(draws(40, 200))]
    middle = sum(values) / 200
    error = math.sqrt(sum((one - middle) ** 2 for one in values) / 199 * 40 / 39)
    low, high = reference.t.interval(0.9, 39, loc=macro_f1(f1.total()), scale=error)
    assert interval == pytest.approx((macro_f1(f1.total()), low, high))
    assert Drawing(range(40), 0, 0.9).interval(f1, macro_f1)[1:] == (None, None)


def test_the_standard_error_of_a_mean_is_its_own():
    """Of a mean the bootstrap must find what the formula of every textbook says."""
    right = np.random.default_rng(2).integers(0, 11, 25)
    found = Drawing(range(25), 20000, 0.95).interval(Shares(right), float)
    low, high = reference.t.interval(
        0.95, 24, loc=right.mean() / 10, scale=reference.sem(right) / 10
    )
    assert (found.low, found.high) == pytest.approx((low, high), rel=0.01)


class Shares:
    """Right seconds out of ten, per clip."""

    def __init__(self, right: np.ndarray) -> None:
        self.right = right
        self.n_clips = len(right)

    def total(self) -> float:
        return self.right.sum() / (10 * self.n_clips)

    def resampled(self, weights: np.ndarray) -> list[float]:
        return list(weights @ self.right / (10 * self.n_clips))


@pytest.mark.parametrize("n", [16, 60])
def test_intervals_over_clips_hold_the_truth_as_often_as_they_say(n):
    random = np.random.default_rng(5)
    truth, times = 0.7, 1000
    held = 0
    for _ in range(times):
        clips = random.binomial(10, random.beta(7, 3, size=n))  # some are harder than others
        found = Drawing(range(n), 200, 0.9).interval(Shares(clips), float)
        held += found.low <= truth <= found.high
    # Three standard errors of a share of 0.9 in 1000 draws.
    assert held / times == pytest.approx(0.9, abs=0.029)


def test_undefined_resamples_are_left_out():
    found = around(2.5, np.array([np.nan, 1.0, np.nan, 3.0]), 0.95, 2)
    half = reference.t.ppf(0.975, 1) * 2  # of 1 and 3 the deviation is √2, and 2 / (2 - 1) = 2
    assert found == pytest.approx((2.5, 2.5 - half, 2.5 + half))
    assert around(2.5, np.array([np.nan, 1.0]), 0.95, 2) == (2.5, None, None)
    assert around(np.nan, np.array([2.0, 1.0]), 0.95, 2)[1:] == (None, None)
    assert around(2.5, np.array([2.5, 2.5]), 0.95, 1) == (2.5, None, None)


def _three():
    events = Events.of([(0, 0, 0, 1)])
    return events, Reference(["a", "b", "c"], np.ones(3), ["x"], events)
