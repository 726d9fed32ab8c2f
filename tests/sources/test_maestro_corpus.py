"""MAESTRO Real: windows, soft labels, splits; the look-alike of it."""

from __future__ import annotations

import lzma
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from sedrepro import miniature as look
from sedrepro import tables
from sedrepro.clips import Clip, read_clips
from sedrepro.errors import SedreproError
from sedrepro.miniature.maestro import names, plan
from sedrepro.mixtures import reading
from sedrepro.settings import Project
from sedrepro.settings.classes import MAESTRO_CLASSES
from sedrepro.settings.data import Look
from sedrepro.sources import maestro


def project(folder: Path, **data) -> Project:
    return Project.model_validate({"data": {"folder": str(folder), **data}})


def annotate(root: Path, recording: str, rows: list[tuple]) -> None:
    scene = recording.rpartition("_")[0]
    path = root / "development_annotation" / f"soft_labels_{scene}" / f"{recording}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join("\t".join(map(str, row)) + "\n" for row in rows))


def record(root: Path, recording: str, samples: np.ndarray, rate: int = 16000) -> None:
    path = root / "development_audio" / recording.rpartition("_")[0] / f"{recording}.wav"
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, subtype="PCM_16")


@pytest.fixture
def raw(tmp_path) -> Path:
    return tmp_path / "full" / "raw" / "maestro"


def written(clips: pd.DataFrame, folder: Path) -> list[Clip]:
    """The clips as readers of their table get them."""
    tables.write(folder / "clips.tsv", clips, tables.CLIPS)
    return read_clips(folder / "clips.tsv")


def test_validation_windows_begin_on_whole_seconds():
    """Scores are averaged second by second."""
    with pytest.raises(ValueError, match="validation_hop"):
        Project.model_validate({"data": {"maestro": {"validation_hop": 2.5}}})


@pytest.mark.parametrize(
    ("seconds", "hop", "starts"),
    [
        (12.5, 1.0, [0, 1, 2, 3]),  # the last one is what remains
        (12.0, 1.0, [0, 1, 2]),  # nothing remains: [3, 12) lies in the last whole window
        (21.0, 5.0, [0, 5, 10, 15]),
        (20.0, 5.0, [0, 5, 10]),
        (4.0, 5.0, [0]),
    ],
)
def test_windows_follow_the_rule(seconds, hop, starts):
    # The rule written out: whole windows, then [n·hop, end) if the last one does not reach the end.
    found = list(maestro.windows("r", seconds, 10.0, hop))
    assert [w.start for w in found] == starts
    assert all(w.end == min(w.start + 10.0, seconds) for w in found)


def test_names_cut_times_to_hundredths():
    assert maestro.Window("cafe_restaurant_00", 12.0, 17.259).name == (
        "cafe_restaurant_00-001200-001725"
    )


def test_the_real_tables_give_the_published_counts(acceptance, raw, tmp_path):
    table = acceptance / "maestro" / "development_metadata.csv"
    (raw / "metadata").mkdir(parents=True)
    (raw / "metadata" / table.name).write_text(table.read_text())
    lengths = pd.read_csv(table, sep="\t").set_index("filename")["duration"]
    assert len(lengths) == 49
    assert lengths.sum() == pytest.approx(11391.5, abs=0.1)
    for recording, seconds in lengths.items():
        annotate(raw, recording, [(k, k + 1, "car", 0.4) for k in range(int(np.ceil(seconds)))])
    for subset, expected in maestro.EXPECTED.items():
        clips, events, audit = maestro.adapt(subset, project(tmp_path))
        assert len(clips) == len(events) == 0
        assert (audit["expected"].item(), audit["found"].item()) == (expected, 0)
    hop_1 = project(tmp_path, maestro={"validation_hop": 1.0})
    assert maestro.adapt("validation", hop_1)[2]["expected"].item() == 3474


def test_the_split_is_the_official_one(acceptance):
    for name, column, wanted in (("train", "train", False), ("validation", "val", True)):
        rows = pd.read_csv(acceptance / "maestro" / f"{name}_split.csv")[column]
        stems = [Path(row).stem for row in rows]
        assert len(stems) == (16 if wanted else 33)
        assert all(maestro.is_validation(stem) == wanted for stem in stems)


def test_real_labels_are_classes(acceptance):
    with lzma.open(acceptance / "maestro" / "gt_dev.csv.xz") as handle:
        labels = pd.read_csv(handle, sep="\t")["event_label"].unique()
    assert set(labels) <= set(MAESTRO_CLASSES)
    assert len(MAESTRO_CLASSES) == 17


def test_five_training_recordings_select_checkpoints(acceptance, raw, tmp_path):
    table = acceptance / "maestro" / "development_metadata.csv"
    names_ = pd.read_csv(table, sep="\t")["filename"]
    for recording in names_:
        annotate(raw, recording, [(0, 1, "car", 0.4)])
        record(raw, recording, np.zeros(1600))
    clips, _, _ = maestro.adapt("train", project(tmp_path))
    assert clips["fold"].value_counts().to_dict() == {"train": 28, "held_out": 5}
    # The draw itself: NumPy's legacy generator, seeded once, shuffles scene after scene.
    random, held = np.random.RandomState(42), []
    for scene in maestro.SCENES:
        own = sorted(n for n in names_ if n.startswith(scene) and not maestro.is_validation(n))
        order = random.permutation(len(own))
        held += [own[k] for k in order[int(0.9 * len(own)) :]]
    chosen = {clip.split("-")[0] for clip in clips.loc[clips["fold"] == "held_out", "clip"]}
    assert chosen == set(held)


def test_labels_are_cut_to_the_window_and_stay_soft(raw, tmp_path):
    recording = "city_center_00"
    annotate(
        raw, recording, [(0, 1, "car", 0.25), (9, 11, "footsteps", 1.0004), (11, 12, "car", 0)]
    )
    samples = np.linspace(-0.5, 0.5, 12 * 16000)
    record(raw, recording, samples)
    clips, events, audit = maestro.adapt("train", project(tmp_path))
    assert list(clips["clip"]) == [
        "city_center_00-000000-001000",
        "city_center_00-000100-001100",
        "city_center_00-000200-001200",
    ]
    assert audit["expected"].item() == audit["found"].item() == 3
    assert "lengths is absent" in audit["note"].item()
    found = {
        (e.clip[-13:], e.label): (e.onset, e.offset, e.confidence) for e in events.itertuples()
    }
    assert found == {
        ("000000-001000", "car"): (0, 1, 0.25),
        ("000000-001000", "footsteps"): (9, 10, 1.0),
        ("000100-001100", "footsteps"): (8, 10, 1.0),
        ("000200-001200", "footsteps"): (7, 9, 1.0),
        ("000200-001200", "car"): (9, 10, 0.0),
    }
    last = written(clips, tmp_path)[2]
    heard = reading.read(last, 16000)
    np.testing.assert_allclose(heard, samples[32000:], atol=1e-4)
    assert last.file.endswith("city_center_00.wav")
    assert last.start == 2.0


def test_windows_without_annotation_are_no_clips(raw, tmp_path):
    annotate(raw, "city_center_00", [(25, 26, "car", 0.5)])
    record(raw, "city_center_00", np.zeros(30 * 8000), 8000)
    clips, _, audit = maestro.adapt("train", project(tmp_path))
    assert [name[-13:-7] for name in clips["clip"]] == [f"{100 * k:06d}" for k in range(16, 21)]
    assert audit["expected"].item() == 5


def test_nothing_there_says_why(raw, tmp_path):
    clips, _, audit = maestro.adapt("validation", project(tmp_path))
    assert len(clips) == 0
    assert audit["expected"].item() == 718
    assert audit["note"].item() == "no recording is there"


def test_an_unknown_label_is_named(raw, tmp_path):
    annotate(raw, "city_center_00", [(0, 1, "elephant", 0.5)])
    record(raw, "city_center_00", np.zeros(16000))
    with pytest.raises(SedreproError, match="label 'elephant' is not a class"):
        maestro.adapt("train", project(tmp_path))


@pytest.mark.parametrize("times", [(20.2, 20.8), (5, 21.5)])
def test_a_label_beyond_its_recording_is_refused(raw, tmp_path, times):
    record(raw, "cafe_restaurant_00", np.zeros(20 * 8000), 8000)
    annotate(raw, "cafe_restaurant_00", [(0, 1, "car", 1.0), (19, 20.9, "car", 1.0)])
    assert len(maestro.adapt("train", project(tmp_path))[0])
    annotate(raw, "cafe_restaurant_00", [(0, 1, "car", 1.0), (*times, "car", 1.0)])
    with pytest.raises(SedreproError, match=r"restaurant_00: label 'car' lasts from .* is 20 s"):
        maestro.adapt("train", project(tmp_path))


def test_the_look_alike_is_adapted_like_the_real_thing(tmp_path):
    rendered = Project.model_validate(
        {
            "scale": "mini",
            "data": {
                "folder": str(tmp_path),
                "origin": "render",
                "look": {"maestro": [2, 1], "maestro_seconds": 6.0},
                "maestro": {"window": 3.0, "validation_hop": 3.0},
            },
        }
    )
    for resource in ("maestro_audio", "maestro_annotation", "maestro_durations"):
        made = look.render(resource, rendered)
        assert made["files"]
        assert made["bytes"]
    train, events, audit = maestro.adapt("train", rendered)
    assert audit["found"].item() == audit["expected"].item() == len(train) > 30
    assert set(train["fold"]) == {"train", "held_out"}
    assert 0 < events["confidence"].min() < 0.5 < events["confidence"].max() <= 1
    validation, truth, _ = maestro.adapt("validation", rendered)
    assert len(validation) == 10
    wav = validation["path"][0]
    assert soundfile.info(wav).channels == 2
    assert (
        tables.frame_targets(truth, list(validation["clip"]), list(MAESTRO_CLASSES), 3, 1.0).max()
        > 0.5
    )


def test_every_scored_class_can_be_heard_in_the_look_alike():
    settings = Look(maestro=(3, 1), maestro_seconds=20.0)
    for validation in (True, False):
        chosen = [n for n in names(settings) if maestro.is_validation(n) == validation]
        heard = {event.label for name in chosen for event in plan(name, settings)}
        assert heard == set(MAESTRO_CLASSES)
