"""Stores of seconds of videos: what each kind holds, and what is said when it cannot."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from sedrepro import tables
from sedrepro.clips import Clip
from sedrepro.errors import SedreproError
from sedrepro.features.extract import extract
from sedrepro.features.logmel import LogMel
from sedrepro.inference.embed import embed
from sedrepro.networks import audioclip
from sedrepro.settings import Layout, Project, Subset, declared
from sedrepro.sources import video
from sedrepro.store import Store

TEST, NEGATIVES = Subset("ave", "test"), Subset("ave", "negatives")
SECONDS = 10


@pytest.fixture
def corpus(tmp_path):
    """`corpus(front_ends, **ave)`: a project whose test set has two videos and one without."""
    frames = np.zeros((40, 32, 48, 3), np.uint8)
    frames[20:, :, :, 0] = 200  # red from 5 s on
    sound = np.zeros(160000, np.float32)
    sound[48000:64000] = 0.5 * np.sin(np.arange(16000) * 2 * np.pi * 440 / 16000)
    video.write(tmp_path / "red.mp4", frames, 4, sound)
    video.write(tmp_path / "short.mp4", frames[:24], 4)  # six seconds, no sound track
    red, short = str(tmp_path / "red.mp4"), str(tmp_path / "short.mp4")
    table = tables.clip_table(
        [
            Clip("0003_red", "test", 10.0, path=red, feature_row=3),
            Clip("0001_short", "test", 6.0, path=short, feature_row=1),
            Clip("0002_gone", "test", 10.0, feature_row=2),
        ]
    )

    def make(front_ends, **ave):
        ave = {"features": False, "videos": True, **ave}
        project = Project.model_validate(
            {"front_ends": front_ends, "data": {"folder": str(tmp_path / "data"), "ave": ave}}
        )
        tables.write(Layout.of(project).table(TEST, "clips"), table, tables.CLIPS)
        return project

    return make


def stored(project, name, tmp_path, subset=TEST):
    frozen = declared.FRONT_ENDS[project.front_ends[name].kind].weights
    make = embed if frozen else extract
    make(project, subset, name, out=tmp_path / f"{name}.h5")
    return Store(tmp_path / f"{name}.h5")


def test_frames_are_the_middle_pictures_of_the_videos_there_are(corpus, tmp_path):
    store = stored(corpus({"f": {"kind": "frames", "pixels": 16}}), "f", tmp_path)
    assert store.clips == ["0003_red", "0001_short"]
    assert store.shape == (2, SECONDS, 3, 16, 16)
    assert store.dtype == np.uint8
    red = store[0][:, 0].mean((1, 2))
    assert (red[:5] < 10).all()
    assert (red[5:] > 180).all()
    short = store[1][:, 0].mean((1, 2))
    assert short[5] > 180
    assert (short[6:] == 0).all()
    assert store.seconds.tolist() == [10.0, 6.0]


def test_each_second_has_its_own_spectrum(corpus, tmp_path):
    spec = {"kind": "segment_logmel", "n_fft": 1024, "hop": 800, "n_mels": 20}
    project = corpus({"a": spec})
    store = stored(project, "a", tmp_path)
    assert store.shape == (2, SECONDS, 20, 19)
    mel = LogMel(project.front_ends["a"])
    samples = video.sound(tmp_path / "red.mp4", 16000, 160000)
    np.testing.assert_allclose(store[0][3], mel(samples[48000:64000]), atol=0.02)
    level = store[0].astype(float).max((1, 2))
    assert level.argmax() == 3
    # Without a sound track there is silence, not an error.
    assert np.ptp(store[1]) == 0


def test_a_corrupt_video_ends_extraction_with_its_name(corpus, tmp_path):
    project = corpus({"f": {"kind": "frames", "pixels": 16}})
    (tmp_path / "red.mp4").write_bytes(b"\0" * 4000)
    with pytest.raises(SedreproError, match=r"red\.mp4: cannot be read as video"):
        stored(project, "f", tmp_path)


# --- released features ---------------------------------------------------------------------------


@pytest.fixture
def released(corpus, tmp_path):
    raw = tmp_path / "raw"
    (raw / "data").mkdir(parents=True)
    front_ends = {
        "v": {"kind": "vgg_visual", "channels": 6},
        "a": {"kind": "vgg_audio", "channels": 4},
    }
    draw = np.random.default_rng(0)
    with h5py.File(raw / "data/visual_feature.h5", "w") as file:
        file["avadataset"] = draw.gamma(1.0, size=(5, SECONDS, 7, 7, 6))
    with h5py.File(raw / "data/audio_feature_noisy.h5", "w") as file:
        file["avadataset"] = draw.random((2, SECONDS, 4))
    project = corpus(front_ends, features=True, videos=False, local=str(raw))
    table = tables.clip_table(
        Clip(f"{k:04d}_negative", "negatives", 10.0, feature_row=k) for k in range(2)
    )
    tables.write(Layout.of(project).table(NEGATIVES, "clips"), table, tables.CLIPS)
    return project, raw


def test_released_rows_are_repacked_one_video_per_chunk(released, tmp_path):
    project, raw = released
    store = stored(project, "v", tmp_path)
    assert store.clips == ["0003_red", "0001_short", "0002_gone"]
    assert store.dtype == np.float16
    with h5py.File(raw / "data/visual_feature.h5") as file, h5py.File(tmp_path / "v.h5") as ours:
        np.testing.assert_allclose(store[0], file["avadataset"][3], rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(store[1], file["avadataset"][1], rtol=1e-3, atol=1e-4)
        assert ours["data"].chunks == (1, SECONDS, 7, 7, 6)


def test_negatives_are_rows_of_their_own_file(released, tmp_path):
    project, raw = released
    store = stored(project, "a", tmp_path, NEGATIVES)
    with h5py.File(raw / "data/audio_feature_noisy.h5") as file:
        np.testing.assert_allclose(store.read(), file["avadataset"][:], rtol=1e-3, atol=1e-4)


def test_a_file_of_another_shape_is_refused(released, tmp_path):
    project, raw = released
    with h5py.File(raw / "data/visual_feature.h5", "w") as file:
        file["avadataset"] = np.zeros((5, SECONDS, 6))
    with pytest.raises(
        SedreproError, match=r"visual_feature\.h5: holds features of shape \(10, 6\)"
    ):
        stored(project, "v", tmp_path)


def test_a_file_with_too_few_rows_is_refused(released, tmp_path):
    project, raw = released
    with h5py.File(raw / "data/visual_feature.h5", "w") as file:
        file["avadataset"] = np.zeros((2, SECONDS, 7, 7, 6))
    with pytest.raises(SedreproError, match="holds 2 videos, none for row 3"):
        stored(project, "v", tmp_path)


def test_features_that_are_not_there_leave_an_empty_store_that_says_why(released, tmp_path):
    project, raw = released
    (raw / "data/visual_feature.h5").unlink()
    store = stored(project, "v", tmp_path)
    assert len(store) == 0
    assert store.attributes["lacking"] == "visual_feature.h5 is not there"


# --- AudioCLIP -----------------------------------------------------------------------------------


def tiny_checkpoint(path, drop=()):
    """A checkpoint of small towers under AudioCLIP's names, with a text tower beside them."""
    torch.manual_seed(0)
    towers = {
        "audio": audioclip.AudioTower((1, 1, 1, 1), 16, 12),
        "visual": audioclip.ImageTower((1, 1, 1, 1), 16, 12, places=49),
    }
    state = {"logit_scale": torch.zeros(()), "text_projection": torch.zeros(3, 4)}
    for name, tower in towers.items():
        state |= {f"{name}.{key}": value for key, value in tower.state_dict().items()}
    state.pop("audio.fbsp.bias")
    torch.save({key: value for key, value in state.items() if key not in drop}, path)
    return towers


@pytest.fixture
def clipped(corpus, tmp_path):
    """A project with a tiny checkpoint in the place of the real one."""
    front_ends = {
        "v": {"kind": "audioclip_visual", "channels": 12, "pixels": 224, "per_second": 1},
        "a": {"kind": "audioclip_audio", "channels": 12, "sample_rate": 44100},
    }
    project = corpus(front_ends)
    path = tmp_path / "data/full/raw/weights/AudioCLIP-Full-Training.pt"
    path.parent.mkdir(parents=True)
    return project, path


def test_towers_give_a_map_and_a_vector_per_second(clipped, tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)  # where the registry is
    project, path = clipped
    towers = tiny_checkpoint(path)
    sounds = stored(project, "a", tmp_path)
    assert sounds.shape == (2, SECONDS, 12)
    samples = video.sound(tmp_path / "red.mp4", 44100, 441000)
    with torch.no_grad():
        towers["audio"].eval()
        third = towers["audio"](torch.from_numpy(samples[3 * 44100 : 4 * 44100])[None] * 32768)
    np.testing.assert_allclose(sounds[0][3], third[0], rtol=0.01, atol=0.01)
    assert not np.allclose(sounds[0][3], sounds[0][8], atol=0.05)
    maps = stored(project, "v", tmp_path)
    assert maps.shape == (2, SECONDS, 7, 7, 12)
    picture = torch.from_numpy(video.pictures(tmp_path / "red.mp4", [7.5], 224))
    with torch.no_grad():
        places = towers["visual"].eval().places(audioclip.normalised(picture))
    np.testing.assert_allclose(maps[0][7].reshape(49, 12), places[0], rtol=0.01, atol=0.01)


def test_without_weights_or_videos_the_store_says_so(clipped, corpus, tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    project, _ = clipped
    store = stored(project, "a", tmp_path)
    assert len(store) == 0
    assert "AudioCLIP-Full-Training.pt" in store.attributes["lacking"]
    without = corpus({"a": {"kind": "audioclip_audio", "channels": 12}}, videos=False)
    assert stored(without, "a", tmp_path).attributes["lacking"].startswith("videos are not used")


@pytest.mark.parametrize("key", ["audio.att3.conv_point.weight", "visual.attnpool.q_proj.bias"])
def test_a_checkpoint_that_lacks_a_weight_is_refused(tmp_path, key):
    tiny_checkpoint(tmp_path / "c.pt", drop=(key,))
    tower, _, name = key.partition(".")
    with pytest.raises(SedreproError, match=f"not the {tower} tower of AudioCLIP.*{name}"):
        audioclip.load(tmp_path / "c.pt", tower)


def test_what_is_no_checkpoint_is_refused(tmp_path):
    (tmp_path / "c.pt").write_bytes(b"<html>")
    with pytest.raises(SedreproError, match="not a readable checkpoint"):
        audioclip.load(tmp_path / "c.pt", "audio")
