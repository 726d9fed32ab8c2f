"""The log-mel of weak_mtl against SciPy's spectrogram and librosa's filters."""

import librosa
import numpy as np
import pytest
from scipy import signal

from sedrepro.features.kinds import STFT_LOGMEL
from sedrepro.features.logmel import LogMel, slaney_filters
from sedrepro.settings import FrontEnd

FULL = FrontEnd(
    kind="stft_logmel", sample_rate=32000, seconds=10.0, hop=1024, n_mels=64, f_min=50, f_max=16000
)


def original(samples: np.ndarray) -> np.ndarray:
    """The extractor's definition: SciPy's magnitude spectrogram, librosa's mel, natural log."""
    _, _, spectrum = signal.spectrogram(
        samples,
        window=signal.get_window("hamming", 2048, fftbins=False),
        nperseg=2048,
        noverlap=1024,
        detrend=False,
        return_onesided=True,
        mode="magnitude",
    )
    filters = librosa.filters.mel(sr=32000, n_fft=2048, n_mels=64, fmin=50, fmax=16000)
    return np.log(filters @ spectrum.astype(np.float32) + np.float32(1e-8))


def test_full_geometry():
    assert FULL.frames == 311
    assert FULL.shape == (64, 311)
    assert STFT_LOGMEL.dtype(FULL) == "float32"


@pytest.mark.parametrize("level", [1.0, 1e-3, 0.0])
def test_equals_the_original_extractor(level):
    samples = level * np.random.default_rng(0).standard_normal(320000).astype(np.float32)
    found = LogMel(FULL)(samples)
    assert found.shape == FULL.shape
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, original(samples), atol=2e-5)


@pytest.mark.parametrize(
    ("rate", "n_fft", "bands", "low", "high"),
    [(32000, 2048, 64, 50.0, 16000.0), (16000, 512, 40, 0.0, 800.0), (44100, 4096, 128, 30.0, 2e4)],
)
def test_filters_are_librosas(rate, n_fft, bands, low, high):
    front_end = FrontEnd(
        kind="stft_logmel", sample_rate=rate, n_fft=n_fft, n_mels=bands, f_min=low, f_max=high
    )
    wanted = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=bands, fmin=low, fmax=high)
    np.testing.assert_allclose(slaney_filters(front_end), wanted, rtol=1e-5, atol=1e-9)
