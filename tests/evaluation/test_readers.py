"""What others released is read exactly: what may be, what may not, and what it becomes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sedrepro import tables
from sedrepro.clips import Clip
from sedrepro.errors import SedreproError
from sedrepro.evaluation import released
from sedrepro.evaluation.measures import Truth
from sedrepro.settings import HeldOut, Layout, Subset

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
    onsets, offsets = grid(15)
    offsets[-1] = 1.5
    scored(tmp_path, known, a=(onsets, offsets), b=grid(10))
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


def test_a_single_frame_may_be_rounded_to_a_millisecond_too(tmp_path, known):
    one = np.array([0.0])
    scored(tmp_path, known, a=(one, one + 2.0), b=(one, one + 2.0009))
    with pytest.raises(SedreproError, match=r"the last frame is 2\.0015 s long, not 2"):
        scored(tmp_path, known, b=(one, one + 2.0015))


def test_most_clips_tell_how_long_frames_are(tmp_path, known):
    """The lower one, where as many say another."""
    with pytest.raises(SedreproError, match=r"b.tsv: row 3: begins at 0\.2 s, not at 0\.1: all"):
        scored(tmp_path, known, a=grid(20), b=grid(5, 0.2))


def test_a_clip_of_two_frames_tells_it_by_its_second(tmp_path, known):
    two = np.array([0.0, 1.2]), np.array([1.2, 2.0])
    assert scored(tmp_path, known, a=two, b=two).hop == 1.2


@pytest.mark.parametrize(
    ("score", "may_be"), [(0.0, True), (1.0, True), (-0.01, False), (1.01, False)]
)
def test_scores_lie_between_nothing_and_one(tmp_path, known, score, may_be):
    scored(tmp_path, known, a=grid(20), b=grid(10))
    table = pd.read_csv(tmp_path / "b.tsv", sep="\t")
    table.loc[3, "Dog"] = score
    table.to_csv(tmp_path / "b.tsv", sep="\t", index=False)
    if may_be:
        assert released.scores(tmp_path, known, "validation").arrays["frame"][1, 3, 1] == score
    else:
        with pytest.raises(SedreproError, match="row 5: the score of 'Dog' must lie between 0 and"):
            released.scores(tmp_path, known, "validation")


@pytest.mark.parametrize(("first", "may_be"), [(0.0, True), (-0.05, False)])
def test_frames_do_not_begin_before_their_clip(tmp_path, known, first, may_be):
    onsets, offsets = grid(20)
    onsets[0] = first
    if may_be:
        scored(tmp_path, known, a=(onsets, offsets), b=grid(10))
    else:
        with pytest.raises(SedreproError, match=r"row 2: a frame from -0\.05 to 0\.1 s does not f"):
            scored(tmp_path, known, a=(onsets, offsets), b=grid(10))


def test_a_frame_without_an_end_is_named(tmp_path, known):
    onsets, offsets = grid(20)
    offsets[-1] = np.inf
    with pytest.raises(SedreproError, match=r"row 21: a frame from 1\.9 to inf s does not follow"):
        scored(tmp_path, known, a=(onsets, offsets), b=grid(10))


def test_a_second_frame_that_leaves_a_gap_is_named(tmp_path, known):
    onsets, offsets = grid(20)
    onsets[1] += 0.02
    with pytest.raises(SedreproError, match=r"row 3: a frame from 0\.12 to 0\.2 s does not follow"):
        scored(tmp_path, known, a=(onsets, offsets), b=grid(10))


def test_what_is_scored_are_the_clips_of_the_set(tmp_path, known):
    with pytest.raises(SedreproError, match="1 of 2 clips have no scores: 'b', …"):
        scored(tmp_path, known, a=grid(20))
    with pytest.raises(SedreproError, match=r"c.tsv: 'c' is not one of the 2 clips of durations"):
        scored(tmp_path, known, b=grid(10), c=grid(10))


def test_a_column_that_is_no_class_and_a_clip_without_frames_are_named(tmp_path, known):
    scored(tmp_path, known, a=grid(20), b=grid(10))
    table = pd.read_csv(tmp_path / "b.tsv", sep="\t")
    table[:0].to_csv(tmp_path / "b.tsv", sep="\t", index=False)
    with pytest.raises(SedreproError, match=r"b.tsv: has no frames"):
        released.scores(tmp_path, known, "validation")
    table.assign(Cow=0.5).to_csv(tmp_path / "b.tsv", sep="\t", index=False)
    with pytest.raises(SedreproError, match="column 'Cow' is not a class; classes are Cat, Dog"):
        released.scores(tmp_path, known, "validation")


def test_only_tables_are_read_and_not_those_of_inner_folders(tmp_path):
    with pytest.raises(SedreproError, match="nowhere: no such folder"):
        released.tables_in(tmp_path / "nowhere")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "c.tsv").write_text("")
    (tmp_path / "README.md").write_text("")
    with pytest.raises(SedreproError, match=r"holds no tables \(\.tsv or \.csv\)"):
        released.tables_in(tmp_path)
    for name in ("b.csv", "a.tsv"):
        (tmp_path / name).write_text("")
    assert [path.name for path in released.tables_in(tmp_path)] == ["a.tsv", "b.csv"]


def test_operating_points_are_the_last_numbers_of_names_in_their_order(tmp_path):
    for name in ("v2_th_1.0.tsv", "th_.25.tsv", "th_0.csv", "3of4_th0.5.tsv"):
        (tmp_path / name).write_text("")
    found = released.operating_points(tmp_path)
    names = ["th_0.csv", "th_.25.tsv", "3of4_th0.5.tsv", "v2_th_1.0.tsv"]
    assert {point: path.name for point, path in found.items()} == dict(
        zip([0.0, 0.25, 0.5, 1.0], names, strict=True)
    )
    assert list(found) == [0.0, 0.25, 0.5, 1.0]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("all.tsv", "its name has no threshold"),
        ("th_1.01.tsv", r"1\.01 is no threshold: they lie between 0 and 1"),
        ("th_0.50.tsv", r"is of threshold 0\.5, and so is th_0\.5\.tsv"),
    ],
)
def test_a_table_of_no_operating_point_is_named(tmp_path, name, message):
    for one in (name, "th_0.5.tsv"):
        (tmp_path / one).write_text("")
    with pytest.raises(SedreproError, match=message):
        released.operating_points(tmp_path)


def written(path: Path, rows: list[tuple], columns: list[str] = COLUMNS) -> Path:
    pd.DataFrame(rows, columns=columns).to_csv(path, sep="\t", index=False)
    return path


def test_f1_is_of_the_table_that_is_named_for_it(tmp_path, known):
    points = tmp_path / "points"
    points.mkdir()
    written(points / "th_0.5.tsv", [("a.wav", 0.0, 1.0, "Dog")])
    beside = written(tmp_path / "other.tsv", [("b.wav", 0.0, 0.5, "Cat")])
    own = released.detections(points, known, 0.5).detected
    assert (own.clip.tolist(), own.offset.tolist()) == ([0], [1.0])
    other = released.detections(points, known, 0.5, (0.5, beside)).detected
    assert (other.clip.tolist(), other.offset.tolist()) == ([1], [0.5])
    assert released.detections(points, known, 0.25).detected is None
    with pytest.raises(
        SedreproError, match=r"other.tsv: F1 scores are at threshold 0\.5, not 0\.2"
    ):
        released.detections(points, known, 0.5, (0.2, beside))


VALIDATION = HeldOut("validation", Subset("desed", "validation"), ())
LENGTHS = ["filename", "duration"]


def known_of(folder: Path, truth: list[tuple], lengths: list[tuple], **more) -> released.Known:
    plan = SimpleNamespace(classes=CLASSES)
    return released.known(
        more.get("held_out", VALIDATION),
        plan,
        Layout(str(folder), str(folder)),
        written(folder / "truth.tsv", truth) if truth else None,
        written(folder / "durations.tsv", lengths, LENGTHS) if lengths else None,
    )


TRUE = [("b.wav", 0.5, 1.0, "Dog"), ("a.wav", 0.0, 0.5, "Cat"), ("b.wav", 0.0, 0.2, "Cat")]
SECONDS = [("a.wav", 2.0), ("c.wav", 3.0), ("b.wav", 0.0001)]


def test_the_truth_of_tables_is_in_the_order_of_the_events(tmp_path):
    found = known_of(tmp_path, TRUE, SECONDS)
    truth = found.truth
    assert (truth.clips, truth.seconds.tolist()) == (["b", "a", "c"], [0.0001, 2.0, 3.0])
    assert (truth.n_expected, truth.unit, truth.units) == (3, "clip", ["b", "a", "c"])
    assert truth.events["label"].tolist() == ["Dog", "Cat", "Cat"]
    assert found.source == str(tmp_path / "durations.tsv")


def test_units_are_those_of_the_set(tmp_path):
    rows = [("7_x.wav", 0.5, 1.0, "Dog"), ("9_x.wav", 0.5, 1.0, "Dog")]
    held_out = replace(VALIDATION, unit="video")
    found = known_of(tmp_path, rows, [(row[0], 2.0) for row in rows], held_out=held_out)
    assert (found.truth.units, found.truth.unit) == (["x", "x"], "video")


@pytest.mark.parametrize(
    ("truth", "lengths", "message"),
    [
        (TRUE, [*SECONDS, ("a.wav", 2.0)], r"durations.tsv: row 5: clip 'a' is listed twice"),
        (TRUE, [("a.wav", 2.0), ("b.wav", 0.0)], r"row 3: a clip cannot last 0\.0 s"),
        (TRUE, [("a.wav", -1.0), ("b.wav", 1.0)], r"row 2: a clip cannot last -1\.0 s"),
        (TRUE, [("a.wav", np.inf), ("b.wav", 1.0)], "row 2: a clip cannot last inf s"),
        (TRUE, SECONDS[:2], r"truth.tsv: row 2: clip 'b' is not one of the 2 clips of .*durations"),
        ([("a.wav", None, None, None)], SECONDS, "none of its clips has an event: nothing can be"),
        (TRUE, [], "not made yet; `snakemake data` makes it, or --truth and --durations give the"),
        (
            [],
            SECONDS,
            "not made yet; `snakemake data` makes it, or --truth and --durations give th",
        ),
    ],
)
def test_a_truth_that_cannot_be_is_named(tmp_path, truth, lengths, message):
    with pytest.raises(SedreproError, match=message):
        known_of(tmp_path, truth, lengths)


def test_without_tables_of_theirs_the_sets_own_are_read(tmp_path):
    layout = Layout(str(tmp_path), str(tmp_path))
    subset = VALIDATION.subset
    clips = [Clip("a", "validation", 2.0), Clip("b", "validation", 1.0), Clip("c", "weak", 1.0)]
    events = pd.DataFrame([("a", "Dog", 0.0, 1.0, 1.0)], columns=tables.EVENTS)
    audit = pd.DataFrame([("validation", 4, 3, "", "official")], columns=tables.AUDIT)
    path = layout.table(subset, "clips")
    tables.write(path, tables.clip_table(clips), tables.CLIPS)
    tables.write(layout.table(subset, "events"), events, tables.EVENTS)
    tables.write(layout.table(subset, "audit"), audit, tables.AUDIT)
    found = known_of(tmp_path, [], [])
    assert (found.truth.clips, found.source) == (["a", "b", "c"], path)
    assert found.truth.n_expected == 4
    held_out = replace(VALIDATION, subset=Subset("desed", "validation", "held_out"))
    with pytest.raises(SedreproError, match="no clip of set 'validation' is here; --truth and"):
        known_of(tmp_path, [], [], held_out=held_out)
