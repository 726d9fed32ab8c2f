"""Look-alike FSDKaggle2018 and scene sets: the real layouts, and sounds one can tell apart."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import soundfile

from sedrepro.clips import read_clips
from sedrepro.errors import SedreproError
from sedrepro.miniature import render
from sedrepro.miniature.snr_mix import EVENTS, SCENES, scene
from sedrepro.mixtures import snr_mix
from sedrepro.settings import Layout, Project, Subset
from sedrepro.sources import fsdkaggle2018, scenes

CLASSES = ["Bass_drum", "Gong", "Hi-hat"]


def project(**changes) -> Project:
    data = {
        "origin": "render",
        "look": {"fsd_files": 10, "scenes": 12},
        "snr_mix": {
            "clips_per_fold": 3,
            "seconds": 1.2,
            "onsets": [0.1, 0.7],
            "longest": 0.5,
            "classes": CLASSES,
        },
        **changes,
    }
    return Project.model_validate({"scale": "mini", "data": data})


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    folder = tmp_path_factory.mktemp("look")
    patch = pytest.MonkeyPatch()
    patch.chdir(folder)
    made = {name: render(name, project()) for name in ("fsdkaggle2018", "tau2019")}
    yield folder / "data/mini/raw", made
    patch.undo()


def test_fsdkaggle2018_has_the_official_layout(rendered):
    raw, made = rendered
    table = pd.read_csv(raw / "fsdkaggle2018/FSDKaggle2018.meta/train_post_competition.csv")
    assert list(table) == ["fname", "label", "manually_verified", "freesound_id", "license"]
    assert table["fname"].is_monotonic_increasing
    assert table["fname"].str.fullmatch(r"[0-9a-f]{8}\.wav").all()
    assert table["label"].value_counts().to_dict() == dict.fromkeys(CLASSES, 10)
    assert (table["manually_verified"] == 0).sum() == 6
    folder = raw / "fsdkaggle2018/FSDKaggle2018.audio_train"
    assert {path.name for path in folder.glob("*.wav")} == set(table["fname"])
    info = soundfile.info(folder / table["fname"][0])
    assert (info.samplerate, info.channels, info.subtype) == (44100, 1, "PCM_16")
    assert made["fsdkaggle2018"]["files"] == 30


def test_scenes_have_the_official_layout(rendered):
    raw, _ = rendered
    top = raw / "tau2019/TAU-urban-acoustic-scenes-2019-development"
    table = pd.read_csv(top / "meta.csv", sep="\t")
    assert list(table) == ["filename", "scene_label", "identifier", "source_label"]
    assert len(table) == 12
    for row in table.itertuples():
        assert row.filename.startswith(f"audio/{row.scene_label}-{row.identifier}-")
        info = soundfile.info(top / row.filename)
        assert (info.samplerate, info.channels, info.subtype) == (48000, 2, "PCM_24")
        assert info.duration == pytest.approx(1.2, abs=1e-3)


def test_what_is_rendered_can_be_mixed(rendered):
    made = project()
    assert len(fsdkaggle2018.read(made)) == 30
    assert len(scenes.read(made)) == 12
    snr_mix.write_recipe(made, "snr0")
    clips = read_clips(Layout.of(made).table(Subset("snr_mix", "snr0"), "clips"))
    assert len(clips) == 12
    sound = snr_mix.read(clips[0], 32000)
    assert len(sound) == 38400
    assert sound.std() > 0.01


def test_scenes_of_2018_lie_under_their_own_name(rendered):
    made = project()
    snr = made.data.snr_mix.model_copy(update={"scenes": "tut2018"})
    other = made.model_copy(update={"data": made.data.model_copy(update={"snr_mix": snr})})
    render("tut2018", other)
    assert scenes.root(other).name == "TUT-urban-acoustic-scenes-2018-development"
    assert len(scenes.read(other)) == 12


def test_a_class_without_a_sound_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong = project(snr_mix={"classes": ["Bark", "Oboe"]})
    with pytest.raises(SedreproError, match="no sound of 'Oboe'"):
        render("fsdkaggle2018", wrong)


def spectrum(sound: np.ndarray) -> np.ndarray:
    """Mean level in third octaves, dB."""
    power = np.abs(np.fft.rfft(sound)) ** 2
    hertz = np.fft.rfftfreq(len(sound), 1 / 44100)
    edges = 40 * 2 ** (np.arange(29) / 3)
    bands = [power[(hertz >= a) & (hertz < b)].sum() for a, b in pairwise(edges)]
    return 10 * np.log10(np.array(bands) / power.sum() + 1e-6)


def test_sounds_of_a_class_resemble_each_other_more_than_others():
    drawn = {
        label: [
            spectrum(model.synthesize(np.random.default_rng([place, k]), 1.0)) for k in range(6)
        ]
        for place, (label, model) in enumerate(EVENTS.items())
    }
    centres = {label: np.mean(sounds[:3], axis=0) for label, sounds in drawn.items()}
    right = sum(
        min(centres, key=lambda other, s=sound: np.linalg.norm(s - centres[other])) == label
        for label, sounds in drawn.items()
        for sound in sounds[3:]
    )
    assert right >= 0.8 * 3 * len(EVENTS)


@pytest.mark.parametrize("label", SCENES)
def test_scenes_are_finite_and_repeatable(label):
    first, second = (scene(np.random.default_rng(3), label, 1.0) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all()
    assert first.dtype == np.float32
    assert first.std() > 0.1
