"""Frozen encoders by the resource that brings them: from waveforms to tokens."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from ..errors import SedreproError
from ..features.atst import AtstMel
from ..features.kaldi import Fbank, standardised
from .atst import Atst
from .beats import Beats
from .hetero import Pooling, pooled


class FrozenEncoder(nn.Module):
    """A pre-trained encoder with what makes its input of waveforms."""

    def __init__(self, resource: str, path: str | Path, width: int) -> None:
        super().__init__()
        self.front: Fbank | AtstMel
        self.encoder: Beats | Atst
        if resource == "beats":
            self.front = Fbank()
            self.encoder = Beats.load(path)
        else:
            self.front = AtstMel()
            self.encoder = Atst.load(path)
        if self.encoder.width != width:
            raise SedreproError(
                f"{path}: tokens have {self.encoder.width} values; front end {resource!r} says "
                f"{width} channels"
            )

    def spectrum(self, waveform: Tensor) -> Tensor:
        """What the encoder reads: (clip, frame, band) or (clip, band, frame)."""
        made = self.front(waveform)
        return standardised(made) if isinstance(self.encoder, Beats) else made

    def forward(self, waveform: Tensor, frames: int, how: Pooling = "flat") -> Tensor:
        """The last block's tokens, pooled to (clip, frame, width)."""
        return pooled(self.encoder(self.spectrum(waveform)), frames, how, self.encoder.bands)
