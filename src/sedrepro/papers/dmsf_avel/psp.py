"""PSP (Zhou et al. 2021): positive pairs of seconds propagate between the modalities."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...networks.dropout import Dropout
from ...networks.precision import Float32Linear
from ...objectives.mutual import pair_similarity
from ..contract import Term
from .baselines import recurrent
from .localiser import Found, Localiser, Sizes, Target, cross_entropy, xavier
from .settings import Settings

DROPOUT = 0.1
INNER = 128  # of the features that enter the recurrent layers


def shares(similarity: Tensor) -> Tensor:
    """Each row divided by its sum; a row of zeros stays."""
    return similarity / (similarity.sum(-1, keepdim=True) + 1e-8)


def pruned(similarity: Tensor, threshold: float) -> Tensor:
    """Rows as shares, without those up to the threshold."""
    share = shares(similarity)
    return share * (share > threshold)


def narrowed(size: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(size, 256, bias=False), nn.Linear(256, INNER, bias=False))


class Psp(Localiser):
    """The released networks of both settings; the weak one is smaller and gated."""

    def __init__(self, sizes: Sizes, settings: Settings) -> None:
        super().__init__(sizes, settings)
        net, weak = settings.network, settings.supervision == "weak"
        self.weak = weak
        d = 2 * net.lstm
        heard = sizes.audio if weak else INNER
        self.audio_in = nn.Identity() if weak else narrowed(sizes.audio)
        self.visual_in = nn.Linear(sizes.visual, INNER) if weak else narrowed(sizes.visual)
        self.agva = self.guided_attention(heard)
        self.visual_lstm = recurrent(INNER, net.lstm)
        self.audio_lstm = recurrent(heard, net.lstm)
        names = ["visual_1", "visual_2", "audio_1", "audio_2"]
        names += [] if weak else ["visual_out", "audio_out"]
        self.maps = nn.ModuleDict({name: nn.Linear(d, d, bias=False) for name in names})
        self.norm = nn.LayerNorm(d, eps=1e-6)
        self.hidden = nn.Linear(d, 64, bias=False)
        self.out = Float32Linear(64, sizes.classes, bias=False)
        self.gate = Float32Linear(sizes.classes, 1, bias=False) if weak else None
        self.dropout = Dropout(DROPOUT)
        xavier(*self.maps.values(), self.hidden, self.out)

    def _map(self, name: str, x: Tensor) -> Tensor:
        return self.dropout(F.relu(self.maps[name](x)))

    def _pairs(self, similarity: Tensor) -> Tensor:
        kept = pruned(similarity, self.net.threshold)
        return kept if self.weak else shares(kept)

    def forward(self, visual: Tensor, audio: Tensor) -> Found:
        audio = self.audio_in(audio)
        seen, weights = self.agva(visual, audio)
        v, a = self.visual_lstm(self.visual_in(seen))[0], self.audio_lstm(audio)[0]
        v1, v2 = self._map("visual_1", v), self._map("visual_2", v)
        a1, a2 = self._map("audio_1", a), self._map("audio_2", a)
        similarity = F.relu(v2 @ a1.mT / v.shape[-1] ** 0.5)
        v = v + self._pairs(similarity) @ a2
        a = a + self._pairs(similarity.mT) @ v1
        if not self.weak:
            v, a = self._map("visual_out", v), self._map("audio_out", a)
        v, a = self.norm(v), self.norm(a)
        logits = self.out(F.relu(self.hidden((v + a) / 2)))
        if self.gate is not None:
            logits = logits * torch.sigmoid(F.relu(self.gate(logits)))
        cosine = F.cosine_similarity(v, a, dim=-1)
        return {"logits": logits, "attention": weights, "cosine": cosine}

    def losses(self, found: Found, target: Target) -> dict[str, Term]:
        if target.segments is None:
            score = torch.softmax(found["logits"].mean(1), -1)
            return {"class": Term(1, F.binary_cross_entropy(score, target.video))}
        similar = pair_similarity(found["cosine"], target.events)
        return {
            "class": Term(1, cross_entropy(found["logits"], target)),
            "similarity": Term(self.settings.losses.similarity, similar),
        }
