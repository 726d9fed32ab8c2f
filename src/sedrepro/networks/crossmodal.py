"""Layers of the DMSF-style network: along the seconds (SNS), and between the modalities (CIC).

They are our reconstruction: no code and no text of the paper could be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from .dropout import Dropout
from .selective import Mamba


@dataclass(frozen=True)
class Options:
    """What all layers here share."""

    heads: int
    dropout: float
    ffn: bool

    def attention(self, d: int) -> nn.MultiheadAttention:
        return nn.MultiheadAttention(d, self.heads, dropout=self.dropout, batch_first=True)


class FeedForward(nn.Module):
    """LN(x + FFN(x)), or LN(x) alone; `before` normalises what enters the layers too."""

    def __init__(self, d: int, options: Options, *, before: bool) -> None:
        super().__init__()
        self.enter = nn.LayerNorm(d) if before else nn.Identity()
        self.layers = None
        if options.ffn:
            self.layers = nn.Sequential(
                nn.Linear(d, 2 * d), nn.GELU(), Dropout(options.dropout), nn.Linear(2 * d, d)
            )
        self.leave = nn.LayerNorm(d)

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(x if self.layers is None else x + self.layers(self.enter(x)))


class Sns(nn.Module):
    """State space or BiLSTM, then self-attention behind a gate that looks at both.

    (clip, second, d).
    """

    def __init__(
        self,
        d: int,
        options: Options,
        *,
        recurrent: Literal["mamba", "bilstm"] | None,
        state: int,
        bidirectional: bool,
        gate: bool,
    ) -> None:
        super().__init__()
        self.dropout = Dropout(options.dropout)
        if recurrent is not None:
            self.norm = nn.LayerNorm(d)
            state_space = recurrent == "mamba"
            self.recurrent = Mamba(d, state=state) if state_space else Recurrent(d)
            two = state_space and bidirectional
            self.backwards = Mamba(d, state=state) if two else None
        if gate:
            self.attention_norm = nn.LayerNorm(d)
            self.attention = options.attention(d)
            self.gate = nn.Linear(2 * d, d)
            nn.init.zeros_(self.gate.bias)
        self.has_recurrent = recurrent is not None
        self.has_gate = gate
        self.out = FeedForward(d, options, before=True)

    def forward(self, x: Tensor) -> Tensor:
        if self.has_recurrent:
            y = self.norm(x)
            moved = self.recurrent(y)
            if self.backwards is not None:
                moved = moved + self.backwards(y.flip(1)).flip(1)
            x = x + self.dropout(moved)
        if self.has_gate:
            y = self.attention_norm(x)
            attended = self.attention(y, y, y, need_weights=False)[0]
            x = x + torch.sigmoid(self.gate(torch.cat([x, attended], -1))) * attended
        return self.out(x)


class Recurrent(nn.Module):
    """A BiLSTM, in the place of SNS or of its state space."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(d, d // 2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(x)[0]


class Cic(nn.Module):
    """Dual cross-attention, filtered and fused; what is fused guides both modalities."""

    def __init__(self, d: int, options: Options) -> None:
        super().__init__()
        self.see = options.attention(d)
        self.hear = options.attention(d)
        self.filter = nn.Linear(2 * d, d)
        self.fuse = nn.Linear(2 * d, d)
        self.guide_visual = nn.Linear(d, d)
        self.guide_audio = nn.Linear(d, d)
        self.visual_norm = nn.LayerNorm(d)
        self.audio_norm = nn.LayerNorm(d)
        self.visual_out, self.audio_out = (FeedForward(d, options, before=False) for _ in range(2))
        self.dropout = Dropout(options.dropout)

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.see(visual, audio, audio, need_weights=False)[0]
        heard = self.hear(audio, visual, visual, need_weights=False)[0]
        both = torch.cat([seen, heard], -1)
        fused = torch.sigmoid(self.filter(both)) * torch.tanh(self.fuse(both))
        visual = self.visual_norm(visual + self.dropout(self.guide_visual(fused * seen)))
        audio = self.audio_norm(audio + self.dropout(self.guide_audio(fused * heard)))
        return self.visual_out(visual), self.audio_out(audio)
