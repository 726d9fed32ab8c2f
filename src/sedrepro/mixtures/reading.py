"""A clip's samples, whether it is a recording, a window of one, or a recipe."""

from __future__ import annotations

import numpy as np

from .. import audio
from ..files import WINDOW, recording_of
from . import snr_mix


def read(path: str, sample_rate: int) -> np.ndarray:
    """Mono float32 at `sample_rate`: decoded from a file, from its part `<file>.wav#<start>-<end>`
    (seconds), or mixed from `<recipe>.tsv#<clip>`."""
    if snr_mix.MARK in path:
        return snr_mix.read(path, sample_rate)
    if WINDOW in path:
        file, _, window = path.rpartition("#")
        start, _, stop = window.partition("-")
        return audio.read(file, sample_rate, start=float(start), stop=float(stop))
    return audio.read(path, sample_rate)


def file_of(path: str) -> str:
    """The file whose change changes the clip."""
    return snr_mix.recipe_of(path) if snr_mix.MARK in path else recording_of(path)
