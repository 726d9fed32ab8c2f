"""What tells one fault of a copy from another. A clip's samples say what a system hears in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from sedrepro.evaluation import copies
from sedrepro.evaluation.copies import (
    CUT,
    LONG,
    MISSING,
    OTHER,
    RATE,
    SILENCE,
    SWAPPED,
    UNREADABLE,
    There,
    agreement,
)
from sedrepro.evaluation.copies import examine as examine_copy
from sedrepro.evaluation.measures import Truth
from sedrepro.metrics.events import Events

RATE_HEARD = 16000
HOP = 0.1
FRAMES = 20
CLASSES = ["Cat", "Dog"]
POINTS = (0.2, 0.4, 0.6, 0.8)


def sound(*parts: tuple[int, int, float]) -> np.ndarray:
    """Two seconds; from frame to frame a level, whose sign is the class."""
    samples = np.full(FRAMES * 1600, 0.01, np.float32)
    for first, last, level in parts:
        samples[first * 1600 : last * 1600] = level
    return samples


def listen(samples: np.ndarray) -> np.ndarray:
    """Cats are what is above zero, dogs what is below."""
    scores = np.zeros((FRAMES, 2))
    whole = samples[: FRAMES * 1600]
    level = whole[: len(whole) // 1600 * 1600].reshape(-1, 1600).mean(-1)
    scores[: len(level)] = np.stack([level.clip(0), (-level).clip(0)], -1)
    return scores


SOUNDS = {
    "a": sound((2, 8, 0.7), (10, 18, -0.5)),
    "b": sound((0, 5, -0.9), (12, 19, 0.3)),
    "c": sound((5, 15, 0.9)),
    "quiet": sound(),
}


def detected(scores: list[np.ndarray], threshold: float) -> Events:
    """Runs of frames above a threshold."""
    rows = []
    for clip, one in enumerate(scores):
        for label in range(2):
            above = np.concatenate([[False], one[:, label] > threshold, [False]]).astype(int)
            edges = zip(
                np.flatnonzero(np.diff(above) > 0), np.flatnonzero(np.diff(above) < 0), strict=True
            )
            rows += [(clip, label, first * HOP, last * HOP) for first, last in edges]
    clip, label, onset, offset = map(np.array, zip(*rows, strict=True))
    return Events(clip, label, onset, offset)


@pytest.fixture
def there() -> There:
    scores = [listen(samples) for samples in SOUNDS.values()]
    events = pd.DataFrame([("a", "Cat", 0.2, 0.8)], columns=["clip", "label", "onset", "offset"])
    truth = Truth(list(SOUNDS), np.full(4, 2.0), CLASSES, events, n_expected=4)
    return There(truth, {point: detected(scores, point) for point in POINTS}, FRAMES, HOP)


def examine(there: There, folder: Path, rate: int = RATE_HEARD, **changed: np.ndarray):
    """A copy in which some clips are others."""
    paths = {}
    for clip, samples in {**SOUNDS, **changed}.items():
        paths[clip] = folder / f"{clip}.wav"
        soundfile.write(paths[clip], samples, rate, subtype="FLOAT")
    return examine_copy(there, paths, listen, RATE_HEARD)


def kinds(copy) -> dict[str, str]:
    return {clip: fault.kind for clip, fault in copy.faults.items()}


def test_levels_are_the_share_of_thresholds_by_frame(there):
    expected = [(listen(s)[..., None] > np.array(POINTS)).mean(-1) for s in SOUNDS.values()]
    assert there.levels() == pytest.approx(np.array(expected))


def test_an_event_of_less_than_a_frame_is_one_frame(there):
    brief = Events(np.array([1]), np.array([0]), np.array([0.51]), np.array([0.53]))
    levels = There(there.truth, {0.5: brief}, FRAMES, HOP).levels()
    assert np.argwhere(levels).tolist() == [[1, 5, 0]]


def test_some_of_the_clips_keep_their_events(there):
    kept = np.array([False, True, True, False])
    some = there.only(kept)
    assert some.truth.clips == ["b", "c"]
    assert some.levels() == pytest.approx(there.levels()[kept])


def test_agreement_is_what_two_share_of_what_either_finds():
    one = np.array([[1.0, 0.0], [0.5, 0.0]])
    assert agreement(one, one) == 1.0
    assert agreement(one, np.array([[0.5, 0.5], [0.5, 0.0]])) == pytest.approx(1 - 1.0 / 2.0)
    assert agreement(np.full((2, 2), 0.2), np.zeros((2, 2))) == 1.0  # less than a frame in all
    assert agreement(np.full((2, 2), 0.25), np.zeros((2, 2))) == 0.0


def test_a_whole_copy_has_no_faults_and_scores_the_same(there, tmp_path):
    copy = examine(there, tmp_path)
    assert copy.faults == {}
    assert set(copy.agreements.values()) == {1.0}
    assert copy.readable.all()
    values = copy.values()
    assert values["here"] == pytest.approx(values["there, all clips"])


@pytest.mark.parametrize(("seconds", "kind"), [(1.75, None), (1.7, CUT), (2.25, None), (2.3, LONG)])
def test_a_quarter_of_a_second_is_neither_cut_nor_too_long(there, tmp_path, seconds, kind):
    samples = np.concatenate([SOUNDS["a"], np.full(8000, 0.01, np.float32)])
    copy = examine(there, tmp_path, a=samples[: round(seconds * RATE_HEARD)])
    assert kinds(copy).get("a") == kind
    if kind:
        assert copy.faults["a"].detail == f"{seconds:.1f} s of 2.0 s"


def test_silence_is_below_a_ten_thousandth(there, tmp_path):
    assert kinds(examine(there, tmp_path, a=np.full(32000, 0.9e-4, np.float32)))["a"] == SILENCE
    assert kinds(examine(there, tmp_path, a=np.full(32000, -1.1e-4, np.float32)))["a"] == OTHER


def test_a_rate_below_what_is_heard_is_named(there, tmp_path):
    half = {clip: samples[::2] for clip, samples in SOUNDS.items()}
    copy = examine(there, tmp_path, rate=8000, **half)
    assert set(kinds(copy).values()) == {RATE}
    assert copy.faults["a"].detail == "8000 Hz, where the system hears 16000 Hz"


def test_a_header_that_says_another_rate_is_seen(there, tmp_path):
    twice = np.repeat(SOUNDS["a"], 2)  # 32 kHz under a header of 16 kHz
    copy = examine(there, tmp_path, a=twice)
    assert kinds(copy) == {"a": RATE}
    assert copy.faults["a"].detail == "its samples are of 32000 Hz, its header says 16000"
    other = np.repeat(SOUNDS["c"], 2)  # as long as that, and of another clip
    assert kinds(examine(there, tmp_path, a=other)) == {"a": LONG}


def test_clips_under_each_others_names_are_told_from_other_sound(there, tmp_path):
    other = sound((0, 20, -0.9))
    copy = examine(there, tmp_path, a=SOUNDS["b"], b=SOUNDS["a"], c=other)
    assert kinds(copy) == {"a": SWAPPED, "b": SWAPPED, "c": OTHER}
    assert copy.faults["a"].detail == "it is b"
    assert copy.faults["b"].detail == "it is a"


def test_a_clip_in_which_nothing_is_found_is_not_taken_for_another_quiet_one(there, tmp_path):
    assert kinds(examine(there, tmp_path, a=SOUNDS["quiet"])) == {"a": OTHER}


@pytest.mark.parametrize(
    "true", [8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 96000]
)
def test_every_usual_rate_is_told_from_the_length(there, tmp_path, true):
    """Samples of one rate under a header of another."""
    header = 16000 if true > 32000 else 48000
    samples = np.interp(np.arange(2 * true) / true, np.arange(32000) / 16000, SOUNDS["a"])
    soundfile.write(tmp_path / "other.wav", samples, header, subtype="FLOAT")
    paths = {clip: tmp_path / "absent.wav" for clip in SOUNDS} | {"a": tmp_path / "other.wav"}
    copy = examine_copy(there, paths, listen, RATE_HEARD)
    assert copy.faults["a"].detail == f"its samples are of {true} Hz, its header says {header}"


def test_a_clip_of_a_length_that_no_rate_explains_is_too_long(there, tmp_path):
    samples = np.interp(np.arange(2 * 32700) / 32700, np.arange(32000) / 16000, SOUNDS["a"])
    assert kinds(examine(there, tmp_path, a=samples))["a"] == LONG


def test_what_cannot_be_read_keeps_nobody_from_the_rest(there, tmp_path):
    examine(there, tmp_path)
    (tmp_path / "b.wav").write_text("no recording")
    paths = {clip: tmp_path / f"{clip}.wav" for clip in SOUNDS} | {"a": tmp_path / "gone.wav"}
    copy = examine_copy(there, paths, listen, RATE_HEARD)
    assert kinds(copy) == {"a": MISSING, "b": UNREADABLE}
    assert not copy.faults["b"].detail.startswith(str(tmp_path))
    assert copy.agreements.keys() == {"c", "quiet"}
    assert copy.readable.tolist() == [False, False, True, True]
    assert not copy.scores[:2].any()
    assert copy.scores[2] == pytest.approx(listen(SOUNDS["c"]))


def test_clips_that_are_well_hide_no_swapped_ones(there, tmp_path):
    copy = examine(there, tmp_path, b=SOUNDS["c"], c=SOUNDS["b"])
    assert {clip: fault.detail for clip, fault in copy.faults.items()} == {
        "b": "it is c",
        "c": "it is b",
    }


TRUE = [
    ("a", "Cat", 0.2, 0.8),
    ("a", "Dog", 1.0, 1.8),
    ("b", "Dog", 1.0, 1.9),
    ("c", "Cat", 0.5, 1.5),
]
"""Of `b` another dog is found than there is."""


def with_truth(there: There, true: list[tuple], seconds: float = 2.0) -> There:
    events = pd.DataFrame(true, columns=["clip", "label", "onset", "offset"])
    truth = replace(there.truth, events=events, seconds=np.full(4, seconds))
    return There(truth, there.points, there.frames, there.hop)


def test_values_are_of_the_clips_that_are_here(there, tmp_path):
    there = with_truth(there, TRUE)
    examine(there, tmp_path)
    paths = {clip: tmp_path / f"{clip}.wav" for clip in SOUNDS} | {"b": tmp_path / "gone.wav"}
    values = examine_copy(there, paths, listen, RATE_HEARD).values()
    assert values["there, the clips that are here"] == {"psds1": 1.0, "psds2": 1.0}
    assert values["here"] == {"psds1": 1.0, "psds2": 1.0}
    assert values["there, all clips"]["psds1"] < 0.9
    assert len(values) == 3


def test_a_clip_is_heard_up_to_its_end(there, tmp_path):
    """What is heard after it is no false alarm."""
    true = [("a", "Cat", 0.2, 0.8), ("b", "Dog", 0.0, 0.5), ("c", "Cat", 0.5, 1.0)]
    copy = examine(with_truth(there, true, 1.0), tmp_path)
    assert copy.values()["here"] == {"psds1": 1.0, "psds2": 1.0}


def ear(there: There) -> copies._Ear:
    return copies._Ear(there, listen, RATE_HEARD)


def heard(levels: np.ndarray, peak: float = 0.5, seconds: float = 2.0) -> copies._Heard:
    return copies._Heard(Path("a.wav"), RATE_HEARD, seconds, peak, levels, levels)


def first(count: int) -> np.ndarray:
    """Levels of one in so many frames."""
    levels = np.zeros((FRAMES, 2))
    levels[:count, 0] = 1.0
    return levels


def test_outputs_agree_from_six_tenths(there):
    assert ear(there).judge(heard(first(6)), 2.0, first(10)) is None
    assert ear(there).judge(heard(first(5)), 2.0, first(10)).kind == OTHER


def test_a_ten_thousandth_is_no_silence(there):
    assert ear(there).judge(heard(first(6), peak=1e-4), 2.0, first(6)) is None


def test_what_lies_on_a_threshold_is_not_above_it(there):
    assert ear(there)._levels(np.array([[0.4, 0.41]])).tolist() == [[0.25, 0.5]]


@pytest.mark.parametrize(("found", "swapped"), [(5, False), (6, True)])
def test_a_swapped_clip_agrees_with_another_as_much(there, found, swapped):
    theirs = np.stack([first(0), first(10), np.flip(first(10), 0), first(0)])
    levels = np.stack([first(found), *theirs[1:]])
    copy = copies.Copy(there, levels, {"a": copies.Fault(OTHER)})
    copies._find_swapped(copy, levels, theirs)
    assert copy.faults["a"].kind == (SWAPPED if swapped else OTHER)


@pytest.mark.parametrize(("sounding", "swapped"), [(0.5, False), (1.0, True)])
def test_with_a_clip_of_less_than_a_frame_none_is_swapped(there, sounding, swapped):
    theirs = np.stack([first(12), first(1) * sounding, first(20), first(20)])
    levels = np.stack([first(1) * sounding, *theirs[1:]])
    copy = copies.Copy(there, levels, {"a": copies.Fault(OTHER)})
    copies._find_swapped(copy, levels, theirs)
    assert copy.faults["a"].kind == (SWAPPED if swapped else OTHER)
