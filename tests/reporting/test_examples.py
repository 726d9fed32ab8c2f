"""Example clips: scores, detections and sound against slow or independent readings of the files."""

from __future__ import annotations

import base64
import io
import json
import shutil
from pathlib import Path

import fabricate
import h5py
import numpy as np
import pytest
import soundfile
from PIL import Image
from scipy.ndimage import median_filter

from sedrepro import papers
from sedrepro.clips import Clip
from sedrepro.reporting.examples import Examples, decibels, examples, ogg
from sedrepro.reporting.page.inline import script_json, shares, spectrum_png
from sedrepro.reporting.page.room import _clip
from sedrepro.reporting.records import records
from sedrepro.settings import Run

PAPER = "lgc_sed"


def shown_of(place):
    found = records(place.project, PAPER, place.layout)
    return examples(place.project, found, place.layout, papers.settings_models())


def scored_of(shown, row, model="teacher"):
    (scored,) = [s for s in shown.scored if (s.row, s.model) == (row, model)]
    return scored


def test_the_clips_and_their_truth(made):
    shown = shown_of(made)
    assert shown.problem == ""
    assert shown.clips == [f"validation_{index:02d}" for index in range(4)]
    table = Path(made.layout.data, "corpora/desed/validation/events.tsv").read_text()
    wanted = [line.split("\t") for line in table.splitlines() if line.startswith("validation_01")]
    assert shown.truth["validation_01"] == sorted(
        [(label, float(onset), float(offset)) for _, label, onset, offset, _ in wanted],
        key=lambda event: event[1:],
    )


@pytest.mark.parametrize("row", ["mt", "mt_median7"])
def test_detections_are_those_of_a_slow_decoder(made, row):
    shown = shown_of(made)
    scored = scored_of(shown, row)
    decoding = records_settings(made, row)
    with h5py.File(made.layout.run(Run(PAPER, row, "desed", 42), "scores.h5")) as file:
        frames = file["validation/teacher/frame"][1]
    expected = []
    for place, name in enumerate(shown.classes):
        median = decoding["median"]
        window = median if isinstance(median, int) else median[name]
        active = median_filter(frames[:, place], window) > decoding["threshold"]
        start = None
        for frame, on in enumerate([*active, False]):
            if on and start is None:
                start = frame
            elif not on and start is not None:
                expected.append((name, start * 0.064, min(frame * 0.064, 10.0)))
                start = None
    found = shown.detections(scored, "validation_01")
    assert [event[0] for event in sorted(found)] == [event[0] for event in sorted(expected)]
    assert np.array([e[1:] for e in sorted(found)]) == pytest.approx(
        np.array([e[1:] for e in sorted(expected)])
    )


def records_settings(place, row):
    path = Path(place.layout.run(Run(PAPER, row, "desed", 42), "metrics.json"))
    return json.loads(path.read_text())["settings"]["decoding"]


def test_a_reevaluated_row_without_scores_reads_its_sources(copy):
    for seed in (42, 43):
        Path(copy.layout.run(Run(PAPER, "mt_median7", "desed", seed), "scores.h5")).unlink()
    shown = shown_of(copy)
    with h5py.File(copy.layout.run(Run(PAPER, "mt", "desed", 42), "scores.h5")) as file:
        frames = file["validation/teacher/frame"][0]
    expected = median_filter(frames, (7, 1))
    assert scored_of(shown, "mt_median7").frames["validation_00"] == pytest.approx(expected)


def test_no_run_is_said(empty):
    assert shown_of(empty).problem == "no run is finished"


def test_runs_without_examples_are_said(copy):
    for path in Path(copy.layout.results).rglob("examples.h5"):
        path.unlink()
    assert shown_of(copy).problem == "no finished run left example clips"


def test_a_damaged_score_file_costs_its_row_only(copy):
    for seed in (42, 43):
        Path(copy.layout.run(Run(PAPER, "lgc", "desed", seed), "scores.h5")).write_bytes(b"no")
    rows = {scored.row for scored in shown_of(copy).scored}
    assert rows == {"untrained", "mt_median7", "mt", "clc", "pgc"}


def test_decibels_are_relative_to_the_loudest_and_bounded():
    values = decibels(np.array([[1.0, 0.1], [0.0, 0.01]], dtype=np.float16))
    assert values == pytest.approx(np.array([[0.0, -20.0], [-70.0, -40.0]]), abs=0.02)
    assert decibels(np.zeros(16000, dtype=np.int16)) is None


def test_the_png_is_the_spectrum_loud_dark_and_low_bands_at_the_bottom():
    level = np.full((5, 7), -60.0)
    level[0, 3] = 0.0
    picture = np.asarray(Image.open(io.BytesIO(spectrum_png(level))).convert("RGB"))
    assert picture.shape == (5, 7, 3)
    assert tuple(picture[4, 3]) == (16, 29, 43)
    assert tuple(picture[0, 0]) == (255, 255, 255)


def of(path: Path) -> Clip:
    """The clip that is the whole recording."""
    return Clip(path.stem, "validation", 10.0, path=str(path))


def test_the_sound_is_the_recording(made):
    path = Path(made.layout.data) / "raw/desed/audio/validation/validation_00.wav"
    decoded, rate = soundfile.read(io.BytesIO(ogg(of(path), 10.0)))
    original, _ = soundfile.read(path)
    assert rate == 16000
    assert len(decoded) == pytest.approx(160000, abs=1024)
    length = min(len(decoded), len(original))
    assert np.corrcoef(decoded[:length], original[:length])[0, 1] > 0.95


def test_no_recording_no_sound(tmp_path):
    assert ogg(of(tmp_path / "absent.wav"), 10.0) is None
    (tmp_path / "broken.wav").write_bytes(b"RIFF")
    assert ogg(of(tmp_path / "broken.wav"), 10.0) is None


def test_shares_keep_four_digits():
    import base64

    values = np.random.default_rng(0).random((7, 3))
    back = np.frombuffer(base64.b64decode(shares(values)), "<u2").reshape(7, 3) / 65535
    assert back == pytest.approx(values, abs=2e-5)


def test_json_in_a_script_element_cannot_end_it():
    text = script_json({"name": "</script><!-- & \u2028"})
    assert "<" not in text
    assert json.loads(text) == {"name": "</script><!-- & \u2028"}


def test_clips_without_a_recording_are_shown_anyway(copy):
    shutil.rmtree(Path(copy.layout.data) / "raw")
    assert len(shown_of(copy).clips) == 4


@pytest.fixture(scope="module")
def at_three_ratios(tmp_path_factory):
    """A paper whose conditions have held-out sets of their own."""
    project = fabricate.project_of(
        run=["weak_mtl"], seeds=[42], papers={"weak_mtl": {"rows": ["gwrp", "2apae"]}}
    )
    layout = fabricate.fabricate(tmp_path_factory.mktemp("weak"), project)
    found = records(project, "weak_mtl", layout)
    return project, layout, examples(project, found, layout, papers.settings_models())


def test_every_condition_shows_clips_of_its_own_set(at_three_ratios):
    _, _, shown = at_three_ratios
    sets = ("snr20", "snr10", "snr0")
    assert shown.clips == [f"{name}/{name}_0{index}" for name in sets for index in (0, 1)]
    for scored in shown.scored:
        own = {clip for clip in shown.clips if clip.startswith(f"{scored.condition}/")}
        assert set(scored.frames) == own
    assert {(s.row, s.condition) for s in shown.scored} == {
        (row, condition) for row in ("gwrp", "2apae") for condition in sets
    }


def test_frames_of_classes_the_clip_lacks_are_gated(at_three_ratios):
    project, layout, _ = at_three_ratios
    run = Run("weak_mtl", "2apae", "snr0", 42, 4)
    with h5py.File(layout.run(run, "scores.h5"), "r+") as file:
        group = file["held_out/network"]
        group["clip"][0, :5] = 0.1  # the gate must be exceeded
        frames = group["frame"][0]
    found = records(project, "weak_mtl", layout)
    shown = examples(project, found, layout, papers.settings_models())
    (scored,) = [s for s in shown.scored if (s.row, s.condition) == ("2apae", "snr0")]
    frames[:, :5] = 0
    assert frames.any()
    assert scored.frames["snr0/snr0_00"] == pytest.approx(frames)


def test_without_a_stored_spectrum_the_room_shows_that_of_the_sound(tmp_path):
    """A tone of 1 kHz in the last two of four seconds; the soundtrack of a video works alike."""
    time = np.arange(64000) / 16000
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.5 * np.sin(2 * np.pi * 1000 * time) * (time >= 2), 16000)
    shown = Examples(
        clips=["a", "b"],
        seconds={"a": 4.0, "b": 4.0},
        span={"a": 4.0, "b": 4.0},
        spectra={"a": None, "b": None},
        truth={"a": [], "b": []},
        files={"a": of(path)},
    )
    with_sound, without = (_clip(shown, clip, [], audible=True) for clip in ("a", "b"))
    assert (without["image"], without["audio"]) == ("", "")
    png = base64.b64decode(with_sound["image"].partition(",")[2])
    palette = np.asarray(Image.open(io.BytesIO(png)))  # 63: loudest; the lowest band is the last
    loud = palette.max(0) > 55
    assert abs(np.flatnonzero(loud)[0] / len(loud) - 0.5) < 0.02
    assert loud[len(loud) * 52 // 100 :].all()
    # Slaney's scale is linear up to 1 kHz = 15 mel, and 8 kHz are 45.2 mel: 65 steps to there.
    band = len(palette) - 1 - palette[:, -40].argmax()
    assert abs(band - (15 / 45.2 * 65 - 1)) <= 1
