"""Small trained modules inside the blocks of a frozen transformer; all start as if not there.

MTDA-HSED's M3A and the adapters it is compared with. What is added to the tokens begins at zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dropout import Dropout


class Adapter(nn.Module):
    """Sees four values of a block on their way, and hands each on; this one leaves them alone.

    All are (clip, token, width): the attention's and the feed-forward's outputs before they join
    the residual sum, and the sums behind their norms.
    """

    def attention(self, found: Tensor) -> Tensor:
        return found

    def attended(self, x: Tensor) -> Tensor:
        return x

    def feed_forward(self, found: Tensor, u: Tensor) -> Tensor:
        """`u` is what the feed-forward layer read."""
        return found

    def output(self, x: Tensor) -> Tensor:
        return x


def _up(inner: int, width: int) -> nn.Linear:
    """A projection back to the tokens that starts at zero."""
    layer = nn.Linear(inner, width)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class LongTerm(nn.Module):
    """An inverted bottleneck: wide, rectified."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, inner)
        self.up = _up(inner, width)

    def forward(self, u: Tensor) -> Tensor:
        return self.up(F.relu(self.down(u)))


Competitors = Literal["tokens", "channels"]


class ShortTerm(nn.Module):
    """A bottleneck in which tokens compete for each channel, or channels in each token.

    The shares of the softmax are scaled to a mean of 1. As they are they lie near 1 / competitors,
    and the branch would hardly tell one token from another.
    """

    def __init__(self, width: int, inner: int, competitors: Competitors = "tokens") -> None:
        super().__init__()
        self.down = nn.Linear(width, inner)
        self.up = _up(inner, width)
        self.axis = -2 if competitors == "tokens" else -1

    def forward(self, u: Tensor) -> Tensor:
        found = self.down(u)
        return self.up(found.softmax(self.axis) * found.shape[self.axis])


class M3a(Adapter):
    """The mutual-assistance audio adapter: long- and short-term branches beside the feed-forward.

    Parallel branches read what the feed-forward layer reads, sequential ones what it found. One
    learned scalar weighs each branch; an inner width of 0 leaves a branch out.
    """

    def __init__(
        self,
        width: int,
        long: int,
        short: int,
        *,
        competitors: Competitors = "tokens",
        scale: float = 1.0,
        parallel: bool = True,
    ) -> None:
        super().__init__()
        self.scale = scale
        self.parallel = parallel
        self.long = LongTerm(width, long) if long else None
        self.short = ShortTerm(width, short, competitors) if short else None
        self.gain = nn.Parameter(torch.ones(bool(long) + bool(short)))

    def feed_forward(self, found: Tensor, u: Tensor) -> Tensor:
        branches = [branch for branch in (self.long, self.short) if branch is not None]
        read = u if self.parallel else found
        added = sum(gain * branch(read) for gain, branch in zip(self.gain, branches, strict=True))
        return found + self.scale * added


class Houlsby(Adapter):
    """A bottleneck on each sub-layer's output, before the residual sum."""

    def __init__(self, width: int, inner: int, dropout: float = 0.1) -> None:
        super().__init__()

        def bottleneck() -> nn.Sequential:
            return nn.Sequential(
                nn.Linear(width, inner), nn.GELU(), Dropout(dropout), _up(inner, width)
            )

        self.first = bottleneck()
        self.second = bottleneck()

    def attention(self, found: Tensor) -> Tensor:
        return found + self.first(found)

    def feed_forward(self, found: Tensor, u: Tensor) -> Tensor:
        return found + self.second(found)


def _as_map(x: Tensor, bands: int) -> Tensor:
    """(clip, token, channel) → (clip, channel, time, band)."""
    return x.mT.unflatten(-1, (-1, bands))


class Cognitive(nn.Module):
    """MONA's convolutional bottleneck over the map of tokens."""

    def __init__(self, width: int, inner: int, bands: int, dropout: float) -> None:
        super().__init__()
        self.bands = bands
        self.norm = nn.LayerNorm(width)
        self.gamma = nn.Parameter(torch.full((width,), 1e-6))
        self.gamma_x = nn.Parameter(torch.ones(width))
        self.down = nn.Linear(width, inner)
        self.depthwise = nn.ModuleList(
            nn.Conv2d(inner, inner, kernel, padding=kernel // 2, groups=inner)
            for kernel in (3, 5, 7)
        )
        self.pointwise = nn.Conv2d(inner, inner, 1)
        self.dropout = Dropout(dropout)
        self.up = _up(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        scaled = self.norm(x) * self.gamma + x * self.gamma_x
        down = _as_map(self.down(scaled), self.bands)
        wide = sum(conv(down) for conv in self.depthwise) / len(self.depthwise) + down
        mixed = (wide + self.pointwise(wide)).flatten(2).mT
        return x + self.up(self.dropout(F.gelu(mixed)))


class DualAttention(nn.Module):
    """ACT-NET's adapter, reconstructed: channel and spatial attention over the map of tokens."""

    def __init__(self, width: int, inner: int, bands: int) -> None:
        super().__init__()
        self.bands = bands
        self.down = nn.Linear(width, inner)
        squeezed = max(1, inner // 4)
        self.channel = nn.Sequential(
            nn.Linear(inner, squeezed), nn.ReLU(), nn.Linear(squeezed, inner)
        )
        self.spatial = nn.Conv2d(2, 1, 7, padding=3)
        self.up = _up(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        down = _as_map(self.down(x), self.bands)
        channel = self.channel(down.mean((2, 3))).sigmoid()[:, :, None, None]
        profile = torch.cat([down.mean(1, keepdim=True), down.amax(1, keepdim=True)], dim=1)
        attended = down * channel * self.spatial(profile).sigmoid() + down
        return x + self.up(attended.flatten(2).mT)


class Behind(Adapter):
    """A module of its own behind each norm: MONA and ACT-NET."""

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.first = make()
        self.second = make()

    def attended(self, x: Tensor) -> Tensor:
        return self.first(x)

    def output(self, x: Tensor) -> Tensor:
        return self.second(x)


def build(
    kind: Literal["m3a", "mona", "houlsby", "act_net"],
    width: int,
    *,
    bands: int = 8,
    inner: int = 64,
    long: int = 1536,
    short: int = 192,
    competitors: Competitors = "tokens",
    scale: float = 1.0,
    parallel: bool = True,
    dropout: float = 0.1,
) -> Adapter:
    """One block's adapter."""
    if kind == "m3a":
        return M3a(width, long, short, competitors=competitors, scale=scale, parallel=parallel)
    if kind == "houlsby":
        return Houlsby(width, inner, dropout)
    if kind == "mona":
        return Behind(lambda: Cognitive(width, inner, bands, dropout))
    return Behind(lambda: DualAttention(width, inner, bands))
