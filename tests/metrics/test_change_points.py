"""Boxes against a slow reference: loops over exact fractions, one clip and one class at a time."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from sedrepro.metrics.boxes import Boxes, Shape, box_scores, boxes, class_psds, tune
from sedrepro.metrics.decode import detect
from sedrepro.metrics.events import Events, Reference
from sedrepro.metrics.packages import sed_scores_eval_psds
from sedrepro.metrics.psds import SCENARIOS

HOP = 0.064
GRID = ((0.32, 0.64), (0.15, 0.3), (1.5, 3.0))
SHAPES = [Shape(*values) for values in product(*GRID)]


def scores(seed: int, clips: int = 6, frames: int = 60, classes: int = 1) -> np.ndarray:
    """Noise below events of different loudness; some noise alone, some that is smooth."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-2, 1, (clips, frames, classes))
    for clip, label in product(range(clips), range(classes)):
        for _ in range(rng.integers(0, 4)):
            start, length = rng.integers(0, frames), rng.integers(1, 25)
            logits[clip, start : start + length, label] += rng.uniform(1, 6)
    return (1 / (1 + np.exp(-logits))).astype(np.float32)


class Slow:
    """Boxes of one clip and class: (onset, offset, score), times in quarters of a frame."""

    def __init__(self, frames: list[float], shape: Shape) -> None:
        self.values = [Fraction(round(value * 2**32), 2**32) for value in frames for _ in range(4)]
        self.half = max(1, round(shape.step / 2 / HOP * 4))
        self.shape = shape

    def mean(self, start: int, end: int) -> Fraction:
        total = Fraction(0)
        for time in range(start, end):
            if 0 <= time < len(self.values):
                total += self.values[time]
        return total / (end - start)

    def change(self, time: int) -> Fraction:
        return self.mean(time, time + self.half) - self.mean(time - self.half, time)

    def segments(self) -> list[tuple[int, int]]:
        """From the end of each rise to the start of the next one."""
        length = len(self.values)
        change = [self.change(time) for time in range(length + 1)]
        found, onset, rising = [], None, True
        for time in range(length + 1):
            rises_on = time == length or change[time + 1] > change[time]
            if rising and not rises_on:
                onset = time
            if not rising and rises_on:
                found.append((onset, time))
            rising = rises_on
        return found

    def joins(self, left: tuple[int, int], right: tuple[int, int]) -> bool:
        peak = max(max(self.values[start:end]) for start, end in (left, right))
        dip = min(self.values[left[1] : right[0]])
        return (
            peak - dip <= Fraction(self.shape.merge_abs)
            and peak <= Fraction(self.shape.merge_rel) * dip
        )

    def boxes(self) -> list[tuple[int, int, float]]:
        found: list[tuple[int, int]] = []
        segments = self.segments()
        for index, (start, end) in enumerate(segments):
            if index and self.joins(segments[index - 1], segments[index]):
                found[-1] = (found[-1][0], end)
            else:
                found.append((start, end))
        return [(start, end, float(self.mean(start, end))) for start, end in found]


def rows(made, clip):
    here = made.clip == clip
    return list(zip(made.onset[here], made.offset[here], made.score[here], strict=True))


@pytest.mark.parametrize("shape", [*SHAPES, Shape(0.48, 0.2, 2.0), Shape(0.01, 1.0, 2.0)])
def test_boxes_are_those_of_the_slow_reference(shape):
    given = scores(1)
    given[0] = 0  # nothing at all
    given[1, :, 0] = np.tile([0.9, 0.9, 0.9, 0.1, 0.1], 12)  # equal changes, again and again
    given[2] = 1
    made = boxes(given[:, :, 0], shape, HOP)
    for clip in range(len(given)):
        slow = Slow(given[clip, :, 0].tolist(), shape).boxes()
        fast = rows(made, clip)
        assert [row[:2] for row in fast] == [row[:2] for row in slow]
        np.testing.assert_allclose([row[2] for row in fast], [row[2] for row in slow], rtol=1e-6)


def test_a_loud_event_is_one_box_with_its_own_ends():
    given = np.zeros((1, 40), dtype=np.float32)
    given[0, 10:20] = 0.8
    made = boxes(given, Shape(0.32, 0.2, 2.0), HOP)
    heard = made.score > 0
    assert (made.onset[heard] / 4, made.offset[heard] / 4) == ([10], [20])
    assert made.score[heard] == pytest.approx([0.8])


def test_a_shallow_gap_is_joined_and_a_deep_one_is_not():
    given = np.zeros((2, 60), dtype=np.float32)
    given[:, 10:20] = given[:, 25:40] = 0.8
    given[0, 20:25], given[1, 20:25] = 0.7, 0.3
    made = boxes(given, Shape(0.32, 0.2, 2.0), HOP)
    ends = [[(a / 4, b / 4) for a, b, s in rows(made, clip) if s > 0] for clip in (0, 1)]
    assert ends == [[(10, 40)], [(10, 20), (25, 40)]]


@pytest.mark.parametrize("shape", SHAPES)
def test_a_threshold_chooses_boxes_and_leaves_their_ends(shape):
    given = scores(2, classes=2)
    drawn = box_scores(given, [shape, SHAPES[0]], HOP)
    for label, one in enumerate((shape, SHAPES[0])):
        made = boxes(given[:, :, label], one, HOP)
        for threshold in (0.0, 0.2, 0.5, float(np.median(made.score))):
            found = detect(drawn, threshold, hop=HOP / 4)
            found = found[found.label == label]
            chosen = made.score > np.float32(threshold)
            np.testing.assert_array_equal(found.clip, made.clip[chosen])
            np.testing.assert_allclose(found.onset, made.onset[chosen] * HOP / 4)
            np.testing.assert_allclose(found.offset, made.offset[chosen] * HOP / 4)


def test_scores_played_backwards_give_the_boxes_backwards():
    given = scores(3)[:, :, 0]
    for shape in SHAPES:
        forth, back = boxes(given, shape, HOP), boxes(given[:, ::-1], shape, HOP)
        for clip in range(len(given)):
            turned = [(240 - end, 240 - start, score) for start, end, score in rows(back, clip)]
            assert rows(forth, clip) == turned[::-1]


def test_looser_thresholds_only_join_more():
    given = scores(4)[:, :, 0]
    tight, loose = (
        boxes(given, Shape(0.32, 0.1, 1.5), HOP),
        boxes(given, Shape(0.32, 0.4, 4.0), HOP),
    )
    assert len(loose) < len(tight)
    for clip in range(len(given)):
        outer = rows(loose, clip)
        for start, end, _ in rows(tight, clip):
            assert any(a <= start and end <= b for a, b, _ in outer)


def truth_of(clips: int, classes: int, seed: int) -> Reference:
    rng = np.random.default_rng(seed)
    events = []
    for clip, label in product(range(clips), range(classes)):
        if rng.random() < 0.7:
            onset = rng.uniform(0, 2.5)
            events.append((clip, label, onset, onset + rng.uniform(0.3, 1.2)))
    names = [f"clip{index}" for index in range(clips)]
    return Reference(names, np.full(clips, 3.84), list("abcd")[:classes], Events.of(events))


def heard(truth: Reference, seed: int) -> np.ndarray:
    """Scores that find most of what is true."""
    given = scores(seed, clips=len(truth.clips), classes=len(truth.classes)) * np.float32(0.5)
    events = truth.events
    for clip, label, onset, offset in zip(
        events.clip, events.label, events.onset, events.offset, strict=True
    ):
        given[clip, int(onset / HOP) : int(offset / HOP), label] += np.float32(0.4)
    return given


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("trim", [False, True])
def test_the_score_of_one_class_is_sed_scores_evals(seed, trim):
    truth = truth_of(30, 1, seed)
    given = heard(truth, seed)
    for shape in SHAPES[:3]:
        ours = class_psds(boxes(given[:, :, 0], shape, HOP), 0, truth, hop=HOP, trim=trim)
        drawn = box_scores(given, [shape], HOP)
        theirs = sed_scores_eval_psds(drawn, truth, SCENARIOS["psds1"], hop=HOP / 4, trim=trim)
        assert 0.02 < ours < 1
        assert ours == pytest.approx(theirs, abs=1e-9)


def test_each_class_gets_its_best_shape_and_the_first_of_equals():
    truth = truth_of(24, 3, 5)
    silent = Reference(truth.clips, truth.seconds, [*truth.classes, "never"], truth.events)
    given = np.concatenate([heard(truth, 5), scores(6, clips=24)], axis=2)
    found = tune(given, silent, GRID, hop=HOP, trim=True)
    by_class = [
        [class_psds(boxes(given[:, :, c], s, HOP), c, silent, hop=HOP, trim=True) for s in SHAPES]
        for c in range(3)
    ]
    for label, values in enumerate(by_class):
        assert found[label] == (SHAPES[int(np.argmax(values))], max(values))
    assert len({one.shape for one in found[:3]}) > 1
    # A class without an event takes what is best on average.
    assert found[3] == (SHAPES[int(np.mean(by_class, axis=0).argmax())], None)


@pytest.mark.parametrize(
    ("merge_abs", "merge_rel", "joined"),
    [(0.25, 1.5, True), (0.24, 1.5, False), (0.25, 1.49, False), (1.0, 9.0, True)],
)
def test_a_gap_at_both_limits_is_joined(merge_abs, merge_rel, joined):
    given = np.zeros((1, 60), dtype=np.float32)
    given[0, 10:40] = [0.75] * 10 + [0.5] * 10 + [0.625] * 10
    made = boxes(given, Shape(0.32, merge_abs, merge_rel), HOP)
    heard = made.score > 0
    ends = list(zip(made.onset[heard] / 4, made.offset[heard] / 4, strict=True))
    # The higher peak is 0.75: it lies 0.25 above the gap, and is 1.5 times as high.
    assert (len(ends), ends[0]) == ((1, (10, 40)) if joined else (2, (10, 20)))


def test_a_class_that_is_never_true_scores_nothing_and_gets_the_first_shape():
    given = scores(7, clips=3, classes=2)
    nothing = Reference(list("abc"), np.full(3, 3.84), ["x", "y"], Events.of([]))
    made = boxes(given[:, :, 0], SHAPES[1], HOP)
    assert class_psds(made, 0, nothing, hop=HOP, trim=False) == 0
    assert tune(given, nothing, GRID, hop=HOP, trim=True) == [(SHAPES[0], None)] * 2


def test_the_score_of_one_class_by_hand():
    """Two events, one found: of 20 false alarms per hour that come with it each costs 1 %."""
    truth = Reference(
        ["a", "b"], np.array([90.0, 90.0]), ["x"], Events.of([(0, 0, 0.0, 6.4), (1, 0, 9.0, 9.5)])
    )
    made = Boxes(
        clip=np.array([0, 0, 1]),
        onset=np.array([0, 4000, 4000]),
        offset=np.array([400, 4400, 4400]),
        score=np.array([0.5, 0.75, 0.25], dtype=np.float32),
    )
    # One alarm is as loud as what is found, in 180 s: 20 per hour of 100.
    assert class_psds(made, 0, truth, hop=HOP, trim=False) == pytest.approx(0.8 / 2)


def test_the_smallest_rise_is_a_rise():
    """Scores are counted in parts of 2^-32; a rise by one of them moves the end of a segment."""
    given = np.full((1, 12), 0.5)
    given[0, 6:] += 2.0**-32
    shape = Shape(0.01, 0.0, 1.0)
    slow = Slow(given[0].tolist(), shape).boxes()
    assert [row[:2] for row in rows(boxes(given, shape, HOP), 0)] == [row[:2] for row in slow]
    flat = boxes(np.full((1, 12), 0.5), shape, HOP)
    assert rows(flat, 0) != rows(boxes(given, shape, HOP), 0)
