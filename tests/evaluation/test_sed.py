"""The `sed` family on four short clips: each value is asked of the package or of our own counts."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sedrepro import tables
from sedrepro.errors import SedreproError
from sedrepro.evaluation import sed
from sedrepro.evaluation.measures import Measures, Scored, Truth
from sedrepro.metrics import f1, packages
from sedrepro.metrics.bootstrap import Interval, Resampled
from sedrepro.metrics.boxes import box_scores
from sedrepro.metrics.decode import detect, median_filter, peak_quantiles
from sedrepro.metrics.intersection import count
from sedrepro.metrics.psds import SCENARIOS, Roc, psds, roc
from sedrepro.settings import Decoding
from sedrepro.settings.blocks import Boxes
from sedrepro.settings.project import Report

CLASSES = ["Cat", "Dog", "Cow"]
CLIPS = ["a", "b", "c", "d"]
HOP, FRAMES = 0.5, 60
SECONDS = np.array([30.0, 30.0, 25.25, 30.0])
EVENTS = [
    ("a", "Cat", 2.5, 12.5, 1.0),
    ("b", "Dog", 5.0, 8.0, 1.0),
    ("b", "Cat", 15.0, 25.0, 1.0),
    ("c", "Dog", 20.0, 25.25, 1.0),
]
"""The fourth clip is silent, and no cow is heard."""
DECODING = Decoding(threshold=0.45, median={"Cat": 5, "Dog": 3, "Cow": 1}, operating_points=5)
REPORT = Report(bootstrap=12)


@pytest.fixture(scope="module")
def truth() -> Truth:
    events = pd.DataFrame(EVENTS, columns=tables.EVENTS)
    return Truth(CLIPS, SECONDS, CLASSES, events, len(CLIPS))


@pytest.fixture(scope="module")
def scored(truth) -> Scored:
    """Likely where it is true, and now and then elsewhere, cows too, past the end of a clip too."""
    rng = np.random.default_rng(0)
    frame = rng.random((4, FRAMES, 3)) * 0.3
    frame += 0.6 * tables.frame_targets(truth.events, CLIPS, CLASSES, FRAMES, HOP)
    frame[3, 10:25, 0] += 0.5
    frame[0, 40:55, 2] += 0.3
    frame[1, 16:20, 1] += 0.4
    frame[2, 51:60, 1] += 0.5
    return Scored("held_out", "student", HOP, {"frame": frame, "clip": frame.max(axis=1)})


def measured(scored, truth, decoding=DECODING, report=REPORT) -> Measures:
    return sed.measure(scored, truth, SimpleNamespace(decoding=decoding), report)


@pytest.fixture(scope="module")
def found(scored, truth) -> Measures:
    return measured(scored, truth)


@pytest.fixture(scope="module")
def smooth(scored) -> np.ndarray:
    return median_filter(scored.arrays["frame"], [5, 3, 1])


def at(scores: np.ndarray, threshold: float):
    return detect(scores, threshold, hop=HOP, seconds=SECONDS)


POINTS = (0.1, 0.3, 0.5, 0.7, 0.9)


def counted(scores, truth, points=POINTS):
    """Of both scenarios."""
    criteria = [scenario.criteria for scenario in SCENARIOS.values()]
    made = [lambda point=point: at(scores, point) for point in points]
    return dict(zip(SCENARIOS, count(made, truth.reference, criteria), strict=True))


def same(value: Interval, expected: Interval) -> None:
    assert tuple(value) == pytest.approx(tuple(expected), abs=1e-12)
    assert value.values == pytest.approx(expected.values, abs=1e-12, nan_ok=True)


def moved(interval: Interval, value: float) -> Interval:
    by = value - interval.value
    whole = Interval(value, interval.low + by, interval.high + by)
    return Resampled.of(whole, interval.values + by)


@pytest.mark.parametrize("metric", SCENARIOS)
def test_psds_is_of_the_operating_points(found, smooth, truth, metric):
    counts, scenario = counted(smooth, truth)[metric], SCENARIOS[metric]
    own = truth.drawing(REPORT).interval(counts, lambda total: psds(total, scenario))
    same(found.values[metric, "sedrepro", ""], own)
    made = [lambda point=point: at(smooth, point) for point in POINTS]
    (value,) = packages.psds_eval_psds(made, truth.reference, [scenario])
    same(found.values[metric, "psds_eval", ""], moved(own, value))
    assert own.value > 0
    curve = roc(counts.total(), scenario)
    assert found.curves[metric]["etpr"][-1] == pytest.approx(curve.etpr[-1], abs=1e-5)


@pytest.mark.parametrize("metric", SCENARIOS)
def test_psds_of_all_thresholds_has_the_interval_of_two_hundred(found, smooth, truth, metric):
    scenario = SCENARIOS[metric]
    value = packages.sed_scores_eval_psds(smooth, truth.reference, scenario, hop=HOP, trim=True)
    counts = counted(smooth, truth, peak_quantiles(smooth, 200))[metric]
    own = truth.drawing(REPORT).interval(counts, lambda total: psds(total, scenario))
    same(found.values[metric, "sed_scores_eval", ""], moved(own, value))


def test_f1_is_of_the_events_at_the_threshold(found, smooth, truth):
    detected, drawing = at(smooth, 0.45), truth.drawing(REPORT)
    event = f1.collar_counts(detected, truth.reference)
    segment = f1.segment_counts(detected, truth.reference)
    for metric, counts, package in (
        ("event_f1", event, packages.sed_eval_event_f1(detected, truth.reference)),
        ("segment_f1", segment, packages.sed_eval_segment_f1(detected, truth.reference)),
    ):
        macro = drawing.interval(counts, f1.macro_f1)
        micro = drawing.interval(counts, f1.micro_f1)
        same(found.values[metric, "sedrepro", ""], macro)
        same(found.values[f"{metric}_micro", "sedrepro", ""], micro)
        same(found.values[metric, "sed_eval", ""], moved(macro, package.macro))
        same(found.values[f"{metric}_micro", "sed_eval", ""], moved(micro, package.micro))
    assert 0 < found.values["event_f1", "sedrepro", ""].value < 1


def test_event_f1_is_told_of_every_class_that_occurs(found, smooth, truth):
    detected = at(smooth, 0.45)
    by_class = packages.sed_eval_event_f1(detected, truth.reference).by_class
    assert {label for _, _, label in found.values} == {"", "Cat", "Dog"}
    counts = f1.collar_counts(detected, truth.reference)
    for index, label in enumerate(CLASSES[:2]):
        own = truth.drawing(REPORT).interval(counts, lambda t, k=index: f1.class_f1(t)[k])
        value = found.values["event_f1", "sed_eval", label]
        assert value.value == pytest.approx(by_class[label])
        assert value.low == pytest.approx(own.low + by_class[label] - own.value)


def test_intersection_f1_is_of_the_classes_found_or_of_all_that_occur(found, smooth, truth):
    detected, drawing = at(smooth, 0.45), truth.drawing(REPORT)
    (counts,) = count([lambda: detected], truth.reference, [f1.INTERSECTION])
    counted = f1.intersection_counts(counts)
    strict = drawing.interval(counted, f1.macro_f1)
    same(found.values["intersection_f1", "sedrepro (strict)", ""], strict)
    value = packages.psds_eval_f1(detected, truth.reference, f1.INTERSECTION)
    own = drawing.interval(counted, f1.macro_f1_of_found)
    same(found.values["intersection_f1", "psds_eval", ""], moved(own, value))


def test_weak_f1_is_of_the_clip_scores(found, scored, truth):
    counts = f1.clip_counts(scored.arrays["clip"], truth.tags, threshold=0.45)
    same(
        found.values["weak_f1", "sedrepro", ""], truth.drawing(REPORT).interval(counts, f1.macro_f1)
    )


def test_of_a_last_checkpoint_only_our_own_code_tells(found, scored, truth):
    last = measured(replace(scored, model="student@last"), truth)
    own = {key: value for key, value in found.values.items() if key[1].startswith("sedrepro")}
    assert last.values.keys() == own.keys()
    for key, value in last.values.items():
        same(value, own[key])
    assert last.curves == {}


def test_without_resamples_there_are_values_alone(found, scored, truth):
    bare = measured(scored, truth, report=Report(bootstrap=0))
    assert bare.values.keys() == found.values.keys()
    for key, value in bare.values.items():
        assert tuple(value) == (found.values[key].value, None, None)


def test_without_timed_events_there_is_weak_f1_alone(scored, truth):
    tags = replace(truth, events=truth.events.assign(onset=np.nan, offset=np.nan))
    assert measured(scored, tags).values.keys() == {("weak_f1", "sedrepro", "")}


def test_without_clip_scores_there_is_no_weak_f1(scored, truth):
    only = replace(scored, model="student@last", arrays={"frame": scored.arrays["frame"]})
    names = {metric for metric, _, _ in measured(only, truth, report=Report(bootstrap=0)).values}
    assert "weak_f1" not in names
    assert "psds1" in names


def test_scores_that_a_model_lacks_are_named(scored, truth):
    decoding = DECODING.model_copy(update={"scores": "local"})
    with pytest.raises(
        SedreproError, match="student has no scores 'local' of 'held_out'; it has f"
    ):
        measured(scored, truth, decoding)


def test_detections_alone_are_measured_by_the_packages_that_need_no_scores(found, smooth, truth):
    points = [at(smooth, point) for point in POINTS]
    detected = at(smooth, 0.45)
    theirs = sed.measure_detections(sed.Detections.of(points, detected), truth, REPORT)
    expected = {key for key in found.values if key[1] != "sed_scores_eval"} - {
        ("weak_f1", "sedrepro", "")
    }
    assert theirs.values.keys() == expected
    for key, value in theirs.values.items():
        same(value, found.values[key])
    without = sed.measure_detections(sed.Detections.of(points, None), truth, REPORT)
    assert {metric for metric, _, _ in without.values} == {"psds1", "psds2"}


@pytest.mark.parametrize("trim", [True, False])
def test_events_end_with_their_clip_where_decoding_trims(scored, truth, trim):
    decoding = DECODING.model_copy(update={"trim": trim})
    frames = sed.Frames.of(scored, truth, decoding)
    found = frames.detections(decoding)
    assert found.detected.offset[found.detected.clip == 2].max() == (25.25 if trim else 30.0)
    assert len(found.points) == 5
    assert found.frames is frames
    assert (frames.hop, frames.trim) == (HOP, trim)


BOXED = DECODING.model_copy(
    update={"boxes": Boxes(step=[0.4, 0.8], merge_abs=[0.2], merge_rel=[1.5])}
)


@pytest.fixture(scope="module")
def boxed(scored, truth) -> Scored:
    """With shapes of boxes that were chosen on the same scores."""
    return replace(scored, tuned=sed.tuned(scored, truth, BOXED))


def test_boxes_are_tuned_where_there_are_boxes(boxed, scored, truth):
    assert [one.shape.merge_abs for one in boxed.tuned] == [0.2] * 3
    assert sed.tuned(scored, truth, DECODING) == []
    with pytest.raises(SedreproError, match="are tuned on scores of 'synth_validation', and here"):
        sed.Frames.of(scored, truth, BOXED)


def test_boxes_take_the_place_of_the_medians(boxed, truth):
    frames = sed.Frames.of(boxed, truth, BOXED)
    shapes = [one.shape for one in boxed.tuned]
    assert frames.hop == HOP / 4
    assert frames.scores == pytest.approx(box_scores(boxed.arrays["frame"], shapes, HOP))


@pytest.mark.parametrize("model", ["student", "student@last"])
def test_gains_are_over_the_medians_resample_by_resample(boxed, found, truth, model):
    made = measured(replace(boxed, model=model), truth, BOXED).values
    gains = {key: value for key, value in made.items() if key[0].startswith("delta_")}
    who = {"sedrepro"} if "@" in model else {"sedrepro", "psds_eval", "sed_scores_eval"}
    assert {key[:2] for key in gains} == {(f"delta_{m}", one) for m in SCENARIOS for one in who}
    for (metric, implementation, _), gain in gains.items():
        key = (metric.removeprefix("delta_"), implementation, "")
        new, old = made[key], found.values[key]
        apart = truth.drawing(REPORT).around(new.value - old.value, new.values - old.values)
        assert tuple(gain) == pytest.approx(tuple(apart))


def test_a_gain_over_what_has_no_resamples_has_no_interval(scored, smooth, truth):
    found = Measures()
    for metric in SCENARIOS:
        found.add(metric, "sedrepro", Interval(0.5))
    before = sed.Frames.of(scored, truth, DECODING).detections(DECODING)
    sed._add_gains(found, before, truth, REPORT, official=False)
    was = psds(counted(smooth, truth)["psds1"].total(), SCENARIOS["psds1"])
    assert tuple(found.values["delta_psds1", "sedrepro", ""]) == (
        *(pytest.approx(0.5 - was), None, None),
    )


def test_a_packages_value_has_our_interval_moved():
    resampled = Resampled.of(Interval(0.5, 0.25, 1.0), np.array([0.25, 1.0]))
    found = sed._moved(resampled, 0.75)
    assert tuple(found) == (0.75, 0.5, 1.25)
    assert found.values.tolist() == [0.5, 1.25]
    plain = sed._moved(Interval(0.5, 0.25, 1.0), 0.25)
    assert (tuple(plain), type(plain)) == ((0.25, 0.0, 0.75), Interval)
    assert tuple(sed._moved(Interval(0.5), 0.75)) == (0.75, None, None)
    assert tuple(sed._moved(Interval(0.5, 0.2, None), 0.75)) == (0.75, 0.2, None)
    assert tuple(sed._moved(Interval(0.5, None, 0.8), 0.75)) == (0.75, None, 0.8)
    assert tuple(sed._moved(Interval(np.nan, 0.2, 0.8), 0.75)) == (0.75, 0.2, 0.8)


def curve(efpr, etpr) -> Roc:
    return Roc(np.array(efpr, float), np.array(etpr, float), np.zeros((0, len(efpr))))


def test_a_curve_is_stored_by_its_steps_up_to_its_end():
    stored = sed._thin(
        curve([0, 1, 2.00004, 50, 100, 101], [0.1, 0.1, 0.123456, 0.123456, 0.5, 0.9]), 100.0
    )
    assert stored == {
        "efpr": [0.0, 2.0, 100.0, 100.0],
        "etpr": [0.1, 0.12346, 0.5, 0.5],
    }
    fine = sed._thin(curve([0, 2.000051], [0.1, 0.123454]), 100.0)
    assert fine == {"efpr": [0.0, 2.0001, 100.0], "etpr": [0.1, 0.12345, 0.12345]}


@pytest.mark.parametrize(("steps", "stored"), [(199, 199), (200, 199), (1000, 199)])
def test_of_many_steps_two_hundred_points_are_stored(steps, stored):
    rising = np.arange(steps) / steps
    found = sed._thin(curve(rising * 90, rising), 100.0)
    assert len(found["efpr"]) == len(found["etpr"]) == stored + 1
    assert found["efpr"][0] == 0.0
    assert found["efpr"][-2:] == [pytest.approx(rising[-1] * 90, abs=1e-4), 100.0]
    chosen = np.linspace(0, steps - 1, stored).round().astype(int)
    assert found["etpr"][:-1] == pytest.approx(rising[chosen], abs=1e-5)
