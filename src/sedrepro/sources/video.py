"""Videos in: pictures at given times, and the sound track; and the miniature's videos out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ..errors import SedreproError


@contextmanager
def _opened(path: str | Path) -> Iterator[av.container.InputContainer]:
    """The file, whatever goes wrong in it told in one line."""
    try:
        with av.open(str(path)) as container:
            yield container
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SedreproError(f"{path}: cannot be read as video ({reason})") from None


def seconds(path: str | Path) -> float:
    """The length of a video, from its header."""
    with _opened(path) as container:
        if not container.streams.video:
            raise SedreproError(f"{path}: holds no picture")
        return float(container.duration or 0) / av.time_base


def pictures(path: str | Path, times: Sequence[float] | np.ndarray, pixels: int) -> np.ndarray:
    """The pictures shown at ascending times (s), as uint8 (time, 3, pixels, pixels).

    The shorter side is brought to `pixels` and the middle cut out; after the video's end it is
    black.
    """
    shown = np.zeros((len(times), 3, pixels, pixels), np.uint8)
    with _opened(path) as container:
        if not container.streams.video:
            raise SedreproError(f"{path}: holds no picture")
        stream = container.streams.video[0]
        stream.thread_type = "NONE"  # jobs run side by side
        step = 1 / float(stream.average_rate or 25)
        previous: av.VideoFrame | None = None
        place = 0
        latest: float | None = None
        for frame in container.decode(stream):
            begins = frame.time if frame.time is not None else (latest or 0.0) + step
            latest = begins
            while place < len(times) and times[place] < begins:
                shown[place] = _square(previous or frame, pixels)
                place += 1
            if place == len(times):
                break
            previous = frame
        while previous is not None and place < len(times) and times[place] < (latest or 0.0) + step:
            shown[place] = _square(previous, pixels)
            place += 1
    return shown


def _square(frame: av.VideoFrame, pixels: int) -> np.ndarray:
    """The middle of a picture as (3, pixels, pixels)."""
    scale = pixels / min(frame.width, frame.height)
    width, height = (max(pixels, round(side * scale)) for side in (frame.width, frame.height))
    image = frame.reformat(width, height, format="rgb24", interpolation="BICUBIC").to_ndarray()
    top, left = (height - pixels) // 2, (width - pixels) // 2
    return image[top : top + pixels, left : left + pixels].transpose(2, 0, 1)


def sound(path: str | Path, sample_rate: int, samples: int) -> np.ndarray:
    """The sound track as mono float32, padded with zeros or cut; zeros where there is none."""
    heard = np.zeros(samples, np.float32)
    with _opened(path) as container:
        if not container.streams.audio:
            return heard
        resampler = av.AudioResampler(format="flt", layout="mono", rate=sample_rate)
        place = 0
        for frame in [*container.decode(container.streams.audio[0]), None]:
            for piece in resampler.resample(frame):
                values = piece.to_ndarray().reshape(-1)[: max(0, samples - place)]
                heard[place : place + len(values)] = values
                place += len(values)
            if place >= samples:
                break
    return heard


def write(
    path: str | Path,
    frames: np.ndarray,
    rate: int,
    samples: np.ndarray | None = None,
    sample_rate: int = 16000,
) -> None:
    """An mp4 (H.264, AAC) of uint8 frames (time, height, width, 3) and, if given, mono sound."""
    with av.open(str(path), "w", format="mp4") as container:
        picture = container.add_stream("libx264", rate=rate)
        picture.width = frames.shape[2]
        picture.height = frames.shape[1]
        picture.pix_fmt = "yuv420p"
        picture.options = {"preset": "ultrafast", "crf": "25", "threads": "1"}
        track = None
        if samples is not None:
            track = container.add_stream("aac", rate=sample_rate)
            track.layout = "mono"
            track.bit_rate = 64000
        for frame in frames:
            container.mux(picture.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(picture.encode(None))
        if track is not None and samples is not None:
            heard = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[None], np.float32), format="fltp", layout="mono"
            )
            # With times the encoder can say how much silence it puts before the sound.
            heard.sample_rate = sample_rate
            heard.pts = 0
            heard.time_base = Fraction(1, sample_rate)
            resampler = av.AudioResampler("fltp", "mono", sample_rate, frame_size=1024)
            for piece in [*resampler.resample(heard), *resampler.resample(None)]:
                container.mux(track.encode(piece))
            container.mux(track.encode(None))
