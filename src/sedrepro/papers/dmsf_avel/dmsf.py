"""The DMSF-style reconstruction: AGVA, SNS per modality, CIC, two branches that teach each other.

No code and no text of the paper could be read; what the README fixes is kept, the rest is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...networks.audiovisual import Adapter
from ...networks.crossmodal import Cic, Options, Recurrent, Sns
from ...networks.precision import Float32Linear
from ...objectives.mutual import mutual
from ..contract import Term
from .localiser import Found, Localiser, Sizes, Target, cross_entropy
from .settings import Settings


class Dmsf(Localiser):
    """`logits` of the branch after fusion, `before` of the one before it."""

    def __init__(self, sizes: Sizes, settings: Settings) -> None:
        super().__init__(sizes, settings)
        net, d = settings.network, settings.network.width
        adapted = net.adapter
        self.visual_adapter = Adapter(sizes.visual, net.adapter_ratio) if adapted else nn.Identity()
        self.audio_adapter = Adapter(sizes.audio, net.adapter_ratio) if adapted else nn.Identity()
        if net.agva != "mean":
            self.agva = self.guided_attention(sizes.audio)
        self.visual_in: nn.Module = nn.Sequential(nn.Linear(sizes.visual, d), nn.LayerNorm(d))
        if sizes.visual == d:
            self.visual_in = nn.Identity()
        self.audio_in = nn.Sequential(nn.Linear(sizes.audio, d), nn.LayerNorm(d))
        options = Options(net.heads, net.dropout, net.ffn)
        self.visual_time = self._along_time(d, options)
        self.audio_time = self._along_time(d, options)
        self.cic = Cic(d, options) if net.cic else None
        heads = (Float32Linear(d, sizes.classes) for _ in range(4))
        self.visual_head, self.audio_head, self.visual_before, self.audio_before = heads

    def _along_time(self, d: int, options: Options) -> nn.Module:
        net = self.net
        if net.temporal == "bilstm":
            return Recurrent(d)
        return Sns(
            d,
            options,
            recurrent=net.recurrent if net.mamba else None,
            state=net.state,
            bidirectional=net.bidirectional,
            gate=net.gate,
        )

    def forward(self, visual: Tensor, audio: Tensor) -> Found:
        visual, audio = self.visual_adapter(visual), self.audio_adapter(audio)
        if self.net.agva == "mean":
            seen, weights = visual.mean(2), None
        else:
            seen, weights = self.agva(visual, audio)
        v, a = self.visual_time(self.visual_in(seen)), self.audio_time(self.audio_in(audio))
        before = (self.visual_before(v) + self.audio_before(a)) / 2
        if self.cic is not None:
            v, a = self.cic(v, a)
        found = {"logits": (self.visual_head(v) + self.audio_head(a)) / 2, "before": before}
        return found if weights is None else {**found, "attention": weights}

    def losses(self, found: Found, target: Target) -> dict[str, Term]:
        weights, pool = self.settings.losses, self.settings.weak_pool
        after, before = found["logits"], found["before"]
        terms = {"class": Term(1, cross_entropy(after, target, pool))}
        if weights.pre_fusion:
            terms["before"] = Term(weights.pre_fusion, cross_entropy(before, target, pool))
        if weights.mutual:
            learned = mutual(after, before, weights.temperature)
            terms["mutual"] = Term(weights.mutual * target.ramp, learned)
        return terms

    def probabilities(self, found: Found) -> Tensor:
        after = torch.softmax(found["logits"], -1)
        if not self.settings.ensemble:
            return after
        return (after + torch.softmax(found["before"], -1)) / 2
