"""Mutual learning between two branches, and the similarity loss of PSP."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def mutual(one: Tensor, other: Tensor, temperature: float) -> Tensor:
    """tau²/2 (KL(sg one ‖ other) + KL(sg other ‖ one)), mean over all but the class; logits in."""
    first, second = (F.log_softmax(z / temperature, -1) for z in (one, other))

    def divergence(target: Tensor, learner: Tensor) -> Tensor:
        target = target.detach()
        return (target.exp() * (target - learner)).sum(-1).mean()

    return temperature**2 / 2 * (divergence(first, second) + divergence(second, first))


def pair_similarity(cosine: Tensor, events: Tensor) -> Tensor:
    """PSP's L_AVPS: cosines (clip, time), shared out over time, against the event's share.

    `events` (clip, time) is 1 inside the clip's event; a clip without any has the same share
    everywhere.
    """
    shares = torch.relu(cosine)
    shares = shares / (shares.sum(1, keepdim=True) + 1e-8)
    spread = torch.where(events.any(1, keepdim=True), events, torch.ones_like(events))
    return (shares - spread / spread.sum(1, keepdim=True)).square().mean()
