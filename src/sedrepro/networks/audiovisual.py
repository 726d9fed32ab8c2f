"""What audio-visual localisers share: guided attention, adapters, encoders trained along."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Agva(nn.Module):
    """Audio-guided visual attention: (…, place, channel) and (…, audio) → (…, channel).

    `hidden` adds the audio term along the hidden units, the same at every place. `repo` is the
    released code, which adds its i-th entry to every unit of place i; it needs `size` = places.
    """

    def __init__(
        self,
        channels: int,
        audio: int,
        *,
        hidden: int = 512,
        size: int = 49,
        variant: Literal["repo", "hidden"] = "hidden",
    ) -> None:
        super().__init__()
        self.variant = variant
        self.visual = nn.Linear(channels, hidden)
        self.audio = nn.Linear(audio, hidden)
        self.place = nn.Linear(hidden, size, bias=False)
        self.guide = nn.Linear(hidden, size, bias=False)
        self.score = nn.Linear(size, 1, bias=False)
        for layer in (self.visual, self.audio, self.place, self.guide, self.score):
            nn.init.xavier_uniform_(layer.weight)

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        """The attended features and the attention (…, place)."""
        energy = self.place(F.relu(self.visual(visual)))
        guide = self.guide(F.relu(self.audio(audio)))
        offset = guide[..., :, None] if self.variant == "repo" else guide[..., None, :]
        weights = torch.softmax(self.score(torch.tanh(energy + offset)).squeeze(-1), -1)
        return torch.einsum("...n,...nc->...c", weights, visual), weights


class Adapter(nn.Module):
    """A residual bottleneck behind a frozen encoder; at first it changes nothing."""

    def __init__(self, d: int, ratio: int = 4) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d)
        self.down = nn.Linear(d, max(1, d // ratio))
        self.up = nn.Linear(max(1, d // ratio), d)
        self.scale = nn.Parameter(torch.ones(()))
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.up(F.gelu(self.down(self.norm(x))))


def _block(inputs: int, outputs: int) -> list[nn.Module]:
    return [
        nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


class Pictures(nn.Module):
    """uint8 pictures (clip, second, 3, side, side) → maps (clip, second, place, channel).

    Three strides of two: a place is 8 × 8 pixels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = max(1, channels // 2)
        self.layers = nn.Sequential(
            *_block(3, half), *_block(half, channels), *_block(channels, channels)
        )

    def forward(self, pictures: Tensor) -> Tensor:
        x = self.layers(pictures.flatten(0, 1) / 127.5 - 1)
        return x.flatten(2).mT.unflatten(0, pictures.shape[:2]).contiguous()


class Sounds(nn.Module):
    """Log-mel seconds (clip, second, mel, frame) → vectors (clip, second, channel).

    The bands are the channels of convolutions over time: pitch matters, the moment does not.
    """

    def __init__(self, mels: int, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.BatchNorm1d(mels),
            nn.Conv1d(mels, channels, 3, 2, 1, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Conv1d(channels, channels, 3, 2, 1, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
        )

    def forward(self, logmel: Tensor) -> Tensor:
        x = self.layers(logmel.flatten(0, 1))
        return (x.mean(-1) + x.amax(-1)).unflatten(0, logmel.shape[:2])
