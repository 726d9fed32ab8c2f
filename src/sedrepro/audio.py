"""Recordings in, mono float32 at the wanted rate out, for every stage that reads clips."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from .errors import SedreproError
from .files import open_atomic


def read(
    path: str | Path, sample_rate: int, *, start: float = 0.0, stop: float | None = None
) -> np.ndarray:
    """The recording as mono float32 at `sample_rate`: channels averaged, then resampled (soxr HQ).

    `start` and `stop`, in seconds, cut a part out of it first. What libsndfile does not know, such
    as the sound track of a video, is decoded by PyAV.
    """
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate, first = file.samplerate, round(start * file.samplerate)
            last = file.frames if stop is None else min(file.frames, round(stop * rate))
            file.seek(min(first, file.frames))
            samples = file.read(max(0, last - first), dtype="float32", always_2d=True)
    # A damaged file may be said to hold more than fits into memory, or into an array.
    except (soundfile.SoundFileError, OSError, ValueError, MemoryError) as error:
        rate, blocks = _track(path, error)
        whole = np.concatenate(list(blocks) or [np.zeros((0, 1), np.float32)])
        samples = whole[round(start * rate) : None if stop is None else round(stop * rate)]
    if len(samples) == 0:
        raise SedreproError(f"{path}: holds no audio (0 samples)")
    return resampled(_mono(path, samples), rate, sample_rate)


def resampled(mono: np.ndarray, rate: int, sample_rate: int) -> np.ndarray:
    """Samples of one rate at another (soxr HQ)."""
    if rate != sample_rate:
        import soxr

        mono = soxr.resample(mono, rate, sample_rate, quality="HQ")
    return np.ascontiguousarray(mono, dtype=np.float32)


def stream(path: str | Path, sample_rate: int, block: int = 2**18) -> Iterator[np.ndarray]:
    """The recording as `read` gives it, in parts, however long it is (`block`: its own samples)."""
    try:
        file = soundfile.SoundFile(str(path))
    except (soundfile.SoundFileError, OSError) as error:
        rate, parts = _track(path, error)
    else:
        rate, parts = file.samplerate, _blocks(path, file, block)
    yield from _resampled(path, rate, parts, sample_rate)


def _blocks(path: str | Path, file: soundfile.SoundFile, block: int) -> Iterator[np.ndarray]:
    """Until nothing is left to read, whatever length a damaged file is said to have."""
    with file:
        try:
            while len(part := file.read(block, dtype="float32", always_2d=True)):
                yield part
        except (soundfile.SoundFileError, OSError) as error:
            raise SedreproError(f"{path}: cannot be read as audio ({_first_line(error)})") from None


def _resampled(
    path: str | Path, rate: int, parts: Iterator[np.ndarray], sample_rate: int
) -> Iterator[np.ndarray]:
    """Blocks (sample, channel) at `rate` as mono ones at `sample_rate`."""
    import soxr

    found = False
    converter = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
    for part in parts:
        found = found or len(part) > 0
        mono = _mono(path, part)
        yield mono if rate == sample_rate else converter.resample_chunk(mono)
    if not found:
        raise SedreproError(f"{path}: holds no audio (0 samples)")
    if rate != sample_rate:
        yield converter.resample_chunk(np.zeros(0, np.float32), last=True)


def _mono(path: str | Path, samples: np.ndarray) -> np.ndarray:
    """The mean of the channels of (sample, channel)."""
    # Channel by channel: NumPy's mean over so short an axis takes longer than decoding.
    mono = np.ascontiguousarray(sum(samples.T) / np.float32(samples.shape[1]))
    if not np.isfinite(mono).all():
        raise SedreproError(f"{path}: holds samples that are not finite numbers")
    return mono


def _track(path: str | Path, first: Exception) -> tuple[int, Iterator[np.ndarray]]:
    """Rate and blocks (sample, channel) of a file's sound track; `first`: what libsndfile said."""
    import av

    if not Path(path).is_file():
        raise SedreproError(f"{path}: cannot be read as audio ({_first_line(first)})") from None
    try:
        container = av.open(str(path))
    except (av.FFmpegError, OSError, ValueError):
        raise SedreproError(f"{path}: cannot be read as audio ({_first_line(first)})") from None
    if not container.streams.audio:
        container.close()
        raise SedreproError(f"{path}: has no sound track")
    rate = container.streams.audio[0].rate
    return rate, _decoded(path, container, rate)


def _decoded(path: str | Path, container: Any, rate: int) -> Iterator[np.ndarray]:
    import av

    track = container.streams.audio[0]
    planar = av.AudioResampler(format="fltp", layout=track.layout, rate=rate)
    with container:
        try:
            for frame in container.decode(track):
                yield from (part.to_ndarray().T for part in planar.resample(frame))
        except (av.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or _first_line(error)
            raise SedreproError(f"{path}: cannot be read as audio ({reason})") from None


def fit(samples: np.ndarray, length: int) -> np.ndarray:
    """Pad with zeros at the end, or cut, to exactly `length` samples."""
    if len(samples) >= length:
        return samples[:length]
    return np.pad(samples, (0, length - len(samples)))


def seconds(path: str | Path) -> float:
    """The length of a recording, from its header alone."""
    info = _header(path)
    return info.frames / info.samplerate


def sample_rate(path: str | Path) -> int:
    """The rate of a recording, as its header says."""
    return int(_header(path).samplerate)


def _header(path: str | Path) -> Any:
    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError) as error:
        raise SedreproError(f"{path}: cannot be read as audio ({_first_line(error)})") from None
    if info.frames == 0:
        raise SedreproError(f"{path}: holds no audio (0 samples)")
    return info


def write(path: str | Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write 16-bit PCM, whole or not at all; samples beyond ±1 are clipped."""
    with open_atomic(path) as disk:
        soundfile.write(disk, np.clip(samples, -1, 1), sample_rate, subtype="PCM_16", format="WAV")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
