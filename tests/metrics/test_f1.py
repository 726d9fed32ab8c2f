import warnings

import numpy as np
import pytest

from sedrepro.metrics.decode import detect
from sedrepro.metrics.events import Events, Reference
from sedrepro.metrics.f1 import (
    INTERSECTION,
    F1Counts,
    class_f1,
    clip_counts,
    collar_counts,
    intersection_counts,
    intersection_f1,
    macro_f1,
    macro_f1_of_all,
    macro_f1_of_found,
    micro_f1,
    segment_counts,
)
from sedrepro.metrics.intersection import count
from sedrepro.metrics.packages import (
    _quietly,
    psds_eval_f1,
    sed_eval_event_f1,
    sed_eval_segment_f1,
)

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


def grid(rng, clips: int, classes: int) -> Events:
    """Events that begin and end at eighths of a second: many lie exactly on a collar."""
    rows = []
    for clip in range(clips):
        for label in range(classes):
            times = np.sort(rng.choice(48, 2 * rng.integers(0, 4), replace=False)) / 8
            rows += [(clip, label, *pair) for pair in times.reshape(-1, 2)]
    return Events.of(rows)


def most_pairs(left: list, right: list, fits) -> int:
    """The largest matching, by trying everything."""
    if not left:
        return 0
    found = most_pairs(left[1:], right, fits)
    for one in right:
        if fits(left[0], one):
            rest = [other for other in right if other is not one]
            found = max(found, 1 + most_pairs(left[1:], rest, fits))
    return found


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("onset", "offset", "share"), [(0.25, 0.25, 0.0), (0.5, 0.25, 0.5), (0.125, 0.5, 1.0)]
)
def test_events_on_their_collars_are_found(seed, onset, offset, share):
    rng = np.random.default_rng(seed)
    events = grid(rng, 5, 2)
    begins, ends = (t + rng.integers(-6, 7, len(events)) / 8 for t in (events.onset, events.offset))
    detected = Events(events.clip, rng.integers(0, 2, len(events)), begins, ends)
    truth = Reference(list("abcde"), np.full(5, 6.0), ["x", "y"], events)

    def fits(found, true):
        collar = max(offset, share * (true[1] - true[0]))
        return abs(found[0] - true[0]) <= onset and abs(found[1] - true[1]) <= collar

    options = {"onset_collar": onset, "offset_collar": offset, "offset_share": share}
    counts = collar_counts(detected, truth, **options)
    for clip in range(5):
        for label in range(2):
            found, true = (
                list(zip(all_of.onset[here], all_of.offset[here], strict=True))
                for all_of in (detected, events)
                for here in [(all_of.clip == clip) & (all_of.label == label)]
            )
            pairs = most_pairs(found, true, fits)
            cell = (counts.tp[clip, label], counts.fp[clip, label], counts.fn[clip, label])
            assert cell == (pairs, len(found) - pairs, len(true) - pairs)
    assert counts.tp.any()


@pytest.mark.parametrize("seconds", [0.5, 1.0])
def test_segments_are_counted_one_by_one(seconds):
    rng = np.random.default_rng(1)
    detected, events = grid(rng, 4, 2), grid(rng, 4, 2)
    truth = Reference(list("abcd"), np.full(4, 6.0), ["x", "y"], events)
    counts = segment_counts(detected, truth, seconds=seconds)

    def active(all_of, clip, label, index):
        here = (all_of.clip == clip) & (all_of.label == label)
        begins, ends = all_of.onset[here], all_of.offset[here]
        return bool(((begins < (index + 1) * seconds) & (ends > index * seconds)).any())

    for clip in range(4):
        for label in range(2):
            pairs = [
                (active(detected, clip, label, index), active(events, clip, label, index))
                for index in range(round(6 / seconds))
            ]
            wanted = [pairs.count(kind) for kind in ((True, True), (True, False), (False, True))]
            found = [counts.tp[clip, label], counts.fp[clip, label], counts.fn[clip, label]]
            assert found == wanted
    total = segment_counts(detected, truth).total()
    assert total.tp.tolist() == segment_counts(detected, truth, seconds=1.0).total().tp.tolist()


def test_averages_of_three_classes_of_which_one_has_no_truth_and_one_is_never_found():
    total = F1Counts(np.array([3.0, 0, 0]), np.array([1.0, 2, 4]), np.array([2.0, 0, 5]))
    first = 2 * 3 / (2 * 3 + 1 + 2)
    np.testing.assert_allclose(class_f1(total), [first, np.nan, 0])
    assert macro_f1(total) == pytest.approx(first / 2)
    assert macro_f1_of_all(total) == pytest.approx(first / 3)
    assert macro_f1_of_found(total) == pytest.approx(first)
    assert micro_f1(total) == pytest.approx(2 * 3 / (2 * 3 + 1 + 4 + 2 + 5))
    once = F1Counts(np.array([1.0, 0.0]), np.zeros(2), np.array([0.0, 1.0]))
    assert class_f1(once).tolist() == [1, 0]
    assert micro_f1(once) == pytest.approx(2 / 3)
    assert macro_f1_of_found(once) == 1
    nothing = F1Counts(*np.zeros((3, 2)))
    assert np.isnan(macro_f1(nothing))
    assert np.isnan(micro_f1(nothing))
    assert macro_f1_of_all(nothing) == 0


def test_a_clip_score_at_the_threshold_is_no_tag():
    scores, tags = np.array([[0.5, 0.75], [0.25, 0.5]]), np.array([[1, 0], [0, 1]])
    counts = clip_counts(scores, tags)
    assert counts.tp.tolist() == [[0, 0], [0, 0]]
    assert counts.fp.tolist() == [[0, 1], [0, 0]]
    assert counts.fn.tolist() == [[1, 0], [0, 1]]
    assert clip_counts(scores, tags, threshold=0.25).tp.tolist() == [[1, 0], [0, 1]]


def test_scores_are_decoded_at_one_half_and_cut_at_the_end_of_their_clip_unless_told():
    scores = np.zeros((1, 8, 1), np.float32)
    scores[0, :, 0] = 0.75
    truth = Reference(["a"], np.array([1.0]), ["x"], Events.of([(0, 0, 0.0, 1.0)]))
    given = {"scores": scores, "truth": truth, "hop": 0.5, "windows": [1]}
    assert intersection_f1(**given) == 1  # a second is left of the four
    assert intersection_f1(**given, trim=False) == 0
    assert intersection_f1(**given, threshold=0.75) == 0


def test_counts_of_an_operating_point_are_those_of_the_first_unless_told():
    scores = np.zeros((1, 4, 1), np.float32)
    scores[0, :2, 0] = 0.5
    truth = Reference(["a"], np.array([4.0]), ["x"], Events.of([(0, 0, 0.0, 2.0)]))
    points = [lambda t=t: detect(scores, t, hop=1.0) for t in (0.75, 0.25)]
    (counts,) = count(points, truth, [INTERSECTION])
    assert intersection_counts(counts).tp.tolist() == [[0]]
    assert intersection_counts(counts, 1).tp.tolist() == [[1]]


def test_what_packages_say_of_themselves_is_not_repeated(recwarn):
    warnings.simplefilter("always")
    with _quietly():
        warnings.warn("I am deprecated", stacklevel=1)
        assert np.isnan(np.float64(0) / np.float64(0))
    assert not recwarn.list
    warnings.warn("but others are heard", stacklevel=1)
    assert len(recwarn.list) == 1
