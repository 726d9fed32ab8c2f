"""The networks of Tian et al. (2018): one or two modalities, with and without attention; DMRN."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...networks.precision import Float32Linear
from ..contract import Term
from .localiser import Found, Localiser, Sizes, Target, xavier
from .settings import Settings


def recurrent(size: int, units: int) -> nn.LSTM:
    return nn.LSTM(size, units, batch_first=True, bidirectional=True)


class Recurrents(Localiser):
    """Attention over places and a BiLSTM per modality: what AVEL and DMRN have in common."""

    def __init__(self, sizes: Sizes, settings: Settings) -> None:
        super().__init__(sizes, settings)
        net = settings.network
        self.hears = "a" in net.modalities
        self.sees = "v" in net.modalities
        if self.sees and net.agva != "mean":
            self.agva = self.guided_attention(sizes.audio)
        if self.sees:
            self.visual_lstm = recurrent(sizes.visual, net.lstm)
        if self.hears:
            self.audio_lstm = recurrent(sizes.audio, net.lstm)

    def streams(self, visual: Tensor, audio: Tensor) -> tuple[list[Tensor], Found]:
        """What is heard and seen, each (clip, second, 2 × units), in this order."""
        streams, found = [], {}
        if self.hears:
            streams.append(self.audio_lstm(audio)[0])
        if self.sees:
            seen = visual.mean(2)
            if self.net.agva != "mean":
                seen, found["attention"] = self.agva(visual, audio)
            streams.append(self.visual_lstm(seen)[0])
        return streams, found

    def losses(self, found: Found, target: Target) -> dict[str, Term]:
        """As released: a soft margin on what was already squashed, over segments or videos."""
        if target.segments is not None:
            scores, labels = found["logits"].flatten(0, 1), target.segments.flatten(0, 1)
        else:
            scores, labels = found["logits"].amax(1), target.video
        return {"class": Term(1, F.multilabel_soft_margin_loss(torch.softmax(scores, -1), labels))}


class Avel(Recurrents):
    """A, V, V-att, A+V and A+V-att."""

    def __init__(self, sizes: Sizes, settings: Settings) -> None:
        super().__init__(sizes, settings)
        width = 2 * settings.network.lstm * (self.hears + self.sees)
        self.hidden = nn.Linear(width, 64)
        self.out = Float32Linear(64, sizes.classes)
        xavier(self.hidden, self.out)

    def forward(self, visual: Tensor, audio: Tensor) -> Found:
        streams, found = self.streams(visual, audio)
        hidden = F.relu(self.hidden(F.relu(torch.cat(streams, -1))))
        return {"logits": self.out(hidden), **found}


class Dmrn(Recurrents):
    """Each modality moved by the mean of both."""

    def __init__(self, sizes: Sizes, settings: Settings) -> None:
        super().__init__(sizes, settings)
        d = 2 * settings.network.lstm
        self.move_visual, self.move_audio = (
            nn.Sequential(nn.Linear(d, d), nn.Tanh(), nn.Linear(d, d)) for _ in range(2)
        )
        self.out = Float32Linear(d, sizes.classes)
        xavier(self.out)

    def forward(self, visual: Tensor, audio: Tensor) -> Found:
        (a, v), found = self.streams(visual, audio)
        both = (self.move_visual(v) + self.move_audio(a)) / 2
        fused = (torch.tanh(v + both) + torch.tanh(a + both)) / 2
        return {"logits": self.out(fused), **found}


class Probe(Localiser):
    """One linear layer on the pooled features of a second."""

    def __init__(self, sizes: Sizes, settings: Settings) -> None:
        super().__init__(sizes, settings)
        self.out = Float32Linear(sizes.visual + sizes.audio, sizes.classes)

    def forward(self, visual: Tensor, audio: Tensor) -> Found:
        return {"logits": self.out(torch.cat([visual.mean(2), audio], -1))}
