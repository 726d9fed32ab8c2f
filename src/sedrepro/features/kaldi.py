"""Kaldi's log mel filter bank for batches of waveforms, as BEATs was trained on."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchaudio.compliance.kaldi import get_mel_banks

RATE, LENGTH, SHIFT, FFT = 16000, 400, 160, 512  # Hz; samples per frame, between frames, transform
BANDS = 128
LOWEST = 20.0  # Hz; the highest is half the rate
PREEMPHASIS = 0.97
BEATS_MEAN, BEATS_DEVIATION = 15.41663, 6.55582


def frames(samples: int) -> int:
    """Frames that lie wholly inside a waveform."""
    return 1 + (samples - LENGTH) // SHIFT


class Fbank(nn.Module):
    """(clip, samples) in ±1 at 16 kHz → (clip, frame, band): natural log of mel powers.

    Samples count as 16-bit numbers. Each frame loses its mean, is pre-emphasised and windowed
    (Povey: a Hann window to the power 0.85). No dither, no energy. Always in float32.
    """

    window: Tensor
    banks: Tensor

    def __init__(self) -> None:
        super().__init__()
        hann = torch.hann_window(LENGTH, periodic=False)
        self.register_buffer("window", hann.pow(0.85), persistent=False)
        banks, _ = get_mel_banks(BANDS, FFT, RATE, LOWEST, 0.0, 100.0, -500.0, 1.0)
        # The library leaves the bin at half the rate out; no band reaches it.
        banks = nn.functional.pad(banks, (0, 1))
        self.register_buffer("banks", banks.float(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        with torch.autocast(waveform.device.type, enabled=False):
            framed = (waveform.float() * 2**15).unfold(-1, LENGTH, SHIFT)
            framed = framed - framed.mean(-1, keepdim=True)
            before = torch.cat([framed[..., :1], framed[..., :-1]], dim=-1)
            framed = (framed - PREEMPHASIS * before) * self.window
            spectrum = torch.fft.rfft(framed, FFT)
            power = spectrum.real.square() + spectrum.imag.square()
            mel = power @ self.banks.T
            return mel.clamp(min=torch.finfo(torch.float32).eps).log()


def standardised(fbank: Tensor) -> Tensor:
    """A filter bank at the scale that BEATs was trained on."""
    return (fbank - BEATS_MEAN) / (2 * BEATS_DEVIATION)
