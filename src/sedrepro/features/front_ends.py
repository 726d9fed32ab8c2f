"""Front ends as torch modules, for stores on a CPU and for batches of waveforms on a GPU."""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor, nn

from ..settings import FrontEnd


class Mel(nn.Module):
    """Linear mel spectrum, (..., samples) in ±1 → (..., mel bands, frames).

    Non-periodic Hamming window, centred frames with reflected edges, HTK mel scale, no filter
    normalisation; `power` 1 gives magnitudes. Always in float32, whatever autocast is on.
    """

    def __init__(self, front_end: FrontEnd) -> None:
        super().__init__()
        self.power = front_end.power
        self.spectrum = torchaudio.transforms.Spectrogram(
            n_fft=front_end.n_fft,
            hop_length=front_end.hop,
            window_fn=torch.hamming_window,
            wkwargs={"periodic": False},
            power=None,
        )
        self.bands = torchaudio.transforms.MelScale(
            n_mels=front_end.n_mels,
            sample_rate=front_end.sample_rate,
            f_min=front_end.f_min,
            f_max=front_end.f_max,
            n_stft=front_end.n_fft // 2 + 1,
        )

    def forward(self, waveform: Tensor) -> Tensor:
        with torch.autocast(waveform.device.type, enabled=False):
            real, imaginary = torch.view_as_real(self.spectrum(waveform.float())).unbind(-1)
            # Complex `abs` guards against overflow, at a third of the whole transform's time.
            power = real.square() + imaginary.square()
            return self.bands(power ** (self.power / 2))


def mel_of(front_end: FrontEnd) -> nn.Module:
    """A module from stored clips to linear mel spectra. Only waveforms are not spectra already."""
    return Mel(front_end) if front_end.kind == "waveform" else nn.Identity()
