"""The parts of CMRAN (Xu et al. 2020): attention between modalities, over channels and places."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .dropout import Dropout

D = 256
"""Values of a vector."""
HEADS = 4
INNER = 2048
"""Values between the two layers of a feed-forward part."""
DROPOUT = 0.1
MAP_DROPOUT = 0.2


def attention(heads: int = HEADS) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(D, heads, dropout=DROPOUT, batch_first=True)


class Residual(nn.Module):
    """LN(x + dropout(attention)), then LN(x + dropout(FFN)); keys and values are given."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = attention()
        self.norm = nn.LayerNorm(D)
        self.layers = nn.Sequential(
            nn.Linear(D, INNER), nn.ReLU(), Dropout(DROPOUT), nn.Linear(INNER, D)
        )
        self.leave = nn.LayerNorm(D)
        self.dropout = Dropout(DROPOUT)

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        found = self.attention(x, memory, memory, need_weights=False)[0]
        x = self.norm(x + self.dropout(found))
        return self.leave(x + self.dropout(self.layers(x)))


class Encoder(nn.Module):
    """Self-attention over the seconds of one modality."""

    def __init__(self, size: int, layers: int) -> None:
        super().__init__()
        self.enter = nn.Linear(size, D)
        self.layers = nn.ModuleList(Residual() for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        for layer in self.layers:
            x = layer(x, x)
        return x


class Decoder(nn.Module):
    """Attention to the other modality and to its own, side by side."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.enter = nn.Linear(size, D)
        self.layer = Residual()

    def forward(self, x: Tensor, memory: Tensor) -> Tensor:
        x = self.enter(x)
        return self.layer(x, torch.cat([memory, x], 1))


class PlaceAttention(nn.Module):
    """Audio-guided attention over channels and places of the map."""

    def __init__(self, visual: int, audio: int, channel_attention: bool) -> None:
        super().__init__()
        self.enter = nn.Linear(visual, visual)
        self.channel_attention = channel_attention
        if channel_attention:
            self.channel_audio = nn.Linear(audio, visual)
            self.channel_visual = nn.Linear(visual, visual)
            self.squeeze = nn.Linear(visual, D)
            self.excite = nn.Linear(D, visual)
        self.place_visual = nn.Linear(visual, D)
        self.place_audio = nn.Linear(audio, D)
        self.score = nn.Linear(D, 1)
        self.dropout = Dropout(MAP_DROPOUT)

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        x = self.dropout(F.relu(self.enter(visual)))
        if self.channel_attention:
            seen = F.relu(self.channel_visual(x)).mean(-2)
            channels = F.relu(self.channel_audio(audio)) * seen
            factor = torch.sigmoid(self.excite(F.relu(self.squeeze(channels))))
            x = x * (1 + factor[..., None, :])
        both = F.relu(self.place_visual(x)) * F.relu(self.place_audio(audio))[..., None, :]
        weights = torch.softmax(torch.tanh(self.score(both)).squeeze(-1), -1)
        return torch.einsum("...n,...nc->...c", weights, x), weights
