"""Mixtures at fixed SNRs: their audio against the definition, and what happens when data lacks."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
import soxr

from sedrepro import audio, tables
from sedrepro.clips import Clip
from sedrepro.errors import SedreproError
from sedrepro.features.extract import extract
from sedrepro.mixtures import reading, snr_mix
from sedrepro.settings import Layout, Project, Subset
from sedrepro.store import Store

CLASSES = ["Bark", "Meow"]
RATE = 8000


def project(**recipe) -> Project:
    """Six mixtures a fold, two events each, 3 s."""
    settings = {
        "clips_per_fold": 3,
        "seconds": 3.0,
        "onsets": [0.25, 1.5],
        "longest": 1.0,
        "classes": CLASSES,
        **recipe,
    }
    front_end = {
        "kind": "stft_logmel",
        "seconds": 3.0,
        "sample_rate": RATE,
        "n_fft": 256,
        "hop": 128,
        "n_mels": 12,
        "f_min": 50.0,
        "f_max": 4000.0,
    }
    return Project.model_validate(
        {
            "scale": "mini",
            "data": {"origin": "render", "snr_mix": settings},
            "front_ends": {"tiny": front_end},
        }
    )


@pytest.fixture(scope="module")
def raw(tmp_path_factory) -> Path:
    """FSDKaggle2018 and TAU 2019 in their layouts: 24 events of 0.4 to 1.6 s, 12 scenes of 3 s."""
    top = tmp_path_factory.mktemp("raw")
    rng = np.random.default_rng(0)
    events, scenes = top / "fsdkaggle2018", top / "tau2019" / snr_mix.scenes.TOPS["tau2019"]
    for folder in (
        events / "FSDKaggle2018.audio_train",
        events / "FSDKaggle2018.meta",
        scenes / "audio",
    ):
        folder.mkdir(parents=True)
    rows = ["fname,label,manually_verified,freesound_id,license"]
    for number in range(24):
        sound = rng.uniform(0.05, 0.5) * rng.standard_normal(int(44100 * rng.uniform(0.4, 1.6)))
        sound[: len(sound) // 4] = 0  # leading silence stays, and counts in the level
        audio.write(events / "FSDKaggle2018.audio_train" / f"{number:08x}.wav", sound, 44100)
        rows.append(f"{number:08x}.wav,{CLASSES[number % 2]},1,{number},CC0")
    (events / "FSDKaggle2018.meta" / "train_post_competition.csv").write_text("\n".join(rows))
    lines = ["filename\tscene_label\tidentifier\tsource_label"]
    for number in range(12):
        both = 0.1 * rng.standard_normal((3 * 48000, 2))
        name = f"audio/park-lyon-{number}-{number}-a.wav"
        soundfile.write(scenes / name, both, 48000, subtype="PCM_24")
        lines.append(f"{name}\tpark\tlyon-{number}\ta")
    (scenes / "meta.csv").write_text("\n".join(lines))
    return top


@pytest.fixture
def data(raw, tmp_path, monkeypatch) -> Path:
    """A working folder whose raw data may be broken."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(raw, "data/mini/raw")
    snr_mix._mixtures.cache_clear()
    return Path("data/mini")


def events_of(data: Path) -> Path:
    return data / "raw/fsdkaggle2018/FSDKaggle2018.audio_train"


def table(data: Path, subset: str, name: str):
    return tables.read(data / f"corpora/snr_mix/{subset}/{name}.tsv", [])


def mixed(subset: str, clip: str) -> Clip:
    return Clip(clip, subset, 3.0, recipe=f"data/mini/mixtures/snr_mix/{subset}.tsv")


def slow(mixture: snr_mix.Mixture) -> np.ndarray:
    """Events and scene step by step, with soundfile and soxr alone."""

    def load(path):
        samples, rate = soundfile.read(path)
        mono = samples.mean(1) if samples.ndim == 2 else samples
        return soxr.resample(mono, rate, RATE, quality="HQ")

    scene = load(mixture.scene)
    scene = scene / np.sqrt(np.mean(scene**2))
    track = np.zeros(3 * RATE)
    for file, onset, offset in mixture.events:
        event = load(file)
        event = event / np.sqrt(np.mean(event**2)) * 10 ** (mixture.snr / 20)
        for place in range(int(onset * RATE), int(offset * RATE)):
            if place - int(onset * RATE) < len(event):
                track[place] = event[place - int(onset * RATE)]
    peak = max(np.abs(track).max(), np.abs(scene).max())
    return np.stack([track, scene[: 3 * RATE]]) / peak


@pytest.mark.parametrize("subset", ["snr20", "snr0", "snr-5"])
def test_audio_is_its_definition(data, subset):
    snr_mix.write_recipe(project(), subset)
    for clip in ("00000", "00007"):
        one = mixed(subset, clip)
        found = snr_mix.tracks(snr_mix.mixture(one), RATE)
        wanted = slow(snr_mix.mixture(one))
        np.testing.assert_allclose(found, wanted, atol=1e-5)
        np.testing.assert_allclose(reading.read(one, RATE), wanted.mean(0), atol=1e-5)


def test_the_ratio_is_of_whole_recordings(data):
    """Ten dB are a gain on the events alone, whatever the joint peak does."""
    for subset in ("snr0", "snr10"):
        snr_mix.write_recipe(project(), subset)
    loud, quiet = (
        snr_mix.tracks(snr_mix.mixture(mixed(subset, "00003")), RATE)
        for subset in ("snr10", "snr0")
    )
    ratio = (loud[0].std() / loud[1].std()) / (quiet[0].std() / quiet[1].std())
    assert 20 * np.log10(ratio) == pytest.approx(10, abs=1e-3)


def test_tables_say_what_is_heard(data):
    snr_mix.write_recipe(project(), "snr20")
    clips, events = table(data, "snr20", "clips"), table(data, "snr20", "events")
    assert clips["clip"].tolist() == [f"{n:05d}" for n in range(12)]
    assert clips["fold"].tolist() == [k for k in "1234" for _ in range(3)]
    assert set(clips["seconds"]) == {3.0}
    assert sorted(set(events["onset"])) == [0.25, 1.5]
    for clip, rows in events.groupby("clip"):
        mixture = snr_mix.mixture(mixed("snr20", clip))
        for row, event in zip(rows.itertuples(), mixture.events, strict=True):
            length = min(soundfile.info(event.file).duration, 1.0)
            # To the last bit: where it is cut, `int(offset · rate)`, a rounded end loses a sample.
            assert row.offset == event.offset == row.onset + length
            number = int(Path(event.file).stem, 16)
            assert row.label == CLASSES[number % 2]
    audit = table(data, "snr20", "audit").iloc[0]
    assert (audit["expected"], audit["found"], audit["note"]) == (12, 12, "")


def test_every_ratio_has_the_same_mixtures(data):
    for subset in ("snr20", "snr0"):
        snr_mix.write_recipe(project(), subset)
    loud, quiet = (table(data, subset, "events") for subset in ("snr20", "snr0"))
    assert loud.equals(quiet)
    assert snr_mix.mixture(mixed("snr20", "00005"))._replace(snr=0.0) == snr_mix.mixture(
        mixed("snr0", "00005")
    )


@pytest.mark.parametrize("subset", ["validation", "snr", "snrloud", "snr10dB"])
def test_what_is_no_ratio(data, subset):
    with pytest.raises(SedreproError, match="no subset"):
        snr_mix.write_recipe(project(), subset)


def test_missing_recordings_are_left_out_and_counted(data):
    snr_mix.write_recipe(project(), "snr20")
    before = snr_mix._mixtures("data/mini/mixtures/snr_mix/snr20.tsv")
    gone = before["00004"].events[0].file
    Path(gone).unlink()
    snr_mix.write_recipe(project(), "snr20")
    left = [clip for clip, m in before.items() if gone not in [e.file for e in m.events]]
    assert "00004" not in left
    assert table(data, "snr20", "clips")["clip"].tolist() == left
    assert set(table(data, "snr20", "events")["clip"]) == set(left)
    audit = table(data, "snr20", "audit").iloc[0]
    assert (audit["expected"], audit["found"]) == (12, len(left))
    assert f"{12 - len(left)} mixtures left out" in audit["note"]
    assert Path(gone).name in audit["note"]


def test_silent_event_is_an_error_that_names_it(data):
    snr_mix.write_recipe(project(), "snr20")
    event = snr_mix.mixture(mixed("snr20", "00002")).events[1].file
    audio.write(event, np.zeros(RATE), RATE)
    with pytest.raises(SedreproError, match=rf"{Path(event).name}: is silent"):
        reading.read(mixed("snr20", "00002"), RATE)


def test_short_scene_is_padded_and_counted(data):
    snr_mix.write_recipe(project(), "snr20")
    scene = snr_mix.mixture(mixed("snr20", "00006")).scene
    soundfile.write(scene, np.random.default_rng(1).standard_normal((48000, 2)) / 9, 48000)
    snr_mix.write_recipe(project(), "snr20")
    note = table(data, "snr20", "audit")["note"].iloc[0]
    assert note == "1 scenes shorter than 3 s, padded with silence"
    background = snr_mix.tracks(snr_mix.mixture(mixed("snr20", "00006")), RATE)[1]
    assert background[:RATE].std() > 0.01
    assert not background[RATE + 10 :].any()


def test_fewer_scenes_than_mixtures(data):
    with pytest.raises(SedreproError, match="lists 12 scenes"):
        snr_mix.write_recipe(project(clips_per_fold=4), "snr20")


def test_label_that_is_no_class(data):
    with pytest.raises(SedreproError, match="label 'Meow' is not in"):
        snr_mix.write_recipe(project(classes=["Bark"]), "snr20")


@pytest.mark.parametrize("state", ["unavailable", "partial"])
def test_unavailable_tables_make_an_empty_subset_with_the_reason(data, state):
    shutil.rmtree(data / "raw/tau2019")
    with pytest.raises(SedreproError, match="no meta"):
        snr_mix.write_recipe(project(), "snr20")
    status = data / "status/tau2019.json"
    status.parent.mkdir()
    status.write_text(f'{{"status": "{state}", "reason": "host is gone"}}')
    (data / "status/fsdkaggle2018.json").write_text('{"status": "partial", "reason": "not this"}')
    snr_mix.write_recipe(project(), "snr20")
    assert table(data, "snr20", "audit")["note"].iloc[0] == "tau2019: host is gone"
    assert not len(table(data, "snr20", "clips"))


def test_kaggles_own_names_are_found(data):
    official = data / "raw/fsdkaggle2018"
    (official / "FSDKaggle2018.audio_train").rename(official / "audio_train")
    rows = (official / "FSDKaggle2018.meta/train_post_competition.csv").read_text().splitlines()
    shutil.rmtree(official / "FSDKaggle2018.meta")
    (official / "train.csv").write_text("\n".join(",".join(r.split(",")[:3]) for r in rows))
    snr_mix.write_recipe(project(), "snr20")
    assert len(table(data, "snr20", "clips")) == 12


def test_wrong_flag_in_the_table(data):
    path = data / "raw/fsdkaggle2018/FSDKaggle2018.meta/train_post_competition.csv"
    path.write_text(path.read_text().replace("Meow,1,", "Meow,yes,", 1))
    with pytest.raises(SedreproError, match="row 3: manually_verified must be 0 or 1, not 'yes'"):
        snr_mix.write_recipe(project(), "snr20")


def test_store_of_mixtures_that_are_nowhere_on_disk(data):
    made, where = project(), Subset("snr_mix", "snr20")
    snr_mix.write_recipe(made, "snr20")
    out = Layout.of(made).store(where, "tiny")
    extract(made, where, "tiny", out=out)
    store = Store(out)
    assert store.clips == table(data, "snr20", "clips")["clip"].tolist()
    assert store.dtype == np.float32
    assert not list(Path("data").rglob("0000?.wav"))
    from sedrepro.features.logmel import LogMel

    samples = slow(snr_mix.mixture(mixed("snr20", "00009"))).mean(0)
    wanted = LogMel(made.front_ends["tiny"])(samples.astype(np.float32))
    np.testing.assert_allclose(store[9], wanted, atol=2e-3)
    with h5py.File(out) as file:
        assert "snr_mix" in file.attrs["attributes"]


def test_wavs_on_request_have_the_original_two_tracks(data):
    snr_mix.write_recipe(project(), "snr20")
    snr_mix.write_wavs(project(), "snr20", "wavs")
    assert len(list(Path("wavs").glob("*.wav"))) == 12
    both, rate = soundfile.read("wavs/00003.wav")
    assert (rate, both.shape) == (32000, (96000, 2))
    assert soundfile.info("wavs/00003.wav").subtype == "PCM_16"
    assert not both[: int(0.25 * rate), 0].any()
    assert np.abs(both).max() == pytest.approx(1, abs=1e-3)


def test_events_must_not_overlap():
    with pytest.raises(ValueError, match=r"must end by 1\.5 s"):
        project(longest=1.3)
