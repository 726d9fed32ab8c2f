"""Another view of a spectrum: FilterAugment's random equaliser, and a stretch of silence."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class View(NamedTuple):
    """Gains over the mel bands and where a clip falls silent; the same for input and targets."""

    gain: Tensor
    """(clip, mel, 1), factors on linear magnitudes."""
    sound: Tensor
    """(clip, network frame), false where silent."""

    def inputs(self, values: Tensor, pooling: int) -> Tensor:
        """Linear mel magnitudes (clip, mel, input frame), `pooling` of them to a network frame."""
        kept = self.sound.repeat_interleave(pooling, dim=1)
        beyond = kept.new_ones(len(kept), values.shape[-1] - kept.shape[1])
        return values * self.gain * torch.cat([kept, beyond], dim=1).unsqueeze(1)

    def frames(self, values: Tensor) -> Tensor:
        """Targets (clip, frame, class): nothing is active in silence."""
        return values * self.sound.unsqueeze(2)


class Unchanged(NamedTuple):
    """The view that is none: inputs and targets as they are."""

    def inputs(self, values: Tensor, pooling: int) -> Tensor:
        return values

    def frames(self, values: Tensor) -> Tensor:
        return values


def draw(
    clips: int,
    bands: int,
    frames: int,
    *,
    decibels: tuple[float, float],
    knots: tuple[int, int],
    masked: tuple[float, float],
    device: torch.device,
) -> View:
    """A gain curve and a silent interval per clip.

    The curve runs linearly in dB through a random gain at each end of `knots` (fewest, most)
    intervals of random width; the interval is a share ~ U(`masked`) of the clip.
    """
    gain = torch.stack([_curve(bands, decibels, knots, device) for _ in range(clips)])
    low, high = masked
    length = ((low + (high - low) * torch.rand(clips, device=device)) * frames).long()
    start = (torch.rand(clips, device=device) * (frames - length + 1)).long()
    frame = torch.arange(frames, device=device)
    silent = (frame >= start.unsqueeze(1)) & (frame < (start + length).unsqueeze(1))
    return View(10 ** (gain.unsqueeze(2) / 20), ~silent)


def _curve(
    bands: int, decibels: tuple[float, float], knots: tuple[int, int], device: torch.device
) -> Tensor:
    """(mel,) gains in dB."""
    fewest, most = knots
    intervals = int(torch.randint(fewest, most + 1, ()))
    inner = torch.rand(intervals - 1).sort().values
    ends = torch.cat([torch.zeros(1), inner, torch.ones(1)]) * (bands - 1)
    low, high = decibels
    levels = low + (high - low) * torch.rand(intervals + 1)
    band = torch.arange(bands, dtype=torch.float32)
    right = torch.searchsorted(ends, band).clamp(1, intervals)
    width = (ends[right] - ends[right - 1]).clamp(min=1e-6)
    share = (band - ends[right - 1]) / width
    return torch.lerp(levels[right - 1], levels[right], share).to(device)
