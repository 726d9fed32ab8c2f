"""The DMSF-style reconstruction: AGVA, SNS per modality, CIC, two branches that teach each other.

No code and no text of the paper could be read; what the README fixes is kept, the rest is ours.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...networks.audiovisual import Adapter
from ...networks.dropout import Dropout
from ...networks.precision import Float32Linear
from ...networks.selective import Mamba
from ...objectives.mutual import mutual
from ..contract import Term
from .localiser import Found, Localiser, Sizes, Target, cross_entropy
from .settings import Network, Settings


def attention(d: int, net: Network) -> nn.MultiheadAttention:
    return nn.MultiheadAttention(d, net.heads, dropout=net.dropout, batch_first=True)


class FeedForward(nn.Module):
    """LN(x + FFN(x)), or LN(x) alone; `before` normalises what enters the layers too."""

    def __init__(self, d: int, net: Network, *, before: bool) -> None:
        super().__init__()
        self.enter = nn.LayerNorm(d) if before else nn.Identity()
        self.layers = None
        if net.ffn:
            self.layers = nn.Sequential(
                nn.Linear(d, 2 * d), nn.GELU(), Dropout(net.dropout), nn.Linear(2 * d, d)
            )
        self.leave = nn.LayerNorm(d)

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(x if self.layers is None else x + self.layers(self.enter(x)))


class Sns(nn.Module):
    """State space or BiLSTM, then self-attention behind a gate that looks at both.

    (clip, second, d).
    """

    def __init__(self, d: int, net: Network) -> None:
        super().__init__()
        self.dropout = Dropout(net.dropout)
        if net.mamba:
            self.norm = nn.LayerNorm(d)
            state_space = net.recurrent == "mamba"
            self.recurrent = Mamba(d, state=net.state) if state_space else Recurrent(d)
            two = state_space and net.bidirectional
            self.backwards = Mamba(d, state=net.state) if two else None
        if net.gate:
            self.attention_norm = nn.LayerNorm(d)
            self.attention = attention(d, net)
            self.gate = nn.Linear(2 * d, d)
            nn.init.zeros_(self.gate.bias)
        self.has_recurrent = net.mamba
        self.has_gate = net.gate
        self.out = FeedForward(d, net, before=True)

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

    def __init__(self, d: int, net: Network) -> None:
        super().__init__()
        self.see = attention(d, net)
        self.hear = attention(d, net)
        self.filter = nn.Linear(2 * d, d)
        self.fuse = nn.Linear(2 * d, d)
        self.guide_visual = nn.Linear(d, d)
        self.guide_audio = nn.Linear(d, d)
        self.visual_norm = nn.LayerNorm(d)
        self.audio_norm = nn.LayerNorm(d)
        self.visual_out, self.audio_out = (FeedForward(d, net, before=False) for _ in range(2))
        self.dropout = Dropout(net.dropout)

    def forward(self, visual: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
        seen = self.see(visual, audio, audio, need_weights=False)[0]
        heard = self.hear(audio, visual, visual, need_weights=False)[0]
        both = torch.cat([seen, heard], -1)
        fused = torch.sigmoid(self.filter(both)) * torch.tanh(self.fuse(both))
        visual = self.visual_norm(visual + self.dropout(self.guide_visual(fused * seen)))
        audio = self.audio_norm(audio + self.dropout(self.guide_audio(fused * heard)))
        return self.visual_out(visual), self.audio_out(audio)


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
        build = (lambda: Sns(d, net)) if net.temporal == "sns" else (lambda: Recurrent(d))
        self.visual_time = build()
        self.audio_time = build()
        self.cic = Cic(d, net) if net.cic else None
        heads = (Float32Linear(d, sizes.classes) for _ in range(4))
        self.visual_head, self.audio_head, self.visual_before, self.audio_before = heads

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
