"""Clips of videos: what their names say, and how they are cut from the sound of the video."""

from __future__ import annotations

import csv
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SedreproError
from ..files import atomic
from .ledger import Try
from .ytdlp import Player, classify

if TYPE_CHECKING:
    import av.container
    import numpy as np

RATE = 44100
SHORTEST = 1.0  # seconds; a clip of which less is left is lost
BYTES_PER_CLIP = 10 * RATE * 2

_NAME = re.compile(r"^Y?(?P<video>[\w-]{11})_(?P<start>\d+(\.\d+)?)_(?P<end>\d+(\.\d+)?)\.wav$")


@dataclass(frozen=True)
class Clip:
    """Seconds `start` to `end` of a video."""

    file: str
    video: str
    start: float
    end: float


def parse(file: str) -> Clip:
    """The clip a file name stands for: [Y]<11 characters>_<start>_<end>.wav."""
    match = _NAME.match(file)
    if match is None:
        raise SedreproError(f"{file!r}: clip names look like Y<video id>_<start>_<end>.wav")
    return Clip(file, match["video"], float(match["start"]), float(match["end"]))


def promised_seconds(file: str) -> float | None:
    """How long the clip of this file name is to be; None where the name does not tell."""
    match = _NAME.match(file)
    return float(match["end"]) - float(match["start"]) if match else None


def listed(table: Path) -> list[Clip]:
    """The clips a table names, each once, in its order."""
    with open(table, encoding="utf-8", newline="") as handle:
        rows = csv.DictReader(handle, delimiter="\t")
        if "filename" not in (rows.fieldnames or []):
            raise SedreproError(f"{table}: column 'filename' is missing")
        return [parse(name) for name in dict.fromkeys(row["filename"] for row in rows)]


def fetch_clip(clip: Clip, target: Path, source: Player) -> Try:
    """One clip, whole under its name or not at all."""
    from .. import audio

    with tempfile.TemporaryDirectory(prefix="sedrepro-clip-") as folder:
        try:
            recording, length = source.fetch(clip.video, Path(folder))
        except LookupError as error:
            return Try(classify(str(error), source.scripted), reason=str(error))
        try:
            samples = cut(recording, clip.start, clip.end)
        except SilentError as error:
            return Try("silent", reason=str(error))
        except ValueError as error:
            return Try("broken", reason=str(error))
    seconds = len(samples) / RATE
    promised = min(clip.end, length or 0.0) - clip.start
    if seconds < promised - SHORTEST:
        return Try("broken", seconds, f"{seconds:.2f} s came of {promised:.2f} s")
    if seconds < min(SHORTEST, clip.end - clip.start):
        return Try("short", seconds, f"only {seconds:.2f} s of the clip are left")
    with atomic(target) as temporary:
        audio.write(temporary, samples, RATE)
    return Try("ok", seconds)


class SilentError(ValueError):
    """A video has no sound track."""


def cut(recording: Path, start: float, end: float) -> np.ndarray:
    """Seconds `start` to `end` (or to where the recording ends) as mono float32 at 44.1 kHz."""
    import av
    import numpy as np
    import soxr

    try:
        with av.open(str(recording)) as container:
            if not container.streams.audio:
                raise SilentError("the video has no audio")
            rate, pieces = _decode(container, start, end)
    except av.error.FFmpegError as error:
        raise ValueError(f"the audio cannot be decoded ({error})") from None
    if not pieces:
        return np.zeros(0, dtype=np.float32)
    mono = np.concatenate(pieces)
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE, quality="HQ")
    return mono[: round((end - start) * RATE)].astype(np.float32)


def _decode(container: av.container.InputContainer, start: float, end: float) -> tuple[int, list]:
    """Native rate and the mono samples between `start` and `end`, in pieces."""
    import av
    import numpy as np

    stream = container.streams.audio[0]
    rate, pieces, begin = stream.rate, [], 0.0
    if start > 2 and stream.time_base:
        container.seek(int((start - 1) / stream.time_base), stream=stream)
    planar = av.AudioResampler(format="fltp")
    for decoded in container.decode(stream):
        rate = decoded.sample_rate
        begin = begin if decoded.time is None else decoded.time
        if begin >= end:
            break
        samples = np.concatenate([f.to_ndarray() for f in planar.resample(decoded)], axis=1)
        first = max(0, round((start - begin) * rate))
        last = min(samples.shape[1], round((end - begin) * rate))
        if first < last:
            pieces.append(samples[:, first:last].mean(axis=0))
        begin += samples.shape[1] / rate
    return rate, pieces
