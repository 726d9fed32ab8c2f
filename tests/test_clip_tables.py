"""The tables that flow between stages: what is refused, in which words, and what targets mean."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sedrepro import audio, tables
from sedrepro.clips import Clip, read_clips
from sedrepro.errors import SedreproError
from sedrepro.mixtures import reading

CLASSES = ["Cat", "Dog"]
CLIPS_HEADER = "\t".join(tables.CLIPS) + "\n"
CLIP_ROW = "a\tx\t1.0\t\ta.wav\t\t\t\n"
HEADER = "clip\tlabel\tonset\toffset\tconfidence\n"


def written(tmp_path, text: str):
    path = tmp_path / "events.tsv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty file; expected columns clip, label, onset, offset, confidence"),
        ("clip\tonset\n", "column 'label' is missing; found clip, onset"),
        (HEADER + "a\tCow\t0\t1\t1\n", "row 2: label 'Cow' is not a class; classes are Cat, Dog"),
        (
            HEADER + "a\tCat\t0\t1\t1\nb\tDog\t2\t1\t1\n",
            "row 3: event 'Dog' of clip 'b' must have 0 <= onset < offset, not 2.0 and 1.0",
        ),
        (HEADER + "a\tCat\t-1\t1\t1\n", "row 2: event 'Cat' of clip 'a' must have 0 <= onset"),
        (HEADER + "a\tCat\t0\t\t1\n", "row 2: event 'Cat' of clip 'a' must have 0 <= onset"),
        (HEADER + "a\tCat\t1\t1\t1\n", "row 2: event 'Cat' of clip 'a' must have 0 <= onset"),
        (HEADER + "a\tCat\t0\tinf\t1\n", "row 2: event 'Cat' of clip 'a' must have 0 <= onset"),
        (HEADER + "a\tCat\t\t1\t1\n", "row 2: event 'Cat' of clip 'a' must have 0 <= onset"),
        (HEADER + "a\tCat\t0\t1\t1\nb\tCow\t0\t1\t1\n", "row 3: label 'Cow' is not a class"),
        (HEADER + "a\tCat\t0\t1\t1\nb\tCat\t0\t1\tno\n", "row 3: confidence must be a number"),
        (HEADER + "a\tCat\t0\t1\t1\tmore\n", "a row has more cells than the heading"),
        (HEADER.replace("\t", ";"), "columns must be separated by tabs, not semicolons"),
        (HEADER.replace("\t", ","), "columns must be separated by tabs, not commas"),
        (HEADER.replace("\t", " "), "columns must be separated by tabs, not spaces"),
        ("nothing\n", "column 'clip' is missing; found nothing"),
        (HEADER + "a\tCat\tsoon\t1\t1\n", "row 2: onset must be a number, not 'soon'"),
    ],
)
def test_a_wrong_table_is_one_clear_line(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(SedreproError) as caught:
        tables.read_events(path, CLASSES)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("separator", [",", "\t"])
def test_a_file_named_csv_has_commas_or_tabs(tmp_path, separator):
    path = tmp_path / "events.csv"
    path.write_text((HEADER + "007\tCat\t0\t1\t1\n").replace("\t", separator))
    assert tables.read_events(path, CLASSES)["clip"].tolist() == ["007"]
    for other, name in ((";", "semicolons"), (" ", "spaces")):
        path.write_text(HEADER.replace("\t", other))
        with pytest.raises(SedreproError, match=f"must be separated by commas, not {name}"):
            tables.read_events(path, CLASSES)


def test_names_in_deseds_own_tables_stay_text_too(tmp_path):
    path = written(tmp_path, "filename\tevent_label\tevent_labels\tnote\n1\t2\t\tNA\n")
    assert tables.read(path, ["filename"]).iloc[0].tolist() == ["1", "2", "", "NA"]


def test_an_event_of_no_class_may_be_read_where_nobody_asks_for_classes(tmp_path):
    path = written(tmp_path, HEADER + "a\tCow\t0\t1\t1\n")
    assert tables.read_events(path)["label"].tolist() == ["Cow"]


def test_a_row_of_a_filtered_table_is_still_named_by_its_place(tmp_path):
    path = written(tmp_path, HEADER + "a\tCat\t0\t1\t1\na\tDog\t0\t1\t1\nb\tCow\t0\t1\t1\n")
    events = tables.read_events(path)[1:]
    with pytest.raises(SedreproError, match="row 4: label 'Cow' is not a class"):
        tables.check_events(path, events, CLASSES)


def test_a_missing_table_and_one_that_is_no_table(tmp_path):
    with pytest.raises(SedreproError, match="no such file"):
        tables.read_events(tmp_path / "absent.tsv")
    binary = tmp_path / "binary.tsv"
    binary.write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(SedreproError, match="not a TSV table"):
        tables.read_events(binary)


def test_a_clip_listed_twice_is_refused(tmp_path):
    path = tmp_path / "clips.tsv"
    path.write_text(CLIPS_HEADER + CLIP_ROW + CLIP_ROW)
    with pytest.raises(SedreproError, match="clip 'a' is listed twice"):
        tables.read_clip_table(path)


def test_clips_are_read_back_as_they_were_written(tmp_path):
    listed = [
        Clip("007", "weak", 10.0, "train", "a/b #1.wav"),
        Clip("NA", "train", 10.1 - 0.3, path="a.wav", start=0.3),
        Clip("m", "snr20", 10.0, "2", recipe="snr20.tsv"),
        Clip("0003_v", "test", 9.9, path="v.mp4", feature_row=3),
        Clip("0000_n", "negatives", 10.0, feature_row=0),
    ]
    path = tmp_path / "clips.tsv"
    tables.write(path, tables.clip_table(listed), tables.CLIPS)
    assert read_clips(path) == listed
    assert path.read_text().splitlines()[4] == "0003_v\ttest\t9.9\t\tv.mp4\t\t\t3"
    table = tables.read_clip_table(path)
    tables.write(tmp_path / "again.tsv", table, tables.CLIPS)
    assert (tmp_path / "again.tsv").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "column 'clip' is missing; found nothing"),
        (
            "clip\tsubset\tpath\tseconds\tfold\na\tx\ta.wav#0.0-1.0\t1\t\n",
            "column 'start' is missing; found clip, subset, path, seconds, fold",
        ),
        (CLIPS_HEADER + CLIP_ROW.replace("1.0", "long"), "seconds must be a number, not 'long'"),
        (CLIPS_HEADER + CLIP_ROW.replace("1.0", "inf"), "seconds must be a number, not 'inf'"),
        (CLIPS_HEADER + "a\tx\t1.0\n", "row 2: must have 8 cells"),
        (CLIPS_HEADER + CLIP_ROW.replace("\n", "\tmore\n"), "row 2: must have 8 cells"),
    ],
)
def test_a_wrong_table_of_clips_is_one_clear_line(tmp_path, text, message):
    path = tmp_path / "clips.tsv"
    path.write_text(text)
    with pytest.raises(SedreproError) as caught:
        read_clips(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_window_keeps_its_samples_whatever_its_times_are(tmp_path):
    samples = np.sin(np.arange(5 * 44100) / 7).astype("f4")
    audio.write(tmp_path / "long.wav", samples, 44100)
    for start, end in ((0.1, 0.4), (0.7, 1.9), (3.3, 5.0)):
        clip = Clip("w", "train", end - start, path=str(tmp_path / "long.wav"), start=start)
        heard = reading.read(clip, 44100)
        wanted = samples[round(start * 44100) : round(end * 44100)]
        np.testing.assert_allclose(heard, wanted, atol=1e-4)


def test_names_that_look_like_numbers_or_nothing_stay_text(tmp_path):
    path = written(tmp_path, HEADER + "007\tCat\t0\t1\t1\nNA\tDog\t\t\t1\n")
    events = tables.read_events(path, CLASSES)
    assert list(events["clip"]) == ["007", "NA"]
    assert np.isnan(events["onset"][1])


def test_what_is_written_is_read_back(tmp_path):
    path = tmp_path / "events.tsv"
    rows = [("a", "Cat", 0.125, 1.0625, 0.5), ("b", "Dog", np.nan, np.nan, 1.0)]
    events = pd.DataFrame(rows, columns=tables.EVENTS)
    tables.write(path, events, tables.EVENTS)
    pd.testing.assert_frame_equal(tables.read_events(path, CLASSES), events)


def test_frame_targets_cover_what_the_event_touches():
    rows = [
        ("elsewhere", "Dog", 0.0, 1.0, 1.0),
        ("a", "Cow", 0.0, 1.0, 1.0),
        ("a", "Cat", 0.10, 0.30, 1.0),
        ("a", "Cat", 0.25, 0.45, 0.5),
        ("b", "Dog", 0.0, 9.0, 0.7),
    ]
    events = pd.DataFrame(rows, columns=tables.EVENTS)
    targets = tables.frame_targets(events, ["a", "b"], CLASSES, frames=5, hop=0.1)
    # 0.10–0.30 s covers frames 1 and 2; the overlap keeps the larger confidence.
    assert targets[0, :, 0].tolist() == [0, 1, 1, 0.5, 0.5]
    assert np.allclose(targets[1, :, 1], 0.7)
    assert targets.sum() == pytest.approx(3 + 5 * 0.7)


def test_overlapping_events_can_take_the_last_rows_confidence():
    """As where one-second labels of changing confidence meet inside a frame."""
    rows = [("a", "Cat", 0.0, 1.0, 0.9), ("a", "Cat", 1.0, 2.0, 0.2), ("a", "Dog", 1.0, 2.0, 0.5)]
    events = pd.DataFrame(rows, columns=tables.EVENTS)
    size = {"frames": 4, "hop": 0.6}  # second frame: 0.6 to 1.2 s, in both
    last = tables.frame_targets(events, ["a"], CLASSES, **size, overlap="last")
    largest = tables.frame_targets(events, ["a"], CLASSES, **size)
    assert last[0, :, 0].tolist() == pytest.approx([0.9, 0.2, 0.2, 0.2])
    assert largest[0, :, 0].tolist() == pytest.approx([0.9, 0.9, 0.2, 0.2])
    assert last[0, :, 1].tolist() == largest[0, :, 1].tolist() == pytest.approx([0, 0.5, 0.5, 0.5])


def test_clip_targets_count_tags_and_events_alike():
    rows = [
        *(("elsewhere", "Cat", 0.0, 1.0, 1.0), ("a", "Cow", 0.0, 1.0, 1.0)),
        *(("a", "Cat", np.nan, np.nan, 1.0), ("b", "Dog", 0.0, 1.0, 1.0)),
    ]
    events = pd.DataFrame(rows, columns=tables.EVENTS)
    assert tables.clip_targets(events, ["b", "a"], CLASSES).tolist() == [[0, 1], [1, 0]]
