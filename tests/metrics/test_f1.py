import numpy as np
import pytest

from sedrepro.metrics.decode import detect
from sedrepro.metrics.events import Events, Reference
from sedrepro.metrics.f1 import (
    INTERSECTION,
    class_f1,
    clip_counts,
    collar_counts,
    intersection_counts,
    intersection_f1,
    macro_f1,
    macro_f1_of_found,
    micro_f1,
    segment_counts,
)
from sedrepro.metrics.intersection import count
from sedrepro.metrics.packages import psds_eval_f1, sed_eval_event_f1, sed_eval_segment_f1

NOTHING = Events.of([])


def intersection_total(detected, truth):
    (counts,) = count([lambda: detected], truth, [INTERSECTION])
    return intersection_counts(counts).total()


def test_known_values_of_a_real_system(student):
    truth, _, detected = student
    total = intersection_total(detected, truth)
    assert macro_f1(total) == pytest.approx(0.637417047852, abs=1e-9)
    assert macro_f1_of_found(total) == macro_f1(total)
    assert psds_eval_f1(detected, truth, INTERSECTION) == pytest.approx(0.637417047852, abs=1e-9)
    # One onset lies exactly on the collar.
    event = collar_counts(detected, truth).total()
    assert macro_f1(event) == pytest.approx(0.398728161794, abs=6e-4)
    assert micro_f1(event) == pytest.approx(0.409501061571, abs=6e-4)
    segment = segment_counts(detected, truth).total()
    assert macro_f1(segment) == pytest.approx(0.693525560985, abs=1e-9)
    assert micro_f1(segment) == pytest.approx(0.754657812212, abs=1e-9)


def test_known_values_by_sed_eval(student):
    truth, _, detected = student
    event, segment = sed_eval_event_f1(detected, truth), sed_eval_segment_f1(detected, truth)
    assert event.macro == pytest.approx(0.398728161794, abs=6e-4)
    assert event.micro == pytest.approx(0.409501061571, abs=6e-4)
    assert segment.macro == pytest.approx(0.693525560985, abs=1e-9)
    assert segment.micro == pytest.approx(0.754657812212, abs=1e-9)


@pytest.mark.parametrize("seed", range(6))
def test_agree_with_the_packages(simulate, seed):
    scores, truth = simulate(seed, clips=20)
    detected = detect(scores, 0.3, hop=0.064, seconds=truth.seconds)
    total = intersection_total(detected, truth)
    assert macro_f1_of_found(total) == pytest.approx(psds_eval_f1(detected, truth, INTERSECTION))
    event, theirs = collar_counts(detected, truth).total(), sed_eval_event_f1(detected, truth)
    assert macro_f1(event) == pytest.approx(theirs.macro)
    assert dict(zip(truth.classes, class_f1(event), strict=True)) == pytest.approx(theirs.by_class)
    segment, theirs = segment_counts(detected, truth).total(), sed_eval_segment_f1(detected, truth)
    assert macro_f1(segment) == pytest.approx(theirs.macro)
    assert micro_f1(segment) == pytest.approx(theirs.micro)
    assert 0 < macro_f1(event) < macro_f1(segment)


def test_a_class_without_truth_does_not_count_in_the_micro_average():
    truth = Reference(["a"], np.array([10.0]), ["x", "y"], Events.of([(0, 0, 0, 2), (0, 0, 5, 6)]))
    detected = Events.of([(0, 0, 0, 2), (0, 1, 4, 6)])
    value = micro_f1(collar_counts(detected, truth).total())
    assert value == pytest.approx(2 / 3)
    assert value == pytest.approx(sed_eval_event_f1(detected, truth).micro)
    nothing = Reference(["a"], np.array([10.0]), ["x"], NOTHING)
    assert np.isnan(micro_f1(collar_counts(NOTHING, nothing).total()))


def test_a_class_never_found_is_left_out_by_the_package_and_zero_by_us():
    truth = Reference(["a"], np.array([10.0]), ["x", "y"], Events.of([(0, 0, 0, 2), (0, 1, 4, 6)]))
    detected = Events.of([(0, 0, 0, 2)])
    total = intersection_total(detected, truth)
    assert macro_f1(total) == 0.5
    assert macro_f1_of_found(total) == 1.0
    assert psds_eval_f1(detected, truth, INTERSECTION) == 1.0
    assert sed_eval_event_f1(detected, truth).macro == 0.5
    assert macro_f1(collar_counts(detected, truth).total()) == 0.5


def test_saying_nothing_scores_zero(simulate):
    _, truth = simulate(0)
    assert macro_f1(intersection_total(NOTHING, truth)) == 0
    assert macro_f1(collar_counts(NOTHING, truth).total()) == 0
    assert macro_f1(segment_counts(NOTHING, truth).total()) == 0
    assert sed_eval_event_f1(NOTHING, truth).macro == 0
    assert np.isnan(psds_eval_f1(NOTHING, truth, INTERSECTION))
    assert np.isnan(macro_f1_of_found(intersection_total(NOTHING, truth)))


def test_false_alarms_of_a_class_without_truth_leave_the_macro_mean_alone(simulate):
    scores, truth = simulate(4)
    events = truth.events[truth.events.label != 2]
    truth = Reference(truth.clips, truth.seconds, truth.classes, events)
    detected = detect(scores, 0.2, hop=0.064)
    assert (detected.label == 2).any()
    event = collar_counts(detected, truth).total()
    assert np.isnan(class_f1(event)[2])
    assert macro_f1(event) == pytest.approx(sed_eval_event_f1(detected, truth).macro)


def test_matching_finds_the_most_pairs():
    # Greedy matching gives the first detection the first truth and leaves the second alone.
    truth = Reference(["a"], np.array([9.0]), ["x"], Events.of([(0, 0, 1.0, 5), (0, 0, 1.3, 5.1)]))
    detected = Events.of([(0, 0, 1.15, 5.0), (0, 0, 0.9, 5.0)])
    assert collar_counts(detected, truth).total().tp.tolist() == [2]


def test_long_events_have_a_wider_offset_collar():
    truth = Reference(["a"], np.array([20.0]), ["x"], Events.of([(0, 0, 0, 10)]))
    for offset, hit in ((11.9, 1), (12.1, 0), (8.1, 1), (7.9, 0)):
        assert collar_counts(Events.of([(0, 0, 0, offset)]), truth).total().tp.tolist() == [hit]


def test_a_segment_is_active_if_an_event_touches_it():
    truth = Reference(["a"], np.array([10.0]), ["x"], Events.of([(0, 0, 0.9, 2.1)]))
    total = segment_counts(Events.of([(0, 0, 2.0, 4.0)]), truth).total()
    assert (total.tp[0], total.fp[0], total.fn[0]) == (1, 1, 2)


def test_weak_f1_is_that_of_scikit_learn():
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    scores, tags = rng.random((50, 4)), rng.random((50, 4)) < 0.3
    expected = f1_score(tags, scores > 0.5, average="macro")
    assert macro_f1(clip_counts(scores, tags).total()) == pytest.approx(expected)


def test_from_scores_in_one_call(simulate):
    scores, truth = simulate(5)
    value = intersection_f1(
        scores=scores, truth=truth, hop=0.064, windows=[1, 3, 4, 7], threshold=0.3
    )
    from scipy import ndimage

    for label, window in enumerate([1, 3, 4, 7]):
        scores[:, :, label] = ndimage.median_filter(scores[:, :, label], size=(1, window))
    detected = detect(scores, 0.3, hop=0.064, seconds=truth.seconds)
    assert value == macro_f1(intersection_total(detected, truth))
    assert 0 < value < 1
