from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from sedrepro import tables
from sedrepro.errors import SedreproError
from sedrepro.mixtures import soundscapes
from sedrepro.settings import Project

CLASSES = ["Dog", "Speech", "Blender"]
TRAIN = "data/mini/raw/desed/dcase_synth/{}/train/synthetic21_train"
RAW = Path("data/mini/raw/desed_soundbank")


def project(**recipe: object) -> Project:
    recipe = {
        "clips": {"synth_train": 6, "synth_validation": 2},
        "shards": 1,
        "seconds": 4.0,
        "onset": (2.0, 1.0, 0.25, 4.0),
        **recipe,
    }
    desed = {"classes": CLASSES, "soundscapes": recipe}
    return Project.model_validate({"scale": "mini", "data": {"desed": desed}})


@pytest.fixture
def here(tmp_path: Path, bank: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with the sound bank in its place."""
    monkeypatch.chdir(tmp_path)
    RAW.parent.mkdir(parents=True)
    RAW.symlink_to(bank)
    return tmp_path


def mix(project: Project, subset: str = "synth_train") -> None:
    for shard in reversed(range(project.data.desed.soundscapes.shards)):
        soundscapes.mix_shard(project, subset, shard)


def recordings() -> dict[str, bytes]:
    folder = Path(TRAIN.format("audio")) / "soundscapes"
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def labels() -> pd.DataFrame:
    return tables.read(f"{TRAIN.format('metadata')}/soundscapes.tsv", soundscapes.STRONG)


def test_the_audio_and_labels_do_not_depend_on_the_sharding(
    here: Path,
) -> None:
    mix(project())
    soundscapes.collect(project(), "synth_train")
    whole, table = recordings(), labels()
    assert sorted(whole) == [f"{index}.wav" for index in range(6)]
    for path in (Path(TRAIN.format("audio")) / "soundscapes").iterdir():
        path.unlink()
    mix(project(shards=4))
    soundscapes.collect(project(shards=4), "synth_train")
    assert recordings() == whole
    pd.testing.assert_frame_equal(labels(), table)


def test_seed_subset_and_index_each_change_the_soundscape(here: Path) -> None:
    one = project(clips={"synth_train": 4, "synth_validation": 1})
    mix(one)
    train = recordings()
    mix(one, "synth_validation")
    validation = Path(str(TRAIN).replace("train", "validation").format("audio"))
    assert (validation / "soundscapes" / "0.wav").read_bytes() != train["0.wav"]
    assert train["0.wav"] != train["3.wav"]  # both of class Dog
    mix(project(clips={"synth_train": 1, "synth_validation": 1}, seed=5))
    assert recordings()["0.wav"] != train["0.wav"]


def test_the_layout_is_that_of_dcase_synth(here: Path) -> None:
    settings = project()
    mix(settings)
    soundscapes.collect(settings, "synth_train")
    info = soundfile.info(f"{TRAIN.format('audio')}/soundscapes/0.wav")
    assert (info.samplerate, info.channels, info.frames) == (16000, 1, 64000)
    durations = tables.read(f"{TRAIN.format('metadata')}/durations.tsv", ["filename", "duration"])
    assert durations["filename"].tolist() == [f"{index}.wav" for index in range(6)]
    assert (durations["duration"] == 4.0).all()
    header = Path(TRAIN.format("metadata"), "soundscapes.tsv").read_text().splitlines()[0]
    assert header == "filename\tonset\toffset\tevent_label"
    corpus = Path("data/mini/corpora/desed/synth_train")
    clips = tables.read_clip_table(corpus / "clips.tsv")
    assert sorted(clips["clip"]) == [str(index) for index in range(6)]
    assert (clips["seconds"] == 4.0).all()
    assert set(clips["path"].map(lambda path: Path(path).is_file())) == {True}
    events = tables.read_events(corpus / "events.tsv", CLASSES)
    assert len(events) == len(labels())
    audit = tables.read(corpus / "audit.tsv", tables.AUDIT)
    assert (audit["expected"][0], audit["found"][0]) == (6, 6)


def test_events_lie_within_the_clip_and_carry_plain_class_names(here: Path) -> None:
    settings = project(clips={"synth_train": 12, "synth_validation": 1})
    mix(settings)
    soundscapes.collect(settings, "synth_train")
    events = labels()
    assert set(events["event_label"]) == set(CLASSES)
    assert (events["onset"] >= 0).all()
    assert (events["offset"] <= 4.0).all()
    assert (events["offset"] - events["onset"] >= 0.25 - 1e-9).all()
    per_clip = events.groupby("event_label")["filename"].nunique()
    assert per_clip.min() >= 12 // len(CLASSES)


def test_the_labels_say_where_the_sound_is(here: Path) -> None:
    settings = project(
        clips={"synth_train": 1, "synth_validation": 1},
        max_events=1,
        snr=(30.0, 30.0),
        reverb=0.0,
    )
    mix(settings)
    event = tables.read("data/mini/mixtures/desed/synth_train/shard0.tsv", soundscapes.SHARD)
    assert event["event_label"].tolist() == ["Dog"]
    samples, rate = soundfile.read(f"{TRAIN.format('audio')}/soundscapes/0.wav")
    loud = np.abs(samples).reshape(-1, rate // 50).max(axis=1)  # 20 ms blocks
    active = np.flatnonzero(loud > loud.max() / 4) / 50
    assert active[0] == pytest.approx(event["onset"][0], abs=0.06)
    assert active[-1] + 0.02 == pytest.approx(event["offset"][0], abs=0.06)


def test_desed_rules_merge_lengthen_and_keep_event_free_clips() -> None:
    recipe = project(seconds=10.0).data.desed.soundscapes
    rows = [
        ("0.wav", 1.0, 2.0, "Dog"),
        ("0.wav", 2.1, 3.0, "Dog"),  # 100 ms later: one event
        ("0.wav", 2.05, 2.5, "Speech"),  # another class: stays
        ("0.wav", 3.2, 4.0, "Dog"),  # 200 ms later: an event of its own
        ("0.wav", 6.0, 6.1, "Speech"),  # lengthened to 250 ms
        ("0.wav", 5.0, 10.4, "Blender_nOff"),
        ("1.wav", 9.9, 9.95, "Dog"),  # too short and at the edge: dropped
    ]
    with soundscapes._quiet():
        events = soundscapes._labels(recipe, [pd.DataFrame(rows, columns=soundscapes.STRONG)])
    found = sorted(events.dropna().itertuples(index=False, name=None), key=lambda row: row[1])
    assert found == [
        ("0.wav", 1.0, 3.0, "Dog"),
        ("0.wav", 2.05, 2.5, "Speech"),
        ("0.wav", 3.2, 4.0, "Dog"),
        ("0.wav", 5.0, 10.0, "Blender"),
        ("0.wav", 6.0, 6.25, "Speech"),
    ]
    assert events.loc[events["onset"].isna(), "filename"].tolist() == ["1.wav"]


def test_a_smaller_recipe_leaves_nothing_of_a_larger_one(here: Path) -> None:
    mix(project())
    small = project(clips={"synth_train": 2, "synth_validation": 1})
    with pytest.raises(SedreproError, match="other settings"):
        soundscapes.collect(small, "synth_train")
    mix(small)
    soundscapes.collect(small, "synth_train")
    assert sorted(recordings()) == ["0.wav", "1.wav"]
    assert set(labels()["filename"]) == {"0.wav", "1.wav"}


def test_a_lost_soundscape_is_named(here: Path) -> None:
    mix(project())
    Path(TRAIN.format("audio"), "soundscapes", "3.wav").unlink()
    with pytest.raises(SedreproError, match=r"3\.wav: this soundscape is missing"):
        soundscapes.collect(project(), "synth_train")


def test_a_sound_bank_of_ones_own_is_mixed_from_where_it_lies(
    tmp_path: Path, bank: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(bank.parent))
    own = project(clips={"synth_train": 1, "synth_validation": 1}).model_dump()
    own["data"]["desed_soundbank"]["local"] = f"~/{bank.name}"
    mix(Project.model_validate(own))
    assert sorted(recordings()) == ["0.wav"]
    own["data"]["desed_soundbank"]["local"] = "elsewhere"
    with pytest.raises(SedreproError, match=r"data\.desed_soundbank\.local: .*elsewhere: no such"):
        mix(Project.model_validate(own))


def test_missing_sox_is_one_clear_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SedreproError, match=r"`sox`.*install") as failure:
        mix(project())
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize(
    ("emptied", "message"),
    [
        ("foreground/Dog", r"foreground/Dog: the sound bank has no recordings of class 'Dog'"),
        ("background/sins", r"background: the sound bank has no background recordings"),
    ],
)
def test_an_empty_folder_of_the_sound_bank_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    render_bank: Callable[[Path], None],
    emptied: str,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    render_bank(RAW / "audio/train/soundbank")
    for path in (RAW / "audio/train/soundbank" / emptied).iterdir():
        path.unlink()
    with pytest.raises(SedreproError, match=message):
        mix(project())
