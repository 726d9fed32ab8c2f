"""Windows, joining, and a run on recordings of every kind."""

from __future__ import annotations

import json
import sys
from fractions import Fraction
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
import torch

from sedrepro.cli import main
from sedrepro.errors import SedreproError
from sedrepro.features.kinds import scaled
from sedrepro.files import write_json
from sedrepro.inference.networks import as_input
from sedrepro.inference.predict import Joined, Predictor, Windows
from sedrepro.metrics.decode import median_filter
from sedrepro.miniature import weights as look
from sedrepro.papers import method_of
from sedrepro.settings import FrontEnd

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "papers"))
from tiny import tiny_plan

RATE = 16000


@pytest.mark.parametrize("total", [1, 30, 100, 101, 139, 140, 180, 181, 260, 999])
@pytest.mark.parametrize("block", [1, 37, 5000])
@pytest.mark.parametrize("reach", [90, 100])
def test_windows_cover_everything_and_end_with_the_recording(total, block, reach):
    sound = np.arange(1, total + 1, dtype=np.float32)
    windows = Windows(100, 40, 10, reach)
    blocks = [sound[at : at + block] for at in range(0, total, block)]
    cut = list(windows(blocks))
    assert windows.samples == total
    covered = np.zeros(total + 110, bool)
    for start, samples in cut:
        assert len(samples) == 100
        assert start % 10 == 0
        inside = samples[: max(0, total - start)]
        np.testing.assert_array_equal(inside, sound[start : start + 100])
        assert (samples[len(inside) :] == 0).all()
        covered[start : start + reach] = True
    assert covered[: total if total > 100 else min(total, reach)].all()
    starts = [start for start, _ in cut]
    assert (len(starts) == 1) == (total <= 100)
    assert starts == sorted(set(starts))
    if total > 100:
        assert total <= starts[-1] + reach < total + 10


def test_overlapping_scores_fade_into_each_other():
    joined = Joined(10, overlap=4)
    joined.add(0, {"frame": np.zeros((10, 2)), "clip": np.zeros(2)})
    joined.add(6, {"frame": np.ones((10, 2)), "clip": np.zeros(2)})
    found = joined.scores()
    assert set(found) == {"frame"}
    expected = [0] * 6 + [0.2, 0.4, 0.6, 0.8] + [1] * 6
    np.testing.assert_allclose(found["frame"][:, 0], expected, atol=1e-6)


def made(
    folder: Path, paper: str, row: str, changes: dict | None = None, weights: dict | None = None
) -> Path:
    """The folder of a finished, untrained run."""
    torch.manual_seed(0)
    plan = tiny_plan(paper, row, changes)
    method = method_of(paper, plan.method)(
        plan, steps_per_epoch=1, device=torch.device("cpu"), amp=False
    )
    method.load_weights(weights or {})
    networks = {name: net.state_dict() for name, net in method.networks.items()}
    folder.mkdir(parents=True)
    saved = {
        "plan": plan.describe_training(),
        "networks": {"headline": networks},
        "method": method.state(),
    }
    torch.save({"key": "k", **saved}, folder / "checkpoint.pt")
    decoding = plan.describe()["settings"]["decoding"]
    write_json(folder / "metrics.json", {"settings": {"decoding": decoding}})
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    changes = {"decoding": {"threshold": 0.49, "median": 3}}
    return made(tmp_path_factory.mktemp("run") / "full", "cross_task_sod", "full", changes)


def sound(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE)).astype(np.float32)


def test_a_recording_of_one_window_gets_the_methods_own_scores(run, tmp_path):
    soundfile.write(tmp_path / "a.wav", sound(1.0), RATE, subtype="PCM_16")
    predictor = Predictor(run)
    found = predictor(tmp_path / "a.wav")
    stored = soundfile.read(tmp_path / "a.wav", dtype="float32")[0]
    with torch.no_grad():
        scores = predictor.method.scores("student", {"tiny_wave": torch.from_numpy(stored)[None]})
    assert set(found.scores) == {"frame", "sod", "frame_with_sod"}
    expected = scores["frame_with_sod"].numpy()
    np.testing.assert_allclose(found.scores["frame_with_sod"], expected[0], atol=1e-5)
    np.testing.assert_allclose(found.filtered, median_filter(expected, [3] * 10)[0], atol=1e-5)
    np.testing.assert_allclose(found.tags, scores["clip"][0].numpy(), atol=1e-5)
    detected = found.filtered > 0.49
    assert len(found.events) == int((np.diff(detected, axis=0, prepend=False) & detected).sum())
    assert all(0 <= e.onset < e.offset <= 1.0 and e.score > 0.49 for e in found.events)


def test_a_long_recording_is_its_windows_joined(run, tmp_path):
    samples = sound(3.3)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    predictor = Predictor(run)
    found = predictor(tmp_path / "a.wav")
    hop, frames = predictor.step, predictor.frames
    assert len(found.scores["frame"]) == int(np.ceil(3.3 * RATE / hop))
    # In the middle of the first window nothing else has a say.
    inputs = as_input(torch.from_numpy(scaled(samples[:RATE]))[None])
    with torch.no_grad():
        first = predictor.method.scores("student", {"tiny_wave": inputs})["frame"][0].numpy()
    alone = round(0.8 * frames)
    np.testing.assert_allclose(found.scores["frame"][:alone], first[:alone], atol=1e-5)


def test_a_fifth_of_a_second_is_padded_and_cut_again(run, tmp_path):
    soundfile.write(tmp_path / "a.wav", sound(0.2), RATE)
    found = Predictor(run)(tmp_path / "a.wav")
    assert found.seconds == pytest.approx(0.2)
    assert len(found.filtered) == int(np.ceil(0.2 / found.hop))
    assert all(e.offset <= 0.2 for e in found.events)


def video(path: Path, samples: np.ndarray) -> None:
    """A short film with this sound track."""
    import av

    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=10)
        pictures.width = pictures.height = 32
        track = container.add_stream("aac", rate=RATE, layout="mono")
        for _ in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        for place in range(0, len(samples) - 1023, 1024):
            part = samples[None, place : place + 1024]
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
            frame.sample_rate = RATE
            frame.pts = place
            frame.time_base = Fraction(1, RATE)
            container.mux(track.encode(frame))
        container.mux(track.encode(None))


def test_every_kind_of_recording_gives_about_the_same_scores(run, tmp_path):
    samples = np.convolve(sound(2.0), np.ones(8) / 8, "same").astype(np.float32)
    soundfile.write(tmp_path / "mono.wav", samples, RATE)
    soundfile.write(tmp_path / "stereo.flac", np.stack([samples, samples], 1), RATE)
    soundfile.write(tmp_path / "x.ogg", samples, RATE, format="OGG", subtype="VORBIS")
    soundfile.write(tmp_path / "x.mp3", samples, RATE, format="MP3")
    import soxr

    soundfile.write(tmp_path / "high.wav", soxr.resample(samples, RATE, 44100), 44100)
    video(tmp_path / "film.mp4", samples)
    predictor = Predictor(run)
    expected = predictor(tmp_path / "mono.wav").scores["frame"]
    for name in ("stereo.flac", "high.wav", "x.ogg", "x.mp3", "film.mp4"):
        found = predictor(tmp_path / name)
        assert found.seconds == pytest.approx(2.0, abs=0.15), name
        shared = min(len(found.scores["frame"]), len(expected))
        gap = np.abs(found.scores["frame"][:shared] - expected[:shared]).mean()
        assert gap < 0.05, name


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    for name in ("beats", "atst_frame"):
        look.write(folder / name, look.content(name, 7))
    return {name: folder / name for name in ("beats", "atst_frame")}


@pytest.mark.parametrize(
    ("paper", "row"),
    [
        ("lgc_sed", "lgc"),
        ("lgc_sed", "lgc_rct"),
        ("cross_task_sod", "mt"),
        ("mtda_hsed", "baseline"),
        ("mtda_hsed", "mtda_hsed"),
        ("mtda_hsed", "atst_sed"),
    ],
)
def test_it_works_for_the_runs_of_every_paper(paper, row, weights, tmp_path):
    folder = made(tmp_path / "run", paper, row, weights=weights)
    soundfile.write(tmp_path / "a.wav", sound(2.5), RATE)
    predictor = Predictor(folder, weights=weights.__getitem__)
    assert predictor.model == ("teacher" if paper == "lgc_sed" else "student")
    found = predictor(tmp_path / "a.wav")
    assert found.filtered.shape == (int(np.ceil(2.5 / found.hop)), len(found.classes))
    assert np.isfinite(found.filtered).all()


def test_what_a_windows_tags_rule_out_is_not_found_in_it(tmp_path):
    """As evaluation decodes it: tags first, then frames."""
    soundfile.write(tmp_path / "a.wav", sound(2.5), RATE)
    changes = {"decoding": {"threshold": 0.0, "median": 1, "gate": 0.0}}
    open_ = Predictor(made(tmp_path / "open", "weak_mtl", "gwrp", changes))(tmp_path / "a.wav")
    gate = float(np.sort(open_.tags)[-2])  # only one class has a window above it
    changes["decoding"]["gate"] = gate
    shut = Predictor(made(tmp_path / "shut", "weak_mtl", "gwrp", changes))(tmp_path / "a.wav")
    assert len({event.label for event in open_.events}) > 1
    assert {event.label for event in shut.events} == {open_.classes[int(open_.tags.argmax())]}
    np.testing.assert_array_equal(shut.tags, open_.tags)


def test_a_run_on_pretrained_weights_says_when_they_are_missing(weights, tmp_path):
    folder = made(tmp_path / "run", "mtda_hsed", "baseline", weights=weights)
    with pytest.raises(SedreproError, match="pre-trained weights"):
        Predictor(folder)


def test_a_run_of_pictures_cannot_listen(run):
    with pytest.raises(SedreproError, match="not made of sound"):
        Predictor(run)._transform("pictures", FrontEnd(kind="vgg_visual"), {})


def test_the_command_writes_everything_and_goes_on_after_a_bad_file(run, tmp_path, capsys):
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    soundfile.write(folder / "a.wav", sound(1.5), RATE)
    soundfile.write(folder / "deep" / "a.wav", sound(0.7), RATE)
    soundfile.write(folder / "b.wav", sound(0.5), RATE)
    soundfile.write(folder / "b.flac", sound(0.5), RATE)
    (folder / "notes.txt").write_text("no sound")
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("this is text")
    out = tmp_path / "out"
    words = ["predict", "--run", str(run), str(folder), "--out", str(out), "--scores"]
    assert main(words) == 1
    said = capsys.readouterr()
    errors = said.err.strip().splitlines()
    assert len(errors) == 2
    assert all(e.startswith("error: ") and "cannot be read as audio" in e for e in errors)
    names = {str(p.relative_to(out)) for p in out.rglob("*") if p.is_file()}
    bases = ["a", "deep/a", "b.wav", "b.flac"]
    expected = {f"{base}{end}" for base in bases for end in (".tsv", ".json", ".png", ".h5")}
    assert names == {*expected, "all.tsv"}
    found = json.loads((out / "a.json").read_text())
    rows = (out / "a.tsv").read_text().splitlines()
    assert rows[0].split("\t") == ["filename", "onset", "offset", "event_label", "score"]
    assert len(rows) == 1 + len(found["events"])
    assert found["seconds"] == 1.5
    with h5py.File(out / "a.h5") as file:
        assert json.loads(file.attrs["classes"])[0] == "Alarm_bell_ringing"
        assert file["frame"].shape == file["filtered"].shape
    every = [line.split("\t")[0] for line in (out / "all.tsv").read_text().splitlines()[1:]]
    assert set(every) <= {"a.wav", "deep/a.wav", "b.wav", "b.flac"}
    assert every.count("a.wav") == len(found["events"])


@pytest.mark.parametrize(
    ("prepare", "words", "message"),
    [
        (None, ["nowhere.wav"], "nowhere.wav: no such file or folder"),
        ("folder", ["folder"], "no recordings in this folder"),
        ("a.wav", ["a.wav", "--model", "professor"], "no model 'professor'"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    run, tmp_path, monkeypatch, capsys, prepare, words, message
):
    monkeypatch.chdir(tmp_path)
    if prepare == "folder":
        Path("folder").mkdir()
    elif prepare:
        soundfile.write(prepare, sound(0.3), RATE)
    assert main(["predict", "--run", str(run), *words]) == 1
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such checkpoint"), (b"junk", "not a readable checkpoint"), (b"", "was not made")],
)
def test_a_folder_without_a_checkpoint_says_so(tmp_path, capsys, content, message):
    soundfile.write(tmp_path / "a.wav", sound(0.3), RATE)
    if content is not None:
        (tmp_path / "checkpoint.pt").write_bytes(content)
        (tmp_path / "run.json").write_text('{"status": "not_run", "reason": "no data"}')
    assert main(["predict", "--run", str(tmp_path), str(tmp_path / "a.wav")]) == 1
    assert message in capsys.readouterr().err
