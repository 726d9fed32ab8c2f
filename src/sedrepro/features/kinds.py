"""What a store holds of one clip, by kind of front end; torch is imported where it is needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..settings import FrontEnd

Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Kind:
    """A kind of front end: how one clip's float32 samples become the stored array of `dtype`."""

    transform: Callable[[FrontEnd], Transform]
    dtype: Callable[[FrontEnd], str]


def _mel(front_end: FrontEnd) -> Transform:
    import torch

    from .front_ends import Mel

    # Two threads inside one small transform are slower than one; processes share the clips.
    torch.set_num_threads(1)
    mel = Mel(front_end)
    dtype = getattr(torch, _mel_dtype(front_end))

    @torch.inference_mode()
    def encode(samples: np.ndarray) -> np.ndarray:
        return mel(torch.from_numpy(samples)).to(dtype).numpy()

    return encode


def _mel_dtype(front_end: FrontEnd) -> str:
    """Magnitudes of ±1 audio stay below 65,504 and the 1e-5 floor above 6e-8; powers do not."""
    return "float16" if front_end.power == 1 else "float32"


def _stft_logmel(front_end: FrontEnd) -> Transform:
    from .logmel import LogMel

    return LogMel(front_end)


MOST_DOUBLINGS = 30


def scaled(samples: np.ndarray) -> np.ndarray:
    """Samples in ±1 as 16-bit ones, and behind them how often they were doubled before rounding.

    So a quiet clip keeps its digits. It needs them, because the network's input is scaled to each
    clip's own range. 16-bit recordings come back as they were.
    """
    peak = float(np.abs(samples).max(initial=0.0))
    doublings = math.floor(math.log2(32767 / (32768 * peak))) if peak else 0
    doublings = min(max(doublings, 0), MOST_DOUBLINGS)
    kept = np.clip(np.rint(np.ldexp(samples, 15 + doublings)), -32768, 32767)
    return np.append(kept, doublings).astype(np.int16)


def _as_float32(samples: np.ndarray) -> np.ndarray:
    return samples.astype(np.float32)


def _waveform(front_end: FrontEnd) -> Transform:
    return scaled if front_end.form == "scaled" else _as_float32


MEL = Kind(_mel, _mel_dtype)
STFT_LOGMEL = Kind(_stft_logmel, lambda front_end: "float32")
WAVEFORM = Kind(_waveform, lambda f: "int16" if f.form == "scaled" else "float32")
