import numpy as np
import pytest

from sedrepro.errors import SedreproError
from sedrepro.metrics.events import Events, merge, reference


def rows(events):
    return list(zip(events.clip, events.label, events.onset, events.offset, strict=True))


def test_overlapping_events_of_one_class_become_one():
    events = Events.of(
        [(1, 0, 5, 6), (0, 1, 0, 4), (0, 1, 1, 2), (0, 1, 3, 5), (0, 1, 5, 6), (0, 2, 3, 7)]
    )
    assert rows(merge(events)) == [(0, 1, 0, 5), (0, 1, 5, 6), (0, 2, 3, 7), (1, 0, 5, 6)]
    assert rows(merge(events, touching=True))[0] == (0, 1, 0, 6)


def test_only_events_of_the_clips_count():
    truth = reference(
        clips=["b", "a"],
        seconds=[10, 4],
        classes=["x", "y"],
        events=(
            ["a", "b", "gone", "b", "b"],
            ["y", "x", "x", "x", "y"],
            [1.0, 2.0, 3.0, 8.0, np.nan],
            [2.0, 4.5, 4.0, 8.5, np.nan],
        ),
    )
    np.testing.assert_array_equal(truth.n_events, [[2, 0], [0, 1]])
    np.testing.assert_array_equal(truth.event_seconds, [[3.0, 0], [0, 1.0]])


def test_a_label_that_is_no_class_is_an_error():
    with pytest.raises(SedreproError, match="clip 'a': label 'Z' is not a class"):
        reference(clips=["a"], seconds=[1], classes=["x"], events=(["a"], ["Z"], [0], [1]))


def test_touching_events_stay_apart_and_one_without_a_length_is_none():
    truth = reference(
        clips=["a"],
        seconds=[9],
        classes=["x"],
        events=(["a"] * 4, ["x"] * 4, [3.0, 1.0, 5.0, 6.0], [4.0, 3.0, 5.0, 7.0]),
    )
    assert rows(truth.events) == [(0, 0, 1, 3), (0, 0, 3, 4), (0, 0, 6, 7)]
    assert rows(merge(truth.events)) == rows(truth.events)
    assert rows(merge(truth.events, touching=True)) == [(0, 0, 1, 4), (0, 0, 6, 7)]
