"""Log-mel in NumPy, as SciPy's spectrogram and librosa's filters give it, without the two."""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ..settings import FrontEnd

FLOOR = 1e-8  # added to the mel spectrum before the logarithm


class LogMel:
    """(samples) in ±1 → (mel bands, frames) float32: ln(Slaney mel of the spectrum + 1e-8).

    Symmetric Hamming window, scaled by its root energy; only frames that lie inside the clip.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        self.hop = front_end.hop
        self.power = front_end.power
        window = np.hamming(front_end.n_fft)
        self.window = window / np.sqrt(np.sum(np.square(window)))
        self.filters = slaney_filters(front_end).astype(np.float32)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        framed = sliding_window_view(samples, len(self.window))[:: self.hop]
        spectrum = np.abs(np.fft.rfft(framed * self.window)).astype(np.float32)
        if self.power != 1:
            spectrum **= self.power
        return np.log(self.filters @ spectrum.T + np.float32(FLOOR))


def slaney_filters(front_end: FrontEnd) -> np.ndarray:
    """(mel bands, bins): triangles on Slaney's mel scale, each of unit area per Hz."""
    ends = _mel(front_end.f_min), _mel(front_end.f_max)
    edges = _hertz(np.linspace(*ends, front_end.n_mels + 2))
    bins = np.fft.rfftfreq(front_end.n_fft, 1 / front_end.sample_rate)
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rise, fall = (bins - low) / (centre - low), (high - bins) / (high - centre)
    return np.maximum(0, np.minimum(rise, fall)) * 2 / (high - low)


KNEE = 1000.0  # Hz: linear below, logarithmic above
LINEAR = 200 / 3  # Hz per mel below the knee
STEP = np.log(6.4) / 27  # of the logarithm per mel above it


def _mel(hertz: float) -> float:
    if hertz < KNEE:
        return hertz / LINEAR
    return KNEE / LINEAR + np.log(hertz / KNEE) / STEP


def _hertz(mel: np.ndarray) -> np.ndarray:
    above = np.maximum(mel - KNEE / LINEAR, 0)
    return np.where(mel < KNEE / LINEAR, mel * LINEAR, KNEE * np.exp(above * STEP))
