"""Audio files in, mono float32 at the wanted rate out; the one place that decodes sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from .errors import SedreproError


def read(
    path: str | Path, sample_rate: int, *, start: float = 0.0, stop: float | None = None
) -> np.ndarray:
    """The recording as mono float32 at `sample_rate`: channels averaged, then resampled (soxr HQ).

    `start` and `stop`, in seconds, cut a part out of it first.
    """
    try:
        with soundfile.SoundFile(str(path)) as file:
            rate, first = file.samplerate, round(start * file.samplerate)
            last = file.frames if stop is None else min(file.frames, round(stop * rate))
            file.seek(min(first, file.frames))
            samples = file.read(max(0, last - first), dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError) as error:
        raise SedreproError(f"{path}: cannot be read as audio ({_first_line(error)})") from None
    if len(samples) == 0:
        raise SedreproError(f"{path}: holds no audio (0 samples)")
    # Channel by channel: NumPy's mean over so short an axis takes longer than decoding.
    mono = sum(samples.T) / np.float32(samples.shape[1])
    if not np.isfinite(mono).all():
        raise SedreproError(f"{path}: holds samples that are not finite numbers")
    if rate != sample_rate:
        import soxr

        mono = soxr.resample(mono, rate, sample_rate, quality="HQ")
    return np.ascontiguousarray(mono, dtype=np.float32)


def fit(samples: np.ndarray, length: int) -> np.ndarray:
    """Pad with zeros at the end, or cut, to exactly `length` samples."""
    if len(samples) >= length:
        return samples[:length]
    return np.pad(samples, (0, length - len(samples)))


def seconds(path: str | Path) -> float:
    """The length of a recording, from its header alone."""
    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError) as error:
        raise SedreproError(f"{path}: cannot be read as audio ({_first_line(error)})") from None
    if info.frames == 0:
        raise SedreproError(f"{path}: holds no audio (0 samples)")
    return info.frames / info.samplerate


def write(path: str | Path, samples: np.ndarray, sample_rate: int) -> None:
    """Write 16-bit PCM; samples beyond ±1 are clipped."""
    soundfile.write(str(path), np.clip(samples, -1, 1), sample_rate, subtype="PCM_16", format="WAV")


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
