"""The spectra ATST-Frame reads, from batches of waveforms."""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor, nn

LOWEST, HIGHEST = -79.6482, 50.6842  # decibels that become -1 and 1


class AtstMel(nn.Module):
    """(clip, samples) in ±1 at 16 kHz → (clip, 64 bands, frames), about ±1; in float32.

    What lies 80 dB below the loudest is cut, clip by clip: torchaudio takes the loudest of a batch
    unless each clip has a channel axis.
    """

    def __init__(self) -> None:
        super().__init__()
        self.spectrum = torchaudio.transforms.MelSpectrogram(
            sample_rate=16000, n_fft=1024, hop_length=160, n_mels=64, f_min=60.0, f_max=7800.0
        )
        self.decibels = torchaudio.transforms.AmplitudeToDB("power", top_db=80)

    def forward(self, waveform: Tensor) -> Tensor:
        with torch.autocast(waveform.device.type, enabled=False):
            level = self.decibels(self.spectrum(waveform.float()).unsqueeze(1)).squeeze(1)
        return 2 * (level.clamp(-50, 80) - LOWEST) / (HIGHEST - LOWEST) - 1
