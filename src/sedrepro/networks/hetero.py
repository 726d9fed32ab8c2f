"""A CRNN beside a pre-trained transformer, for clips of corpora with different classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .atst import Atst
from .beats import CachedLayers, PartialForward
from .crnn import Cnn, Detection, Heads
from .dropout import Dropout
from .fusion import Fusion

Pooling = Literal["flat", "bands"]
Source = Tensor | PartialForward | CachedLayers


def pooled(tokens: Tensor, frames: int, how: Pooling = "flat", bands: int = 8) -> Tensor:
    """(clip, token, width) → (clip, frame, width).

    `flat` averages over the flat index, as the DCASE 2024 baseline does: a frame sees a few
    consecutive tokens, so a rolling part of the bands. `bands` averages over them first.
    """
    if how == "flat":
        return F.adaptive_avg_pool1d(tokens.mT, frames).mT
    per_step = tokens.unflatten(1, (-1, bands)).mean(2)
    return F.interpolate(per_step.mT, size=frames, mode="linear", align_corners=False).mT


def drop_steps(x: Tensor, *, longest: int, share: float, each: bool) -> Tensor:
    """Silence one stretch of (clip, frame, channel): of the whole batch, or one of `each` clip.

    Its length is drawn below `longest` frames and below this share of them.
    """
    clips, frames = x.shape[0] if each else 1, x.shape[1]
    length = min(longest, int(share * frames)) * torch.rand(clips, 1, device=x.device)
    start = ((frames - length) * torch.rand(clips, 1, device=x.device)).long()
    frame = torch.arange(frames, device=x.device)
    silent = (frame >= start) & (frame < start + length.long())
    return x.masked_fill(silent.unsqueeze(-1), 0.0)


class Merge(nn.Module):
    """The late merge: both branches' frames side by side, projected to the CNN's channels."""

    def __init__(self, channels: int, width: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.linear = nn.Linear(channels + width, channels)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        return self.linear(self.dropout(torch.cat([x, embedding], dim=-1)))


class Hetero(nn.Module):
    """CNN (and stages where tokens join it), late merge, recurrent layers, heads.

    `fusions` maps a CNN block to the transformer's block whose tokens join behind it. `adapters`
    are kept here because they are trained with the rest; whoever walks the transformer reads them.
    """

    def __init__(
        self,
        classes: int,
        width: int,
        *,
        filters: Sequence[int],
        pooling: Sequence[tuple[int, int]],
        frames: int,
        hidden: int = 192,
        layers: int = 2,
        dropout: float = 0.2,
        block_dropout: float = 0.2,
        merge_dropout: float = 0.2,
        momentum: float = 0.99,
        gate: Literal["glu", "context"] = "glu",
        identity_gate: bool = False,
        bias: float | None = None,
        drop_longest: int = 16,
        drop_share: float = 0.3,
        drop_each: bool = False,
        token_pooling: Pooling = "flat",
        depth: int = 12,
        bands: int = 8,
        stages: dict[int, int] | None = None,
        fusions: Sequence[Fusion] = (),
        adapters: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        self.cnn = Cnn(
            filters,
            pooling,
            dropout=block_dropout,
            momentum=momentum,
            gate=gate,
            identity_gate=identity_gate,
        )
        self.merge = Merge(filters[-1], width, merge_dropout)
        self.rnn = nn.GRU(filters[-1], hidden, layers, batch_first=True, bidirectional=True)
        self.dropout = Dropout(dropout)
        self.heads = Heads(2 * hidden, classes, bias=bias)
        self.stages = stages or {}
        self.fusions = nn.ModuleList(fusions)
        self.adapters = nn.ModuleList(adapters) if adapters else None
        self.frames = frames
        self.token_pooling = token_pooling
        self.bands = bands
        self.depth = depth
        self.transformer: Atst | None = None  # one that is trained, where there is one
        self.drop: dict[str, Any] = {
            "longest": drop_longest,
            "share": drop_share,
            "each": drop_each,
        }

    def maps(self, mel: Tensor, source: Source) -> Iterator[Tensor]:
        """The CNN's maps (clip, channel, frame, band) after each block and what joins there."""
        fusions = iter(self.fusions)
        x = mel.mT.unsqueeze(1).contiguous(memory_format=torch.channels_last)
        for index, block in enumerate(self.cnn.blocks):
            x = block(x)
            if index in self.stages and not isinstance(source, Tensor):
                fusion = next(fusions)
                x, tokens = fusion(x, source.to(self.stages[index]))
                if fusion.back is not None:
                    source.tokens = tokens
            yield x

    def forward(self, mel: Tensor, source: Source, valid: Tensor | None = None) -> Detection:
        """`mel` (clip, mel, frame) as the CNN reads it; `source` is the transformer's walk, or its
        pooled tokens (clip, frame, width); `valid` (clip, class) tells the classes of each clip's
        corpus: others score 0 and have no part in the attention."""
        for x in self.maps(mel, source):  # noqa: B007 (the last one counts)
            pass
        x = x.squeeze(3).mT
        if not isinstance(source, Tensor):
            source = pooled(source.to(self.depth), self.frames, self.token_pooling, self.bands)
        if self.training and self.drop["longest"]:
            x, source = drop_steps(x, **self.drop), drop_steps(source, **self.drop)
        hidden = self.dropout(self.rnn(self.merge(x, source))[0])
        return Detection(*self.heads(hidden, valid))
