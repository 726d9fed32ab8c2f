"""Soft labels of one class that stand under several names."""

from __future__ import annotations

import torch
from torch import Tensor


def overwritten(said: Tensor) -> Tensor:
    """What the last of several names (…, name) leaves, each writing over those before.

    As in the baseline's code a name that repeats the confidence of an earlier one writes nothing:
    its row is dropped as a duplicate. Nor does one that is silent.
    """
    left = said[..., 0]
    for k in range(1, said.shape[-1]):
        own = said[..., k]
        repeated = (said[..., :k] == own[..., None]).any(-1)
        left = torch.where((own > 0) & ~repeated, own, left)
    return left
