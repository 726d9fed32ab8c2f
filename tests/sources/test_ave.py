"""The AVE adapter on the real annotations, and on videos that are not what they should be."""

from __future__ import annotations

import shutil
from itertools import chain

import h5py
import numpy as np
import pytest

from sedrepro.errors import SedreproError
from sedrepro.settings import Project
from sedrepro.settings.classes import AVE_CLASSES
from sedrepro.sources import ave, video

T = ave.SECONDS


@pytest.fixture(scope="module")
def official(acceptance):
    """Rows and orders of the released files."""
    folder = acceptance / "ave"
    rows = ave.read_annotations(folder / "Annotations.txt", AVE_CLASSES)
    orders = {n: ave.order(folder / f"{f}.h5", len(rows)) for n, f in ave.ORDERS.items()}
    return rows, orders


def share(rows):
    """Segments inside an event."""
    return sum(row.end - row.start for row in rows) / (T * len(rows))


def test_the_released_annotations_have_the_known_counts(official):
    rows, orders = official
    assert len(rows) == 4143
    assert len({row.video for row in rows}) == 4097
    assert sum(row.end - row.start for row in rows) == 34352
    assert round(100 * share(rows), 1) == 82.9
    assert {name: len(chosen) for name, chosen in orders.items()} == {
        "train": 3339,
        "validation": 402,
        "test": 402,
    }
    assert sorted(chain(*orders.values())) == list(range(4143))
    # In the order of their first appearance: the columns of the released labels.
    assert tuple(dict.fromkeys(row.label for row in rows)) == AVE_CLASSES
    assert [row.index for row in rows if row.start == row.end] == [26]


def test_background_shares_and_oracle_line(official):
    rows, orders = official
    background = {n: 100 * (1 - share([rows[i] for i in chosen])) for n, chosen in orders.items()}
    assert {name: round(value, 2) for name, value in background.items()} == {
        "train": 16.86,
        "validation": 18.21,
        "test": 17.79,
    }
    test = [rows[i] for i in orders["test"]]
    assert sum(row.end - row.start for row in test) == 3305
    assert sum(row.end - row.start < T for row in test) == 141


def test_leak_between_the_official_splits_is_counted(official):
    rows, orders = official
    assert ave.shared(rows, orders) == [
        "10 videos also serve validation rows",
        "8 videos also serve test rows",
    ]


@pytest.fixture
def tree(tmp_path, acceptance):
    """The released tables with the rows of both feature files, tiny."""
    data = tmp_path / "ave" / "data"
    data.mkdir(parents=True)
    for path in (acceptance / "ave").iterdir():
        shutil.copy(path, data / path.name)
    for name in ("audio_feature", "visual_feature"):
        with h5py.File(data / f"{name}.h5", "w") as file:
            file["avadataset"] = np.zeros((4143, 1))
    return tmp_path / "ave"


def adapt(tree, subset, **settings):
    return ave.adapt(
        subset, Project.model_validate({"data": {"ave": {"local": str(tree), **settings}}})
    )


def test_tables_of_the_released_features(tree):
    clips, events, audit = adapt(tree, "test")
    assert len(clips) == 402
    assert clips["clip"].is_unique
    assert audit[["expected", "found"]].values.tolist() == [[402, 402]]
    assert (events["offset"] - events["onset"]).sum() == 3305
    clips, events, audit = adapt(tree, "train")
    assert clips[clips["fold"] == ave.SHARED]["clip"].str[5:].nunique() == 18
    assert "8 videos also serve test rows" in audit["note"][0]
    # The row without a time keeps its category as a tag: its video label names it.
    untimed = events[events["onset"].isna()]
    assert untimed[["clip", "label"]].values.tolist() == [
        ["0026_" + clips_video(tree, 26), "Church bell"]
    ]


def clips_video(tree, row):
    return (tree / ave.ANNOTATIONS).read_text().splitlines()[row].split("&")[1]


def test_without_features_everything_is_counted_and_nothing_listed(tree):
    (tree / "data/visual_feature.h5").unlink()
    clips, events, audit = adapt(tree, "validation")
    assert clips.empty
    assert events.empty
    assert audit[["expected", "found"]].values.tolist() == [[402, 0]]
    assert audit["note"][0]


def test_row_orders_that_cannot_be_had_are_absent_data_with_the_reason(tree, monkeypatch):
    monkeypatch.chdir(tree.parent)
    (tree / "data/train_order.h5").unlink()
    with pytest.raises(SedreproError, match=r"train_order\.h5: no such file"):
        adapt(tree, "test")
    status = tree.parent / "data/full/status"
    status.mkdir(parents=True)
    (status / "ave_annotations.json").write_text('{"status": "partial", "reason": "not this"}')
    (status / "ave_orders.json").write_text('{"status": "partial", "reason": "host is gone"}')
    clips, events, audit = adapt(tree, "test")
    assert clips.empty
    assert events.empty
    assert audit.values.tolist() == [["test", 402, 0, "ave_orders: host is gone", "official"]]


def test_a_corrupt_video_is_counted_a_short_one_keeps_its_length(tree):
    first = [line.split("&")[1] for line in (tree / ave.ANNOTATIONS).read_text().splitlines()]
    wanted = [first[i] for i in ave.order(tree / "data/test_order.h5", 4143)[:3]]
    folder = tree / ave.VIDEOS
    folder.mkdir(parents=True)
    frames = np.zeros((24, 16, 16, 3), np.uint8)
    video.write(folder / f"{wanted[0]}.mp4", frames, 4)
    (folder / f"{wanted[1]}.mp4").write_bytes(b"not a video" * 100)
    clips, _, audit = adapt(tree, "test", features=False, videos=True)
    assert clips["seconds"].tolist() == [6.0]
    assert audit[["expected", "found"]].values.tolist() == [[402, 1]]
    assert f"1 videos cannot be read ({wanted[1]}.mp4)" in audit["note"][0]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("Bark&x&good&3", "line 2: not category&video&quality&start&end"),
        ("Barks&x&good&3&5", "line 2: 'Barks' is not one of data.ave.classes"),
        ("Bark&x&good&5&3", "line 2: 0 <= start <= end <= 10 must hold, not 5 and 3"),
        ("Bark&x&good&5&11", "line 2: 0 <= start <= end <= 10 must hold"),
    ],
)
def test_a_wrong_annotation_is_named(tmp_path, line, complaint):
    path = tmp_path / "Annotations.txt"
    path.write_text(f"Bark&a&good&0&10\n{line}\n")
    with pytest.raises(SedreproError, match=complaint):
        ave.read_annotations(path, AVE_CLASSES)


def test_an_order_beyond_the_rows_is_refused(tmp_path):
    with h5py.File(tmp_path / "o.h5", "w") as file:
        file["order"] = np.array([0, 7])
    with pytest.raises(SedreproError, match="different numbers below 7"):
        ave.order(tmp_path / "o.h5", 7)
