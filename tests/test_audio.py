"""Audio in any shape, and files that are not audio."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from sedrepro import audio
from sedrepro.errors import SedreproError


def tone(rate: int, seconds: float = 1.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(int(rate * seconds)) / rate)


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (48000, 1), (44100, 6)])
def test_any_rate_and_channels_become_the_same_mono_tone(tmp_path, rate, channels):
    path = tmp_path / "tone.wav"
    soundfile.write(path, np.repeat(tone(rate)[:, None], channels, 1), rate)
    found = audio.read(path, 16000)
    assert found.dtype == np.float32
    assert len(found) == 16000
    middle = slice(1000, -1000)
    assert np.abs(found[middle] - tone(16000)[middle]).max() < 0.01


def test_opposite_channels_cancel(tmp_path):
    path = tmp_path / "opposite.wav"
    soundfile.write(path, np.stack([tone(16000), -tone(16000)], 1), 16000)
    assert np.abs(audio.read(path, 16000)).max() < 1e-4


def test_fitting_pads_at_the_end_or_cuts():
    assert audio.fit(np.ones(2), 4).tolist() == [1, 1, 0, 0]
    assert audio.fit(np.arange(5), 3).tolist() == [0, 1, 2]


def test_length_is_read_from_the_header(tmp_path):
    path = tmp_path / "tone.wav"
    audio.write(path, tone(44100, 0.25), 44100)
    assert audio.seconds(path) == pytest.approx(0.25, abs=1e-4)


@pytest.mark.parametrize("reader", [lambda p: audio.read(p, 16000), audio.seconds])
@pytest.mark.parametrize(
    ("content", "message"), [(b"not audio", "cannot be read as audio"), (b"", "cannot be read")]
)
def test_a_file_that_is_not_audio_is_named(tmp_path, reader, content, message):
    path = tmp_path / "text.wav"
    path.write_bytes(content)
    with pytest.raises(SedreproError, match=message) as caught:
        reader(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("reader", [lambda p: audio.read(p, 16000), audio.seconds])
def test_a_recording_without_samples_is_named(tmp_path, reader):
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros(0), 16000)
    with pytest.raises(SedreproError, match="holds no audio"):
        reader(path)


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    path = tmp_path / "nan.wav"
    soundfile.write(path, np.array([0.0, np.nan]), 16000, subtype="FLOAT")
    with pytest.raises(SedreproError, match="not finite"):
        audio.read(path, 16000)


@pytest.mark.parametrize("rate", [16000, 44100])
@pytest.mark.parametrize("block", [1000, 2**18])
def test_a_stream_is_the_recording_in_parts(tmp_path, rate, block):
    path = tmp_path / "noise.wav"
    noise = np.random.default_rng(0).normal(0, 0.1, (rate * 3, 2))
    soundfile.write(path, noise, rate)
    parts = list(audio.stream(path, 16000, block))
    whole = audio.read(path, 16000)
    joined = np.concatenate(parts)
    assert abs(len(joined) - len(whole)) <= 1
    shared = min(len(joined), len(whole))
    assert np.abs(joined[:shared] - whole[:shared]).max() < 1e-3
    assert len(parts) > 1 or block > len(noise)


@pytest.mark.parametrize("content", [b"", b"some words\n" * 50])
def test_a_stream_of_something_else_is_one_clear_line(tmp_path, content):
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    with pytest.raises(SedreproError) as caught:
        list(audio.stream(path, 16000))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_stream_without_samples_says_so(tmp_path):
    path = tmp_path / "empty.wav"
    soundfile.write(path, np.zeros((0, 1)), 16000)
    with pytest.raises(SedreproError, match="holds no audio"):
        list(audio.stream(path, 16000))


@pytest.mark.parametrize("claimed", [2**62, 2**45])
def test_what_is_said_to_hold_more_than_there_can_be_is_read_as_far_as_it_goes(
    tmp_path, monkeypatch, claimed
):
    path = tmp_path / "tone.wav"
    soundfile.write(path, tone(16000), 16000)
    true = audio.read(path, 16000)
    monkeypatch.setattr(soundfile.SoundFile, "frames", property(lambda _: claimed))
    np.testing.assert_allclose(audio.read(path, 16000), true, atol=1e-6)
    np.testing.assert_array_equal(np.concatenate(list(audio.stream(path, 16000, 5000))), true)
