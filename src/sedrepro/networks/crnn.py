"""The convolutional recurrent network of the DCASE baselines (task 4, 2021 to 2024)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dropout import Dropout
from .precision import Float32Linear

Network = TypeVar("Network", bound=nn.Module)

Convolution = Callable[[int, int, int], nn.Module | None]
"""The convolution of a block (its place from 0, channels in, channels out); None: the default.

It maps (clip, channel, frame, band) and keeps frames and bands.
"""


class Detection(NamedTuple):
    """What the network says about a batch."""

    frame: Tensor
    """(clip, frame, class), probabilities."""
    clip: Tensor
    """(clip, class), probabilities."""
    attention: Tensor
    """(clip, frame, class): the weight of each frame in the clip's probability."""
    projected: Tensor | None = None
    """(clip, frame, dimension), unit vectors; only when asked for."""
    activity: Tensor | None = None
    """(clip, frame, state), logits of how many classes sound; only of networks that have them."""


def there(part: Tensor | None) -> Tensor:
    """A part of a detection that not every network gives, from one that does."""
    assert part is not None
    return part


def channels_last(network: Network) -> Network:
    """The weights as convolutions like them: a third faster on a CPU, and what mixed precision
    wants on a GPU."""
    # PyTorch's own types forget this documented argument.
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class Gate(nn.Module):
    """Gating across channels: `glu` is linear(x)·σ(x), `context` is x·σ(linear(x))."""

    def __init__(
        self, channels: int, kind: Literal["glu", "context"] = "glu", *, identity: bool = False
    ) -> None:
        super().__init__()
        self.kind = kind
        self.linear = nn.Conv2d(channels, channels, 1)
        if identity and self.linear.bias is not None:
            nn.init.dirac_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def forward(self, x: Tensor) -> Tensor:
        mapped = self.linear(x)
        return mapped * x.sigmoid() if self.kind == "glu" else x * mapped.sigmoid()


class Block(nn.Sequential):
    """Convolution, norm, gate, dropout, pooling, over (clip, channel, frame, band).

    `conv` and `norm` take the place of a 3 × 3 convolution and batch norm.
    """

    def __init__(
        self,
        channels_in: int,
        channels: int,
        pool: tuple[int, int],
        *,
        gate: Gate,
        dropout: float,
        momentum: float,
        conv: nn.Module | None = None,
        norm: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = conv or nn.Conv2d(channels_in, channels, 3, padding=1)
        self.norm = norm or nn.BatchNorm2d(channels, eps=1e-3, momentum=momentum)
        self.gate = gate
        self.dropout = Dropout(dropout)
        self.pool = nn.AvgPool2d(pool)


class Cnn(nn.Module):
    """Blocks over (clip, mel, frame) inputs; gives (clip, pooled frame, channel).

    Pooling has to leave one frequency band. `momentum` is torch's: the weight of the latest batch.
    """

    def __init__(
        self,
        filters: Sequence[int],
        pooling: Sequence[tuple[int, int]],
        *,
        dropout: float = 0.5,
        momentum: float = 0.99,
        gate: Literal["glu", "context"] = "glu",
        identity_gate: bool = False,
        conv: Convolution | None = None,
    ) -> None:
        super().__init__()
        sizes = zip([1, *filters[:-1]], filters, pooling, strict=True)
        self.blocks = nn.Sequential(
            *(
                Block(
                    channels_in,
                    channels,
                    pool,
                    gate=Gate(channels, gate, identity=identity_gate),
                    dropout=dropout,
                    momentum=momentum,
                    conv=conv(place, channels_in, channels) if conv else None,
                )
                for place, (channels_in, channels, pool) in enumerate(sizes)
            )
        )
        channels_last(self)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2).unsqueeze(1).contiguous(memory_format=torch.channels_last)
        return self.blocks(x).squeeze(3).transpose(1, 2)


class Heads(nn.Module):
    """Frame probabilities, and clip probabilities by attention (a softmax over classes)."""

    def __init__(self, features: int, classes: int, *, bias: float | None = None) -> None:
        super().__init__()
        self.frame = Float32Linear(features, classes)
        self.attention = Float32Linear(features, classes)
        if bias is not None:
            nn.init.constant_(self.frame.bias, bias)

    def forward(self, hidden: Tensor, valid: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """`valid` (clip, class): other classes of a clip score 0 and take no attention."""
        frame = self.frame(hidden).sigmoid()
        logits = self.attention(hidden)
        if valid is not None:
            frame = frame.masked_fill(~valid[:, None], 0.0)
            logits = logits.masked_fill(~valid[:, None], -1e30)
        attention = logits.softmax(-1).clamp(1e-7, 1)
        clip = (frame * attention).sum(1) / attention.sum(1)
        return frame, clip, attention


class Projector(nn.Module):
    """Frames as unit vectors, for contrasts between them."""

    def __init__(self, features: int, dimension: int) -> None:
        super().__init__()
        self.linear = Float32Linear(features, dimension)

    def forward(self, hidden: Tensor) -> Tensor:
        return F.normalize(F.leaky_relu(self.linear(hidden), 0.2), dim=-1)


class Crnn(nn.Module):
    """Blocks, recurrent layers in both directions, heads, and a projector where one is wanted.

    The input is a normalised spectrum (clip, mel, frame), as stored.
    """

    def __init__(
        self,
        classes: int,
        *,
        filters: Sequence[int],
        pooling: Sequence[tuple[int, int]],
        hidden: int = 128,
        layers: int = 2,
        dropout: float = 0.5,
        block_dropout: float = 0.5,
        momentum: float = 0.99,
        gate: Literal["glu", "context"] = "glu",
        identity_gate: bool = False,
        bias: float | None = None,
        projection: int | None = None,
        conv: Convolution | None = None,
    ) -> None:
        super().__init__()
        self.cnn = Cnn(
            filters,
            pooling,
            dropout=block_dropout,
            momentum=momentum,
            gate=gate,
            identity_gate=identity_gate,
            conv=conv,
        )
        self.rnn = nn.GRU(filters[-1], hidden, layers, batch_first=True, bidirectional=True)
        self.dropout = Dropout(dropout)
        self.heads = Heads(2 * hidden, classes, bias=bias)
        # Last, so that a network starts from the same weights with and without it.
        self.projector = Projector(2 * hidden, projection) if projection else None

    def forward(self, x: Tensor, *, project: bool = False) -> Detection:
        hidden = self.dropout(self.rnn(self.cnn(x))[0])
        projected = self.projector(hidden) if project and self.projector is not None else None
        frame, clip, attention = self.heads(hidden)
        return Detection(frame, clip, attention, projected)
