"""Networks that tag clips from full-resolution maps, and the ways to pool those over time and mel.

Inputs are (clip, frame, mel); no layer changes the size of a map. What follows the class maps runs
in float32 whatever autocast is on: scores are ranked, and coarse ones would tie.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .convolution import Conv2d


class Tagging(NamedTuple):
    """What a network says about a batch."""

    clip: Tensor
    """(clip, class), probabilities."""
    frame: Tensor
    """(clip, frame, class), in [0, 1]."""
    frequency: Tensor | None = None
    """(clip, class, frame, mel): attention of the first step, sum 1 over mel."""
    time: Tensor | None = None
    """(clip, class, frame): attention of the second step, sum 1 over frames."""
    reconstruction: Tensor | None = None
    """(clip, frame, mel): the input as the auxiliary decoder draws it."""


def convolution(channels_in: int, channels: int, size: int, **options: Any) -> nn.Conv2d:
    """A convolution with He's uniform initialisation and a bias, if any, of zero."""
    made = Conv2d(channels_in, channels, size, **options)
    nn.init.kaiming_uniform_(made.weight, nonlinearity="relu")
    if made.bias is not None:
        nn.init.zeros_(made.bias)
    return made


def block(channels_in: int, channels: int, *, smooth: bool) -> nn.Sequential:
    """Two 3x3 convolutions with batch norm and ReLU; `smooth`: then each value is the mean of its
    3x3 neighbourhood, beyond the border zeros."""
    layers: list[nn.Module] = []
    for before in (channels_in, channels):
        layers += [
            convolution(before, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, *([nn.AvgPool2d(3, 1, 1)] if smooth else []))


def blocks(channels: Sequence[int], *, smooth: bool) -> nn.Sequential:
    return nn.Sequential(
        *(block(before, after, smooth=smooth) for before, after in pairwise(channels))
    )


def gwrp_weights(places: int, decay: float) -> Tensor:
    """Global weighted rank pooling: decay^rank, sum 1."""
    weights = torch.pow(torch.tensor(decay, dtype=torch.float64), torch.arange(places))
    return (weights / weights.sum()).float()


class Vgg(nn.Module):
    """Four blocks without pooling, a probability per class, frame and band, one global pooling."""

    def __init__(
        self,
        classes: int,
        channels: Sequence[int],
        pooling: str,
        size: tuple[int, int],
        gwrp_decay: float,
    ) -> None:
        """`size`: frames and mel bands of the input; `pooling`: gmp, gap or gwrp."""
        super().__init__()
        self.encoder = blocks([1, *channels], smooth=False)
        self.classes = convolution(channels[-1], classes, 1)
        self.pool: Callable[[Tensor], Tensor] = {
            "gmp": lambda x: x.amax(-1),
            "gap": lambda x: x.mean(-1),
            "gwrp": lambda x: x.sort(-1, descending=True).values @ self.weights,
        }[pooling]
        if pooling == "gwrp":
            self.register_buffer(
                "weights", gwrp_weights(math.prod(size), gwrp_decay), persistent=False
            )

    def forward(self, x: Tensor) -> Tagging:
        maps = self.classes(self.encoder(x.unsqueeze(1)))
        with torch.autocast(x.device.type, enabled=False):
            maps = maps.float().sigmoid()
            return Tagging(self.pool(maps.flatten(2)), maps.mean(-1).mT)


class Atrous(nn.Module):
    """Dilated 5x5 convolutions and an attention over all frames and bands of each class at once.

    As the authors' code has it: what is pooled are log-probabilities over the classes, so that the
    sigmoid behind them never exceeds one half.
    """

    def __init__(self, classes: int, channels: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index, (before, after) in enumerate(pairwise([1, *channels])):
            dilation = 2**index
            layers += [
                convolution(before, after, 5, padding=2 * dilation, dilation=dilation, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.encoder = nn.Sequential(*layers)
        self.attention = convolution(channels[-1], classes, 1)
        nn.init.zeros_(self.attention.weight)
        self.classes = convolution(channels[-1], classes, 1)

    def forward(self, x: Tensor) -> Tagging:
        encoded = self.encoder(x.unsqueeze(1))
        attention, maps = self.attention(encoded), self.classes(encoded)
        with torch.autocast(x.device.type, enabled=False):
            weights = attention.float().sigmoid().clamp(0.1, 0.9)
            weights = weights / weights.sum((2, 3), keepdim=True)
            maps = F.log_softmax(maps.float(), dim=1)
            clip = (weights * maps).sum((2, 3)).sigmoid()
            return Tagging(clip, maps.exp().mean(-1).mT)


class TwoStepAttention(nn.Module):
    """Class maps pooled over mel bands, then over frames; each step attends with its own layers.

    The layers are shared by all classes. In the second step every frame sees all others, so the
    number of frames is fixed.
    """

    def __init__(self, frames: int, bands: int) -> None:
        super().__init__()
        self.band_probability = nn.Linear(bands, bands)
        self.band_attention = nn.Linear(bands, bands)
        self.frame_probability = nn.Linear(frames, frames)
        self.frame_attention = nn.Linear(frames, frames)

    def forward(self, maps: Tensor) -> Tagging:
        """(clip, class, frame, mel), before any activation."""
        frequency = self.band_attention(maps).softmax(-1)
        frame = (self.band_probability(maps).sigmoid() * frequency).sum(-1)
        time = self.frame_attention(frame).softmax(-1)
        clip = (self.frame_probability(frame).sigmoid() * time).sum(-1).clamp(0, 1)
        return Tagging(clip, frame.mT, frequency, time)


class TwoStep(nn.Module):
    """2APAE: smoothing blocks, two-step attention, and a decoder that draws the input again."""

    def __init__(self, classes: int, channels: Sequence[int], size: tuple[int, int]) -> None:
        """`size`: frames and mel bands of the input."""
        super().__init__()
        self.encoder = blocks([1, *channels], smooth=True)
        self.classes = convolution(channels[-1], classes, 1)
        self.attention = TwoStepAttention(*size)
        self.decoder = blocks([*reversed(channels), 1], smooth=True)

    def forward(self, x: Tensor, *, reconstruct: bool = False) -> Tagging:
        encoded = self.encoder(x.unsqueeze(1))
        maps = self.classes(encoded)
        with torch.autocast(x.device.type, enabled=False):
            found = self.attention(maps.float())
        if not reconstruct:
            return found
        drawn = self.decoder(encoded).squeeze(1)
        return Tagging(found.clip, found.frame, found.frequency, found.time, drawn)
