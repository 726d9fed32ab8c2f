import numpy as np
import pytest

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


def test_the_interval_holds_its_share_of_the_resamples(simulate):
    scores, truth = simulate(8, clips=40)
    (counts,) = count(points_of(scores, truth), truth, [SCENARIOS["psds2"].criteria])
    f1 = intersection_counts(counts, point=3)
    interval = Drawing(range(40), 200, 0.9).interval(f1, macro_f1)
    values = np.array([macro_f1(t) for t in f1.resampled(draws(40, 200))])
    moved = values - np.median(values) + interval.value
    inside = (moved >= interval.low) & (moved <= interval.high)
    assert inside.mean() == pytest.approx(0.9, abs=0.011)
    assert interval.low < interval.value < interval.high
    assert interval.value == macro_f1(f1.total())
    assert Drawing(range(40), 0, 0.9).interval(f1, macro_f1)[1:] == (None, None)


class Shares:
    """Right seconds out of ten, per clip."""

    def __init__(self, right: np.ndarray) -> None:
        self.right, self.n_clips = right, len(right)

    def total(self) -> float:
        return self.right.sum() / (10 * self.n_clips)

    def resampled(self, weights: np.ndarray) -> list[float]:
        return list(weights @ self.right / (10 * self.n_clips))


def test_intervals_over_clips_hold_the_truth_as_often_as_they_say():
    random = np.random.default_rng(5)
    truth, times = 0.7, 600
    held = 0
    for _ in range(times):
        clips = random.binomial(10, random.beta(7, 3, size=60))  # some are harder than others
        found = Drawing(range(60), 200, 0.9).interval(Shares(clips), float)
        held += found.low <= truth <= found.high
    # Three standard errors, and what 60 clips fall short of endless ones.
    assert held / times == pytest.approx(0.89, abs=0.04)


def test_undefined_resamples_are_left_out():
    assert around(2.5, np.array([np.nan, 1.0, np.nan, 3.0]), 1.0) == (2.5, 1.5, 3.5)
    assert around(2.5, np.array([np.nan]), 0.95) == (2.5, None, None)


def _three():
    events = Events.of([(0, 0, 0, 1)])
    return events, Reference(["a", "b", "c"], np.ones(3), ["x"], events)
