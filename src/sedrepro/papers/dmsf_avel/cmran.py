"""CMRAN (Xu et al. 2020): relation-aware attention between the modalities, event and category."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...networks.dropout import Dropout
from ...networks.precision import Float32Linear
from ..contract import Term
from .localiser import Found, Localiser, Sizes, Target
from .settings import Settings

D, HEADS, LAYERS, INNER = 256, 4, 2, 2048
DROPOUT, MAP_DROPOUT = 0.1, 0.2


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


class Places(nn.Module):
    """Audio-guided attention over channels and places of the map."""

    def __init__(self, sizes: Sizes, channel_attention: bool) -> None:
        super().__init__()
        visual, audio = sizes.visual, sizes.audio
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


class Cmran(Localiser):
    """`event` (clip, second) and `category` (clip, class) logits; background where no event is."""

    def __init__(self, sizes: Sizes, settings: Settings) -> None:
        super().__init__(sizes, settings)
        net, weak = settings.network, settings.supervision == "weak"
        layers = LAYERS if net.encoders else 0
        self.places = Places(sizes, net.channel_attention)
        self.visual_encoder = Encoder(sizes.visual, layers)
        self.audio_encoder = Encoder(sizes.audio, layers)
        self.visual_decoder = Decoder(sizes.visual)
        self.audio_decoder = Decoder(sizes.audio)
        self.relation = attention(net.relation_heads)
        self.norm = nn.LayerNorm(D)
        self.dropout = Dropout(DROPOUT)
        self.event = Float32Linear(D, 1)
        self.category = Float32Linear(D, sizes.classes - (not weak))
        self.weak = weak

    def forward(self, visual: Tensor, audio: Tensor) -> Found:
        seen, weights = self.places(visual, audio)
        a = self.audio_decoder(audio, self.visual_encoder(seen))
        v = self.visual_decoder(seen, self.audio_encoder(audio))
        joint = v * a
        memory = torch.cat([a, v], 1)
        related = self.relation(joint, memory, memory, need_weights=False)[0]
        fused = self.norm(joint + self.dropout(related))
        return {
            "event": self.event(fused).squeeze(-1),
            "category": self.category(fused.amax(1)),
            "attention": weights,
        }

    def losses(self, found: Found, target: Target) -> dict[str, Term]:
        if target.segments is None:
            score = torch.softmax(self.video(found), -1)
            return {"class": Term(1, F.multilabel_soft_margin_loss(score, target.video))}
        # Of a clip without an event the first class, as released.
        category = target.segments[..., :-1].amax(1).argmax(-1)
        event = F.binary_cross_entropy_with_logits(found["event"], target.events)
        return {
            "event": Term(1, event),
            "class": Term(1, F.cross_entropy(found["category"], category)),
        }

    def video(self, found: Found) -> Tensor:
        """Logits of a video (clip, class): of each class the largest product over the seconds.

        So a class whose logit is negative takes the second in which an event is least likely.
        """
        event = torch.sigmoid(found["event"])[..., None]
        return (event * found["category"][:, None]).amax(1)

    def probabilities(self, found: Found) -> Tensor:
        """The best category where an event is more likely than not, else background."""
        event = torch.sigmoid(found["event"])[..., None]
        likely = torch.softmax(found["category"], -1)
        relative = (likely / likely.amax(-1, keepdim=True))[:, None]
        if not self.weak:
            return torch.cat([event * relative, 1 - event], -1)
        events, background = relative[..., :-1] * event, relative[..., -1:]
        return torch.cat([events, torch.maximum(background * event, 1 - event)], -1)
