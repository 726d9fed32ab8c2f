"""A clip's samples, whether it is a recording, a part of one, or a mixture."""

from __future__ import annotations

import numpy as np

from .. import audio
from ..clips import Clip
from . import snr_mix


def read(clip: Clip, sample_rate: int) -> np.ndarray:
    """Mono float32 at `sample_rate`."""
    if clip.recipe:
        return snr_mix.read(clip, sample_rate)
    if clip.start is None:
        return audio.read(clip.path, sample_rate)
    stop = clip.start + clip.seconds
    return audio.read(clip.path, sample_rate, start=clip.start, stop=stop)
