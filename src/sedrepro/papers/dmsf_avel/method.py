"""Audio-visual event localization: one network of several, trained on segments or on videos."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...networks.audiovisual import Pictures, Sounds
from ...networks.selective import Mamba
from ...objectives.optimisers import AdamW
from .. import contract
from ..contract import Batch, Term
from .baselines import Avel, Dmrn, Probe
from .cmran import Cmran
from .dmsf import Dmsf
from .localiser import Found, Localiser, Sizes, Target, with_background
from .psp import Psp
from .settings import Settings

KINDS: dict[str, type[Localiser]] = {
    "dmsf": Dmsf,
    "avel": Avel,
    "dmrn": Dmrn,
    "psp": Psp,
    "cmran": Cmran,
    "linear": Probe,
}
NETWORK = "network"


class Encoded(nn.Module):
    """A localiser behind its encoders, where they are trained along with it."""

    def __init__(self, localiser: Localiser, pictures: nn.Module, sounds: nn.Module) -> None:
        super().__init__()
        self.localiser = localiser
        self.pictures = pictures
        self.sounds = sounds

    def forward(self, visual: Tensor, audio: Tensor) -> Found:
        return self.localiser(self.pictures(visual), self.sounds(audio))


class Map(nn.Module):
    """Stored maps (clip, second, height, width, channel) with their places in one row."""

    def forward(self, visual: Tensor) -> Tensor:
        return visual.flatten(2, 3)


class Method(contract.Method):
    """The network, its losses and its schedule; everything else is the trainer's."""

    settings: Settings

    def build(self) -> dict[str, nn.Module]:
        visual, audio = (self.plan.front_ends[name] for name in self.settings.inputs)
        trained, encoder = visual.kind == "frames", self.settings.encoder
        sizes = Sizes(
            encoder.channels if trained else visual.channels,
            encoder.audio if trained else audio.channels,
            len(self.plan.classes) + 1,
        )
        pictures = Pictures(encoder.channels) if trained else Map()
        sounds = Sounds(audio.n_mels, encoder.audio) if trained else nn.Identity()
        localiser = KINDS[self.settings.network.kind](sizes, self.settings)
        return {NETWORK: Encoded(localiser, pictures, sounds)}

    @property
    def localiser(self) -> Localiser:
        return cast(Encoded, self.networks[NETWORK]).localiser

    def start_from(self, networks: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take every part of the other network that this one has too, by name and shape."""
        own = self.networks[NETWORK].state_dict()
        given = networks[NETWORK]
        common = {k: v for k, v in given.items() if k in own and own[k].shape == v.shape}
        self.networks[NETWORK].load_state_dict({**own, **common})

    def param_groups(self) -> list[dict[str, Any]]:
        """Weight decay is for matrices; not for biases, norms, or the state space's own."""
        network = self.networks[NETWORK]
        spared = {
            id(p) for m in network.modules() if isinstance(m, Mamba) for p in m.without_decay()
        }
        trained = [p for p in network.parameters() if p.requires_grad]
        decays = [p.ndim > 1 and id(p) not in spared for p in trained]
        rate, decay = self.settings.training.learning_rate, self.settings.optimiser.weight_decay
        groups = []
        for wanted, value in ((True, decay), (False, 0.0)):
            chosen = [p for p, decayed in zip(trained, decays, strict=True) if decayed == wanted]
            if chosen:
                groups.append({"params": chosen, "weight_decay": value})
        return [{**group, "lr": rate} for group in groups]

    def optimiser(self) -> torch.optim.Optimizer:
        """AdamW, whose decay is no part of the gradient; without decay it is the releases' Adam."""
        return AdamW(self.param_groups(), fused=self.device.type == "cuda" or None)

    def rate(self, step: int) -> float:
        schedule = self.settings.optimiser
        epoch = step / self.steps_per_epoch
        if schedule.schedule == "steps":
            return schedule.factor ** sum(epoch >= milestone for milestone in schedule.milestones)
        if epoch < schedule.warmup:
            return (step + 1) / (schedule.warmup * self.steps_per_epoch + 1)
        rest = max(1e-9, self.settings.training.epochs - schedule.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (epoch - schedule.warmup) / rest)))

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        found = self.forward(NETWORK, *(batch.inputs[name] for name in self.settings.inputs))
        ramp = min(1.0, step / (self.settings.losses.ramp_epochs * self.steps_per_epoch))
        segments, video = with_background(batch.frames), with_background(batch.clips)
        weak = self.settings.supervision == "weak"
        if weak and self.settings.weak_targets == "shares":
            video = segments.mean(1)
        return self.localiser.losses(found, Target(None if weak else segments, video, ramp))

    def scores(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`frame` and `clip` have the background as their last class."""
        found = self.forward(model, *(inputs[name] for name in self.settings.inputs))
        segments = self.localiser.probabilities(found)
        scores = {"frame": segments, "clip": segments.mean(1)}
        if "attention" in found:
            scores["attention"] = found["attention"]
        return scores

    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.scores(NETWORK, inputs)
