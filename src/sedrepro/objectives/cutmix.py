"""CutMix in time: an interval of each clip is replaced by the same interval of another."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Cut(NamedTuple):
    """Where each clip is replaced, on the network's frames, and by which clip."""

    mask: Tensor
    """(clip, frame), true where replaced."""
    order: Tensor
    """(clip,), the clip that is pasted."""

    def inputs(self, values: Tensor, pooling: int) -> Tensor:
        """Paste (clip, …, input frame), `pooling` input frames to a network frame.

        Input frames beyond the last whole network frame are never replaced.
        """
        mask = self.mask.repeat_interleave(pooling, dim=1)
        beyond = mask.new_zeros(len(mask), values.shape[-1] - mask.shape[1])
        mask = torch.cat([mask, beyond], dim=1)
        return torch.where(mask.unsqueeze(1), values[self.order], values)

    def frames(self, values: Tensor) -> Tensor:
        """Paste (clip, frame, …): scores, or what is known of the clip a frame comes from."""
        mask = self.mask.view(*self.mask.shape, *[1] * (values.dim() - 2))
        return torch.where(mask, values[self.order], values)


def draw(clips: int, frames: int, share: tuple[float, float], device: torch.device) -> Cut:
    """For each clip an interval of a share ~ U(`share`) of the frames; one permutation for all.

    The length is cut to whole frames; the start is uniform in [0, frames - length), end excluded.
    """
    low, high = share
    length = ((low + (high - low) * torch.rand(clips, device=device)) * frames).long()
    start = (torch.rand(clips, device=device) * (frames - length)).long()
    frame = torch.arange(frames, device=device)
    mask = (frame >= start.unsqueeze(1)) & (frame < (start + length).unsqueeze(1))
    return Cut(mask, torch.randperm(clips, device=device))
