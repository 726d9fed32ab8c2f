"""A clip's samples, whether it is a recording or a recipe."""

from __future__ import annotations

import numpy as np

from .. import audio
from . import snr_mix


def read(path: str, sample_rate: int) -> np.ndarray:
    """Mono float32 at `sample_rate`: decoded from a file, or mixed from `<recipe>.tsv#<clip>`."""
    return (
        snr_mix.read(path, sample_rate) if snr_mix.MARK in path else audio.read(path, sample_rate)
    )


def file_of(path: str) -> str:
    """The file whose change changes the clip."""
    return snr_mix.recipe_of(path) if snr_mix.MARK in path else path
