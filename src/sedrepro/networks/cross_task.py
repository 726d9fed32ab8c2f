"""The two-branch network of cross-task training: sound events, and how many sound at once."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .crnn import Block, Detection, Gate, Heads, channels_last
from .dropout import Dropout
from .precision import Float32Linear


class SubSpectralNorm(nn.Module):
    """Batch norm with its own statistics and scale per channel and band of frequencies.

    (clip, channel, frame, frequency) → the same shape; the frequencies are cut in equal bands.
    """

    def __init__(self, channels: int, bands: int, momentum: float) -> None:
        super().__init__()
        self.bands = bands
        self.norm = nn.BatchNorm2d(channels * bands, eps=1e-3, momentum=momentum)

    def forward(self, x: Tensor) -> Tensor:
        # Channels last all the way, gradients too: batch norm is slow on anything else.
        split = x.permute(0, 2, 3, 1).unflatten(2, (self.bands, -1)).transpose(2, 3)
        normed = self.norm(split.flatten(3).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        joined = normed.unflatten(3, (self.bands, -1)).transpose(2, 3).flatten(2, 3)
        return joined.permute(0, 3, 1, 2)


class Aggregate(nn.Sequential):
    """Fused features for one branch: norm, 1×1 convolution, norm, dropout."""

    def __init__(self, channels_in: int, channels: int, dropout: float, momentum: float) -> None:
        super().__init__(
            nn.BatchNorm2d(channels_in, eps=1e-3, momentum=momentum),
            nn.ReLU(),
            nn.Conv2d(channels_in, channels, 1),
            nn.BatchNorm2d(channels, eps=1e-3, momentum=momentum),
            nn.ReLU(),
            Dropout(dropout),
        )


class CrossTask(nn.Module):
    """Shared blocks, then a branch for events and, with `states`, one for the activity.

    The input is a normalised spectrum (clip, mel, frame). `filters` are the shared blocks', of
    which the middle two are fused into both branches; `pooling` is theirs and then that of the
    event branch's blocks. `bands` 1 is plain batch norm.
    """

    def __init__(
        self,
        classes: int,
        *,
        filters: Sequence[int],
        pooling: Sequence[tuple[int, int]],
        states: int | None = 3,
        bands: int = 4,
        hidden: int = 128,
        layers: int = 2,
        dropout: float = 0.5,
        block_dropout: float = 0.2,
        momentum: float = 0.99,
        identity_gate: bool = False,
        bias: float | None = None,
    ) -> None:
        super().__init__()
        last, fused = filters[-1], filters[-3] + filters[-2]

        def block(channels_in: int, channels: int, pool: tuple[int, int], split: bool) -> Block:
            gate = Gate(channels, "context", identity=identity_gate)
            norm = SubSpectralNorm(channels, bands, momentum) if split and bands > 1 else None
            return Block(
                channels_in,
                channels,
                pool,
                gate=gate,
                dropout=block_dropout,
                momentum=momentum,
                norm=norm,
            )

        sizes = list(zip([1, *filters[:-1]], filters, pooling, strict=False))
        *split, last_one = sizes
        self.shared = nn.ModuleList([*(block(*s, True) for s in split), block(*last_one, False)])
        self.events = nn.Sequential(
            *(block(last, last, pool, False) for pool in pooling[len(filters) :])
        )
        # The features after the third and the fourth block, pooled to where the fifth one ends.
        self.reach = [
            (prod(time for time, _ in rest), prod(frequency for _, frequency in rest))
            for rest in (pooling[3:5], pooling[4:5])
        ]
        self.event_features = Aggregate(fused, last, block_dropout, momentum)
        self.event_scale = nn.Parameter(torch.ones(()))
        self.rnn = nn.GRU(last, hidden, layers, batch_first=True, bidirectional=True)
        self.dropout = Dropout(dropout)
        self.heads = Heads(2 * hidden, classes, bias=bias)
        # Last, so that a network starts from the same weights with and without it.
        self.activity = (
            ActivityBranch(fused, last, states, hidden, layers, dropout, block_dropout, momentum)
            if states
            else None
        )
        channels_last(self)

    def forward(self, x: Tensor) -> Detection:
        x = x.transpose(1, 2).unsqueeze(1).contiguous(memory_format=torch.channels_last)
        found = []
        for block in self.shared:
            found.append(x := block(x))
        third, fourth = (
            F.avg_pool2d(f, reach) for f, reach in zip(found[-3:-1], self.reach, strict=True)
        )
        fused = torch.cat([fourth, third], dim=1)
        events = self.events(self.event_scale * self.event_features(fused) + x)
        hidden = self.dropout(self.rnn(events.squeeze(3).transpose(1, 2))[0])
        activity = self.activity(fused, x) if self.activity is not None else None
        frame, clip, attention = self.heads(hidden)
        return Detection(frame, clip, attention, activity=activity)


class ActivityBranch(nn.Module):
    """Features fused for the activity, averaged over frequency, as logits (clip, frame, state)."""

    def __init__(
        self,
        fused: int,
        channels: int,
        states: int,
        hidden: int,
        layers: int,
        dropout: float,
        block_dropout: float,
        momentum: float,
    ) -> None:
        super().__init__()
        self.features = Aggregate(fused, channels, block_dropout, momentum)
        self.scale = nn.Parameter(torch.ones(()))
        self.rnn = nn.GRU(channels, hidden, layers, batch_first=True, bidirectional=True)
        self.dropout = Dropout(dropout)
        self.head = Float32Linear(2 * hidden, states)

    def forward(self, fused: Tensor, shared: Tensor) -> Tensor:
        features = (self.scale * self.features(fused) + shared).mean(3).transpose(1, 2)
        return self.head(self.dropout(self.rnn(features)[0]))
