"""What every network of this paper is: maps and sounds in, a class or background per second out."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...networks.audiovisual import Agva
from ..contract import Term
from .settings import Settings

Found = dict[str, Tensor]


@dataclass(frozen=True)
class Sizes:
    """Features per place and per second of sound, and classes with the background (last)."""

    visual: int
    audio: int
    classes: int


@dataclass(frozen=True)
class Target:
    """One-hot (clip, second, class) and (clip, class), the background being the last class.

    Under weak supervision there are only video labels, or the shares of a video that classes take.
    """

    segments: Tensor | None
    video: Tensor
    ramp: float = 1.0
    """How far the ramp of auxiliary losses is."""

    @property
    def events(self) -> Tensor:
        """1 in the seconds of an event (clip, second)."""
        assert self.segments is not None  # labels of videos only have none
        return 1 - self.segments[..., -1]


def with_background(labels: Tensor) -> Tensor:
    """Event labels (…, class) with the background as one class more: what is nothing else."""
    return torch.cat([labels, 1 - labels.amax(-1, keepdim=True)], -1)


class Localiser(nn.Module):
    """Base of the networks: `logits` (clip, second, class), perhaps an `attention`."""

    def __init__(self, sizes: Sizes, settings: Settings) -> None:
        super().__init__()
        self.sizes = sizes
        self.settings = settings
        self.net = settings.network

    def guided_attention(self, audio: int) -> Agva:
        """Attention over places, guided by sound of `audio` features a second."""
        net = self.net
        assert net.agva != "mean"  # whoever asks has looked
        return Agva(
            self.sizes.visual,
            audio,
            hidden=net.agva_hidden,
            size=net.agva_size,
            variant=net.agva,
        )

    def forward(self, visual: Tensor, audio: Tensor) -> Found:
        """visual (clip, second, place, channel), audio (clip, second, channel)."""
        raise NotImplementedError

    def losses(self, found: Found, target: Target) -> dict[str, Term]:
        """Cross-entropy of segments, or of their mean where only videos are labelled."""
        return {"class": Term(1, cross_entropy(found["logits"], target))}

    def probabilities(self, found: Found) -> Tensor:
        """(clip, second, class), the background last; the largest is the prediction."""
        return torch.softmax(found["logits"], -1)


def cross_entropy(logits: Tensor, target: Target, pool: str = "mean") -> Tensor:
    """Over segments, or over videos pooled from them."""
    if target.segments is not None:
        return F.cross_entropy(logits.flatten(0, 1), target.segments.flatten(0, 1))
    return F.cross_entropy(logits.mean(1) if pool == "mean" else logits.amax(1), target.video)


def xavier(*layers: nn.Module) -> None:
    for layer in layers:
        assert isinstance(layer, nn.Linear)
        nn.init.xavier_uniform_(layer.weight)
