"""Dual-branch mid-fusion: the tokens of a transformer join the maps of a CNN on their way."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Operation = Literal["add", "gated_add", "concat1x1"]


class Fusion(nn.Module):
    """One stage: tokens as a map, projected and resized to the CNN's, and added to it.

    `gated_add` weighs what is added by a gate that sees both; with `back` the CNN's map is added to
    the tokens too, from nothing at first.
    """

    def __init__(
        self,
        width: int,
        channels: int,
        *,
        operation: Operation = "gated_add",
        back: bool = False,
        bands: int = 8,
        momentum: float = 0.1,
    ) -> None:
        super().__init__()
        self.operation = operation
        self.bands = bands
        self.project = nn.Conv2d(width, channels, 1)
        self.norm = nn.BatchNorm2d(channels, eps=1e-3, momentum=momentum)
        self.join = None if operation == "add" else nn.Conv2d(2 * channels, channels, 1)
        self.back = nn.Conv2d(channels, width, 1) if back else None
        if self.back is not None:
            for parameter in self.back.parameters():
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """`x` (clip, channel, frame, band), `tokens` (clip, token, width), time-major."""
        there = tokens.mT.unflatten(-1, (-1, self.bands))
        seen = self.norm(self.project(there))
        seen = F.interpolate(seen, size=x.shape[-2:], mode="bilinear", align_corners=False)
        if self.join is None:
            fused = x + seen
        else:
            joined = self.join(torch.cat([x, seen], dim=1))
            fused = joined if self.operation == "concat1x1" else x + joined.sigmoid() * seen
        if self.back is not None:
            resized = F.interpolate(
                fused, size=there.shape[-2:], mode="bilinear", align_corners=False
            )
            tokens = tokens + self.back(resized).flatten(2).mT
        return fused, tokens
