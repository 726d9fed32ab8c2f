"""Circular shifts in time that keep a clip's input and its network frames aligned."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Shift(NamedTuple):
    """How far each clip is moved towards later times, in network frames; what leaves comes back."""

    frames_later: Tensor
    """(clip,), whole frames."""

    def inputs(self, values: Tensor, pooling: int, frames: int) -> Tensor:
        """Shift (clip, mel, input frame), `pooling` input frames to each of so many network frames.

        Input frames beyond the last whole network frame stay where they are.
        """
        whole = pooling * frames
        place = self._origin(whole, pooling).unsqueeze(1).expand(-1, values.shape[1], -1)
        return torch.cat([values[..., :whole].gather(2, place), values[..., whole:]], dim=2)

    def frames(self, values: Tensor) -> Tensor:
        """Shift (clip, frame, class)."""
        place = self._origin(values.shape[1], 1).unsqueeze(2).expand(-1, -1, values.shape[2])
        return values.gather(1, place)

    def _origin(self, length: int, step: int) -> Tensor:
        """(clip, length): where each place's content comes from."""
        place = torch.arange(length, device=self.frames_later.device)
        return (place - step * self.frames_later.unsqueeze(1)) % length


def draw(clips: int, deviation: float, device: torch.device) -> Shift:
    """Normally distributed shifts; `deviation` in network frames."""
    return Shift((deviation * torch.randn(clips, device=device)).round().long())
