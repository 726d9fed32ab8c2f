"""What families of metrics are given and give back: truth of some clips, values as JSON."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from sedrepro import tables
from sedrepro.evaluation.measures import Measures, Scored, Truth
from sedrepro.metrics.bootstrap import Interval, Resampled
from sedrepro.settings.project import Report

EVENTS = [
    ("a", "Cat", 0.0, 2.064, 1.0),  # a frame after the end of its clip, and no more
    ("a", "Cat", 0.0, 2.07, 1.0),
    ("b", "Dog", 1.0, 3.0, 1.0),
    ("b", "Cat", np.nan, np.nan, 1.0),  # a tag
    ("elsewhere", "Cat", 0.0, 99.0, 1.0),
]


def truth(**more) -> Truth:
    events = pd.DataFrame(EVENTS, columns=tables.EVENTS)
    known = {"clips": ["a", "b", "c"], "seconds": np.array([2.0, 4.0, 6.0]), "n_expected": 5}
    return Truth(**{**known, "classes": ["Cat", "Dog"], "events": events, **more})


def test_events_that_go_on_after_what_is_heard_are_counted():
    assert truth().cut == (1, 3)
    assert truth(hop=0.1).cut == (0, 3)
    assert truth(seconds=np.array([2.0, 2.5, 6.0])).cut == (2, 3)


def test_clips_are_their_own_units_unless_there_are_others():
    assert (truth().n_units, truth().unit) == (3, "clip")
    assert truth(units=["u", "v", "u"]).n_units == 2
    drawing = truth(units=["u", "v", "u"]).drawing(Report(bootstrap=7, confidence=0.8))
    assert (drawing.units, drawing.resamples, drawing.confidence) == (["u", "v", "u"], 7, 0.8)
    assert truth().drawing(Report()).units == ["a", "b", "c"]


def test_clips_that_do_not_count_are_no_longer_expected():
    counted = np.array([False, True, True])
    some = truth(units=["u", "v", "w"]).only(counted)
    assert (some.clips, some.seconds.tolist()) == (["b", "c"], [4.0, 6.0])
    assert (list(some.units), some.n_expected) == (["v", "w"], 4)
    assert len(some.reference.events) == 1
    bare = truth(n_expected=None).only(counted)
    assert (bare.n_expected, list(bare.units)) == (None, [])


def test_a_clip_has_its_tags_by_events_and_by_tags():
    assert truth().tags.tolist() == [[1, 0], [1, 1], [0, 0]]
    assert len(truth().reference.events) == 2  # cats that overlap are one


def test_a_last_checkpoint_is_told_by_its_name():
    assert Scored("set", "student@last", 0.1, {}).is_last
    assert not Scored("set", "student", 0.1, {}).is_last


def test_in_silenced_clips_nothing_is_detected():
    scored = Scored("set", "student", 0.1, {"frame": np.ones((3, 2)), "clip": np.ones(3)})
    silent = scored.silenced(np.array([False, True, False]))
    assert silent.arrays["frame"].tolist() == [[1, 1], [0, 0], [1, 1]]
    assert silent.arrays["clip"].tolist() == [1, 0, 1]


def test_values_are_listed_with_what_they_are_of():
    found = Measures()
    found.add("psds1", "ours", Interval(np.float32(0.5), 0.25, math.inf))
    found.add("event_f1", "theirs", Interval(math.nan), "Cat")
    first, second = found.entries("validation", "student", truth(unit="video", units=["u"] * 3))
    assert first == {
        "metric": "psds1",
        "implementation": "ours",
        "set": "validation",
        "model": "student",
        "label": "",
        "value": 0.5,
        "ci_low": 0.25,
        "ci_high": None,
        "unit": "video",
        "n_units": 1,
        "n_clips": 3,
        "n_expected": 5,
        "n_events": 3,
        "n_cut": 1,
    }
    assert type(first["value"]) is float
    assert (second["label"], second["value"], second["ci_low"]) == ("Cat", None, None)


def test_what_every_resample_gave_is_kept_where_it_is_known():
    found = Measures()
    found.add("psds1", "ours", Resampled.of(Interval(0.5), np.array([0.4, 0.6])))
    found.add("mauc", "ours", Interval(0.7))
    ((key, values),) = found.resampled("validation", "student").items()
    assert key == ("validation", "student", "psds1", "ours", "")
    assert values == pytest.approx([0.4, 0.6])
