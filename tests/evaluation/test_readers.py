"""What others released is read exactly: what may be, what may not, and what it becomes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sedrepro.errors import SedreproError
from sedrepro.evaluation import released
from sedrepro.evaluation.measures import Truth

CLASSES = ["Cat", "Dog"]
COLUMNS = ["filename", "onset", "offset", "event_label"]
HOP = 0.1


@pytest.fixture
def known() -> released.Known:
    """Two clips of 2 and 1 s."""
    events = pd.DataFrame([("a", "Dog", 0.0, 1.0)], columns=["clip", "label", "onset", "offset"])
    truth = Truth(["a", "b"], np.array([2.0, 1.0]), CLASSES, events, n_expected=2)
    return released.Known(truth, "durations.tsv")


def detected(folder: Path, known: released.Known, *rows: tuple) -> list[tuple]:
    path = folder / "th_0.5.tsv"
    pd.DataFrame(rows, columns=COLUMNS).to_csv(path, sep="\t", index=False)
    (point,) = released.detections(folder, known, 0.5).points
    events = point()
    return list(zip(events.clip, events.label, events.onset, events.offset, strict=True))


def test_events_of_a_class_may_touch_and_those_of_two_may_overlap(tmp_path, known):
    rows = [("b.wav", 0.5, 1.0, "Dog"), ("b.wav", 0.0, 0.5, "Dog"), ("b.wav", 0.2, 0.7, "Cat")]
    rows.append(("a.wav", 0.6, 0.8, "Dog"))
    assert detected(tmp_path, known, *rows) == [
        (1, 1, 0.5, 1.0),
        (1, 1, 0.0, 0.5),
        (1, 0, 0.2, 0.7),
        (0, 1, 0.6, 0.8),
    ]


def test_events_of_a_class_may_not_overlap_in_whatever_order_they_stand(tmp_path, known):
    rows = [("b.wav", 0.5, 1.0, "Dog"), ("a.wav", 0.0, 0.5, "Dog"), ("b.wav", 0.0, 0.51, "Dog")]
    with pytest.raises(SedreproError, match="row 2: overlaps another 'Dog' of clip 'b'"):
        detected(tmp_path, known, *rows)


def test_detections_in_clips_that_nobody_knows_are_refused(tmp_path, known):
    with pytest.raises(SedreproError, match="row 3: clip 'c' is not one of the 2 clips of dur"):
        detected(tmp_path, known, ("a.wav", 0.0, 1.0, "Dog"), ("c.wav", 0.0, 1.0, "Dog"))


def scored(folder: Path, known: released.Known, **frames: tuple[np.ndarray, np.ndarray]):
    """`frames` are onsets and offsets by clip; the n-th frame scores n / 100 for cats."""
    for clip, (onsets, offsets) in frames.items():
        table = pd.DataFrame({"onset": onsets, "offset": offsets})
        table["Cat"] = np.arange(len(table)) / 100
        table["Dog"] = 1.0
        table.to_csv(folder / f"{clip}.tsv", sep="\t", index=False)
    return released.scores(folder, known, "validation")


def grid(count: int, hop: float = HOP, late: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Frames one after the other; the fifth begins `late` after the one before has ended."""
    onsets = np.arange(count) * hop
    return onsets + late * (np.arange(count) == 4), onsets + hop


def test_scores_become_one_array_in_the_order_of_the_clips(tmp_path, known):
    found = scored(tmp_path, known, b=grid(10), a=grid(20))
    assert (found.hop, found.model) == (pytest.approx(HOP), "external")
    frame = found.arrays["frame"]
    assert frame.shape == (2, 20, 2)
    assert frame[0, :, 0] == pytest.approx(np.arange(20) / 100)
    assert frame[1, :, 0] == pytest.approx([*np.arange(10) / 100, *[0.0] * 10])
    assert frame[:, :, 1].sum() == 30


@pytest.mark.parametrize("late", [0.0009, -0.0009])
def test_times_may_be_rounded_to_a_millisecond(tmp_path, known, late):
    assert scored(tmp_path, known, a=grid(20, late=late), b=grid(10)).hop == pytest.approx(HOP)


@pytest.mark.parametrize("late", [0.0015, -0.0015])
def test_and_no_more(tmp_path, known, late):
    with pytest.raises(SedreproError, match=r"row 6: a frame from .* does not follow the one bef"):
        scored(tmp_path, known, a=grid(20, late=late), b=grid(10))


def test_a_first_frame_that_does_not_end_is_named(tmp_path, known):
    onsets, offsets = grid(20)
    offsets[0] = onsets[0]
    with pytest.raises(SedreproError, match="row 2: a frame from 0 to 0 s does not follow"):
        scored(tmp_path, known, a=(onsets, offsets), b=grid(10))


def test_scores_may_end_half_a_second_before_their_clip(tmp_path, known):
    scored(tmp_path, known, a=grid(15), b=grid(10))
    with pytest.raises(SedreproError, match=r"scores end at 1\.4 s, the clip lasts 2 s"):
        scored(tmp_path, known, a=grid(14))


def test_or_a_frame_where_frames_are_longer_than_that(tmp_path, known):
    scored(tmp_path, known, a=grid(2, 0.8), b=grid(1, 0.8))
    with pytest.raises(SedreproError, match=r"scores end at 0\.8 s, the clip lasts 2 s"):
        scored(tmp_path, known, a=grid(1, 0.8))


def test_the_last_frame_may_be_shorter_and_not_longer(tmp_path, known):
    onsets, offsets = grid(20)
    offsets[-1] -= 0.05
    scored(tmp_path, known, a=(onsets, offsets), b=grid(10))
    offsets[-1] += 0.06
    with pytest.raises(SedreproError, match=r"the last frame is 0\.11 s long, not 0\.1"):
        scored(tmp_path, known, a=(onsets, offsets))
