"""Mixup inside the parts of a batch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.distributions import Beta


class Mixing(NamedTuple):
    """Clip i becomes ratio[i]·clip i + (1 - ratio[i])·clip order[i]."""

    ratio: Tensor
    """(clip,)"""
    order: Tensor
    """(clip,)"""

    def __call__(self, values: Tensor) -> Tensor:
        ratio = self.ratio.view(-1, *[1] * (values.dim() - 1))
        return ratio * values + (1 - ratio) * values[self.order]


def draw(
    clips: int,
    parts: Iterable[slice],
    *,
    alpha: float,
    probability: float,
    device: torch.device,
    fires: Tensor | None = None,
) -> Mixing:
    """Mix inside each part with its own ratio ~ Beta(alpha, alpha) and permutation.

    One draw decides for all parts whether there is mixup at all (`fires`: it was drawn before);
    clips outside the parts stay. The decision is arithmetic, not a branch, so a GPU need not be
    waited for.
    """
    ratio = torch.ones(clips, device=device)
    order = torch.arange(clips, device=device)
    fires = torch.rand((), device=device) < probability if fires is None else fires
    shape = torch.full((), alpha, device=device)
    beta = Beta(shape, shape, validate_args=False)
    for part in parts:
        members = order[part].clone()
        ratio[part] = torch.where(fires, beta.sample(), 1.0)
        order[part] = members[torch.randperm(len(members), device=device)]
    return Mixing(ratio, order)
