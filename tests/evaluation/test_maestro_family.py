"""The `maestro` family on three recordings: values of joined windows, resampled by recordings."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sedrepro import tables
from sedrepro.evaluation import maestro as family
from sedrepro.evaluation.measures import Scored, Truth
from sedrepro.metrics import maestro
from sedrepro.metrics.decode import median_filter
from sedrepro.metrics.ranking import macro
from sedrepro.settings import Decoding
from sedrepro.settings.classes import MAESTRO_SCORED
from sedrepro.settings.project import Report

CLASSES = [*MAESTRO_SCORED[:2], "Speech"]
RECORDINGS = ("cafe_00", "cafe_01", "park_00")
WINDOWS = ("-000000-000800", "-000400-001200")
CLIPS = [f"{name}{window}" for name in RECORDINGS for window in WINDOWS]
HOP, FRAMES, RESAMPLES = 0.5, 16, 15


@pytest.fixture(scope="module")
def truth() -> Truth:
    rng = np.random.default_rng(4)
    rows = []
    for clip in CLIPS:
        for label in CLASSES[:2]:
            onset = float(rng.integers(0, 5))
            rows.append((clip, label, onset, onset + 2.0, 0.9))
    rows.append((CLIPS[0], CLASSES[1], 0.0, 8.0, 0.4))  # most annotators did not hear it
    events = pd.DataFrame(rows, columns=tables.EVENTS)
    units = [clip.rsplit("-", 2)[0] for clip in CLIPS]
    return Truth(CLIPS, np.full(6, 8.0), CLASSES, events, 6, units=units, unit="recording")


@pytest.fixture(scope="module")
def scored() -> Scored:
    frame = np.random.default_rng(5).random((len(CLIPS), FRAMES, len(CLASSES)))
    return Scored("test", "teacher", HOP, {"frame": frame})


SETTINGS = SimpleNamespace(decoding=Decoding(median=3))


@pytest.fixture(scope="module")
def found(scored, truth) -> dict:
    return family.measure(scored, truth, SETTINGS, Report(bootstrap=RESAMPLES)).values


@pytest.fixture(scope="module")
def joined(scored, truth) -> maestro.Segments:
    return maestro.together(
        median_filter(scored.arrays["frame"], [3] * 3),
        HOP,
        clips=truth.clips,
        seconds=truth.seconds,
        classes=truth.classes,
        events=truth.events,
    )


def resampled(joined, truth, statistic) -> list[np.ndarray]:
    """A statistic of each class (class), whole and in every resample of the recordings."""
    clips = [CLIPS.index(f"{name}{WINDOWS[0]}") for name in joined.recordings]
    weights = [None, *truth.drawing(Report(bootstrap=RESAMPLES)).weights[:, clips]]
    return [np.array([statistic(one, w) for one in joined.rankings()]) for w in weights]


@pytest.mark.parametrize(
    ("metric", "statistic"),
    [
        ("mpauc", lambda one, w: maestro.partial_auc(one, 0.1, w)),
        ("mauc", lambda one, w: maestro.partial_auc(one, 1.0, w)),
        ("segment_f1_best", maestro.best_f1),
    ],
)
def test_values_are_means_over_classes_resampled_by_recording(
    found, joined, truth, metric, statistic
):
    whole, *drawn = (macro(one) for one in resampled(joined, truth, statistic))
    value = found[metric, "sedrepro", ""]
    expected = truth.drawing(Report(bootstrap=RESAMPLES)).around(float(whole), np.array(drawn))
    assert tuple(value) == pytest.approx(tuple(expected))
    assert value.values == pytest.approx(expected.values, nan_ok=True)
    assert 0 < value.value < 1


def test_each_class_has_its_own_area(found, joined, truth):
    whole, *drawn = resampled(joined, truth, lambda one, w: maestro.partial_auc(one, 0.1, w))
    labels = {label for metric, _, label in found if metric == "pauc"}
    assert labels == set(CLASSES[:2])
    for index, label in enumerate(joined.classes):
        value = found["pauc", "sedrepro", label]
        assert value.value == pytest.approx(whole[index])
        assert value.values == pytest.approx(np.array(drawn)[:, index], nan_ok=True)


def test_the_library_says_the_same_of_the_same_segments(found):
    for metric in ("mpauc", "segment_f1_best"):
        own, library = (found[metric, who, ""] for who in ("sedrepro", "sed_scores_eval"))
        assert library.value == pytest.approx(own.value, abs=1e-9)
        assert (library.low, library.high) == (None, None)


def test_of_a_last_checkpoint_our_own_code_alone_tells(found, scored, truth):
    last = Scored("test", "teacher@last", HOP, scored.arrays)
    own = family.measure(last, truth, SETTINGS, Report(bootstrap=0)).values
    assert own.keys() == {key for key in found if key[1] == "sedrepro"}
    assert all(value.value == found[key].value for key, value in own.items())


def test_without_a_true_event_there_is_nothing_to_measure(scored, truth):
    silent = Truth(CLIPS, truth.seconds, CLASSES, truth.events[:0], 6, units=truth.units)
    assert family.measure(scored, silent, SETTINGS, Report(bootstrap=5)).values == {}
