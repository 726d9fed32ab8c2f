"""What is decoded is what was encoded: pictures at their time, sound at its place."""

from __future__ import annotations

import numpy as np
import pytest

from sedrepro.errors import SedreproError
from sedrepro.sources import video


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Eight seconds that brighten twice a second, with a burst from 3.0 to 3.1 s."""
    path = tmp_path_factory.mktemp("video") / "clip.mp4"
    frames = np.repeat(np.arange(16) * 12 + 30, 40 * 60 * 3).reshape(16, 40, 60, 3)
    sound = np.zeros(8 * 16000, np.float32)
    sound[48000:49600] = 0.5 * np.sin(np.arange(1600) * 0.3)
    video.write(path, frames.astype(np.uint8), 2, sound)
    return path


def test_pictures_are_those_shown_at_the_time(clip):
    shown = video.pictures(clip, [0.0, 0.4, 0.5, 3.9, 7.9], 32)
    assert shown.shape == (5, 3, 32, 32)
    assert shown.dtype == np.uint8
    grey = shown.mean((1, 2, 3))
    np.testing.assert_allclose(grey, [30, 30, 42, 30 + 7 * 12, 30 + 15 * 12], atol=4)


def test_after_the_end_it_is_black_and_silent(clip):
    assert video.seconds(clip) == pytest.approx(8.0, abs=0.05)
    assert video.pictures(clip, [7.5, 8.5, 9.5], 16)[1:].max() == 0
    sound = video.sound(clip, 16000, 160000)
    assert len(sound) == 160000
    assert not sound[130000:].any()


@pytest.mark.parametrize("rate", [16000, 44100])
def test_sound_is_in_its_place_at_any_rate(clip, rate):
    loud = np.flatnonzero(np.abs(video.sound(clip, rate, 8 * rate)) > 0.25) / rate
    assert loud[0] == pytest.approx(3.0, abs=0.01)
    assert loud[-1] == pytest.approx(3.1, abs=0.01)


def test_without_a_sound_track_it_is_silent(tmp_path):
    path = tmp_path / "silent.mp4"
    video.write(path, np.zeros((8, 16, 16, 3), np.uint8), 4)
    assert not video.sound(path, 16000, 32000).any()


def test_a_corrupt_file_is_named_in_one_line(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(bytes(range(256)) * 40)
    for read in (
        video.seconds,
        lambda p: video.pictures(p, [0.5], 8),
        lambda p: video.sound(p, 8000, 9),
    ):
        with pytest.raises(SedreproError, match=r"broken\.mp4: cannot be read as video") as raised:
            read(path)
        assert "\n" not in str(raised.value)
