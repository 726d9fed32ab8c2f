"""The `segments` family on scores whose numbers are counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sedrepro import tables
from sedrepro.evaluation.measures import Scored, Truth
from sedrepro.evaluation.segments import OWN, measure, points
from sedrepro.settings import PaperSettings
from sedrepro.settings.project import Report

CLASSES = ["Bark", "Bus"]
T = 10
EVENTS = [("x", "Bark", 0, 10), ("y", "Bus", 2, 6)]
CLIPS = ["x", "y", "z"]


def truth(**more):
    events = pd.DataFrame([(*e, 1.0) for e in EVENTS], columns=tables.EVENTS)
    return Truth(CLIPS, np.full(3, 10.0), CLASSES, events, 4, **more)


def scored(choices, **arrays):
    """One-hot scores of these classes per second; 2 is the background."""
    frame = np.eye(3)[np.array(choices)] * 0.9 + 0.03
    return Scored("test", "network", 1.0, {"frame": frame, **arrays})


CHOSEN = [
    [0] * 8 + [2] * 2,  # eight of ten
    [2, 2, 1, 1, 0, 1, 1, 1, 2, 2],  # 2 + 3 + 2 of ten
    [2] * 10,  # all
]


def values(given, where=None, report=None):
    found = measure(given, where or truth(), PaperSettings, report or Report(bootstrap=0))
    assert all(key[1] == OWN for key in found.values)
    return {(name, label): found.values[name, OWN, label].value for name, _, label in found.values}


def test_every_number_by_hand():
    found = values(scored(CHOSEN))
    assert found["segment_accuracy", ""] == pytest.approx(25 / 30)
    assert found["partial_accuracy", ""] == pytest.approx(7 / 10)
    # Where x says background its best category is still the first: a tie of the rest.
    assert found["event_segment_accuracy", ""] == pytest.approx((10 + 3) / 14)
    assert found["video_accuracy", ""] == 1
    assert found["oracle_always_event", ""] == pytest.approx(14 / 30)
    assert found["oracle_always_background", ""] == pytest.approx(16 / 30)
    assert found["oracle_uniform", ""] == pytest.approx(1 / 3)
    # 12 events found (8 + 4), 2 false alarms in y, 2 missed in x.
    assert found["event_background_f1", ""] == pytest.approx(2 * 12 / (2 * 12 + 2 + 2))
    assert found["class_accuracy", "Bark"] == pytest.approx(8 / 10)
    assert found["class_accuracy", "Bus"] == pytest.approx(3 / 4)
    assert found["class_accuracy", "background"] == pytest.approx(14 / 16)


def test_what_cannot_be_known_of_real_videos_is_not_there():
    names = {name for name, _ in values(scored(CHOSEN, attention=np.ones((3, T, 4)) / 4))}
    assert not {"pointing", "mismatched_accuracy", "hard_accuracy"} & names


def test_intervals_come_from_whole_videos():
    found = measure(scored(CHOSEN), truth(), PaperSettings, Report(bootstrap=200))
    interval = found.values["segment_accuracy", OWN, ""]
    assert interval.low < interval.value < interval.high
    assert interval.high - interval.low > 0.1


@pytest.fixture
def look_alike(tmp_path):
    """The sidecar of three videos: z sounds like one thing and shows another, all the time."""
    folder = tmp_path / "AVE_Dataset"
    (folder / "AVE").mkdir(parents=True)
    lines = ["video\tsegment\theard\tseen\tleft\ttop\tright\tbottom"]
    for name, heard, seen in (("x", 0, 0), ("y", 1, 1), ("z", 0, 1)):
        for t in range(T):
            # The object is in the upper left quarter, in y in the lower right one.
            box = "0.5\t0.5\t1\t1" if name == "y" else "0\t0\t0.5\t0.5"
            lines.append(f"{name}\t{t}\t{heard}\t{seen}\t{box}")
    (folder / "truth.tsv").write_text("\n".join(lines) + "\n")
    return truth(paths={name: str(folder / "AVE" / f"{name}.mp4") for name in CLIPS})


def test_look_alikes_tell_what_is_heard_seen_and_where(look_alike):
    attention = np.zeros((3, T, 4))
    attention[:, :, 0] = 1  # the upper left of 2 × 2 places
    attention[0, :3] = [0, 1, 0, 0]
    found = values(scored(CHOSEN, attention=attention), look_alike)
    assert found["mismatched_accuracy", ""] == 1  # z
    assert found["hard_accuracy", ""] == pytest.approx(17 / 20)  # y and z
    assert found["pointing", ""] == pytest.approx(7 / 14)  # of the seconds of events
    assert found["pointing_chance", ""] == pytest.approx(0.25)


def test_a_place_points_with_its_middle():
    attention = np.zeros((1, 1, 49))
    attention[0, 0, 3 * 7 + 5] = 1  # row 3, column 5: (0.786, 0.5)
    for box, inside in [
        ((0.7, 0.4, 0.8, 0.6), True),
        ((0.7, 0.51, 0.8, 0.6), False),
        ((0.8, 0.4, 0.9, 0.6), False),
    ]:
        assert points(attention, np.array([[box]]))[0, 0] == inside


@pytest.mark.parametrize(
    ("box", "inside"),
    [
        ((0.75, 0.25, 0.75, 0.25), True),
        ((0.76, 0.25, 0.8, 0.25), False),
        ((0.7, 0.25, 0.74, 0.25), False),
        ((0.75, 0.26, 0.75, 0.3), False),
        ((0.75, 0.2, 0.75, 0.24), False),
        ((0.0, 0.0, 1.0, 1.0), True),
    ],
)
def test_a_middle_on_the_edge_of_a_box_lies_in_it(box, inside):
    attention = np.zeros((1, 2, 4))
    attention[0, 0, 1] = 1  # of 2 × 2 places the upper right: (0.75, 0.25)
    attention[0, 1, 2] = 1  # the lower left
    found = points(attention, np.array([[box, (0.2, 0.7, 0.3, 0.8)]]))
    assert found.tolist() == [[inside, True]]


HEARD_AND_SEEN = {"x": (1, 0), "y": (0, 1), "z": (-1, 1), "w": (1, -1), "v": (1, 1)}
"""The first two sound like one thing and show another; the next are silent, or show nothing."""


def test_what_is_silent_or_shows_nothing_is_no_look_alike(tmp_path):
    folder = tmp_path / "AVE_Dataset"
    (folder / "AVE").mkdir(parents=True)
    lines = ["video\tsegment\theard\tseen\tleft\ttop\tright\tbottom"]
    for name, (heard, seen) in HEARD_AND_SEEN.items():
        lines += [f"{name}\t{t}\t{heard}\t{seen}\t0\t0\t0.5\t0.25" for t in range(T)]
    lines[-1] = f"v\t{T - 1}\t1\t0\t0\t0\t0.5\t0.25"  # for one second only
    (folder / "truth.tsv").write_text("\n".join(lines) + "\n")
    rows = [(name, "Bark", 0.0, 10.0, 1.0) for name in HEARD_AND_SEEN]
    rows[4] = ("v", "Bark", 0.0, 4.0, 1.0)
    names = list(HEARD_AND_SEEN)
    given = Truth(
        *(names, np.full(5, 10.0), CLASSES, pd.DataFrame(rows, columns=tables.EVENTS), 5),
        paths={name: str(folder / "AVE" / f"{name}.mp4") for name in names},
    )
    right = [[0] * 10, [0] * 4 + [1] * 6, [1] * 10, [1] * 10, [0] * 4 + [1] * 6]
    found = values(scored(right, attention=np.full((5, T, 4), 0.25)), given)
    assert found["mismatched_accuracy", ""] == pytest.approx(14 / 20)  # x and y
    assert found["hard_accuracy", ""] == pytest.approx(18 / 30)  # and v, which is heard in part
    assert found["pointing_chance", ""] == pytest.approx(0.125)
    assert found["event_segment_accuracy", ""] == pytest.approx((10 + 4 + 4) / 44)
    assert found["video_accuracy", ""] == pytest.approx(1 / 5)  # as v ends otherwise, so does it


def test_a_box_of_all_that_is_seen_is_always_pointed_at(tmp_path, monkeypatch):
    """Of a single video, whose path begins in the folder one works in."""
    lines = ["video\tsegment\theard\tseen\tleft\ttop\tright\tbottom"]
    lines += [f"x\t{t}\t0\t0\t0\t0\t1\t1" for t in range(T)]
    (tmp_path / "truth.tsv").write_text("\n".join(lines) + "\n")
    monkeypatch.chdir(tmp_path)
    events = pd.DataFrame([("x", "Bark", 0, 10, 1.0)], columns=tables.EVENTS)
    given = Truth(["x"], np.full(1, 10.0), CLASSES, events, 1, paths={"x": "AVE/x.mp4"})
    found = values(scored(CHOSEN[:1], attention=np.full((1, T, 4), 0.25)), given)
    assert found["pointing_chance", ""] == found["pointing", ""] == 1


@pytest.mark.parametrize("path", ["x.mp4", "AVE/x.mp4", "/x.mp4", ""])
def test_where_no_truth_can_lie_beside_a_video_none_is_known(path):
    given = truth(paths=dict.fromkeys(CLIPS, path))
    names = {name for name, _ in values(scored(CHOSEN), given)}
    assert "mismatched_accuracy" not in names


def test_a_class_that_never_occurs_has_no_accuracy():
    events = pd.DataFrame([("x", "Bark", 0, 10, 1.0)], columns=tables.EVENTS)
    found = values(scored(CHOSEN[:1]), Truth(["x"], np.full(1, 10.0), CLASSES, events, 1))
    labels = {label for name, label in found if name == "class_accuracy"}
    assert labels == {"Bark"}
    assert ("partial_accuracy", "") not in found
    assert found["video_accuracy", ""] == 1
