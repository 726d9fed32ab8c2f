"""CMRAN (Xu et al. 2020): relation-aware attention between the modalities, event and category."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...networks.dropout import Dropout
from ...networks.precision import Float32Linear
from ...networks.relations import DROPOUT, D, Decoder, Encoder, PlaceAttention, attention
from ..contract import Term
from .localiser import Found, Localiser, Sizes, Target
from .settings import Settings

LAYERS = 2  # of the encoders


class Cmran(Localiser):
    """`event` (clip, second) and `category` (clip, class) logits; background where no event is."""

    def __init__(self, sizes: Sizes, settings: Settings) -> None:
        super().__init__(sizes, settings)
        net, weak = settings.network, settings.supervision == "weak"
        layers = LAYERS if net.encoders else 0
        self.places = PlaceAttention(sizes.visual, sizes.audio, net.channel_attention)
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
