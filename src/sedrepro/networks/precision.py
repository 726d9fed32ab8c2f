"""What stays in float32 while the rest of a network computes in mixed precision."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Float32Linear(nn.Linear):
    """A linear layer in float32, whatever autocast is on.

    For what is ranked or compared: bfloat16 has eight bits, so that scores which differ would tie.
    """

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())
