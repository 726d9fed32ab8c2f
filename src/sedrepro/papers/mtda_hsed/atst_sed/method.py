"""ATST-SED's two training stages (Shao, Li and Li, ICASSP 2024), on the five groups of this paper.

Stage 1 trains the CRNN beside a frozen ATST-Frame; stage 2 takes it up and trains both. Its groups
of clips are the strongly labelled, the weak and the unlabelled; windows of MAESTRO join the first,
but are mixed apart from DESED, whose classes they lack.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ....networks.atst import Atst
from ....networks.beats import CachedLayers
from ....networks.hetero import Source, pooled
from ....networks.pretrained import FrozenEncoder
from ....objectives.consistency import agreement
from ....objectives.warp import warped
from ...bases.heterogeneous import method as heterogeneous
from ...bases.heterogeneous.method import ENCODING, VALID
from ...bases.heterogeneous.settings import MAESTRO
from ...contract import Batch, Term
from .settings import Settings

INSIDE = "transformer."


class Method(heterogeneous.Method):
    """Student and teacher have a transformer each; a stage decides what of them is trained."""

    settings: Settings

    # Schedule

    def schedule(self, step: int) -> float:
        """A ramp; in stage 2 half a cosine down to the lowest share follows."""
        atst, per_epoch = self.settings.atst, self.steps_per_epoch
        start = self.settings.mean_teacher.ramp_epochs * per_epoch
        if atst.stage == 1 or step <= start:
            return self.ramp(step)
        end = self.settings.training.epochs * per_epoch
        fallen = 0.5 * (1 + math.cos(math.pi * min(1.0, (step - start) / (end - start))))
        return atst.lowest + (1 - atst.lowest) * fallen

    def decay(self, step: int) -> float:
        largest = self.settings.mean_teacher.decay
        return largest if self.settings.atst.stage == 2 else super().decay(step)

    def param_groups(self) -> list[dict[str, Any]]:
        """Stage 2: RNN and heads faster than the CNN, the transformer slower block by block."""
        s, student = self.settings, self.network("student")
        rate = s.training.learning_rate
        if s.atst.stage == 1:
            return super().param_groups()
        transformer = student.transformer
        assert transformer is not None  # `take` gave it one
        layers: list[nn.Module] = [
            transformer.norm_frame,
            *reversed(list(transformer.blocks)),
            nn.ModuleList([transformer.patch_embed]),
        ]
        groups: list[dict[str, Any]] = [
            {"params": list(layer.parameters()), "lr": rate * s.atst.layer_decay**k}
            for k, layer in enumerate(layers)
        ]
        groups[transformer.depth + 1]["params"].append(transformer.pos_embed)
        rest = [student.merge, student.rnn, student.heads]
        faster = [parameter for part in rest for parameter in part.parameters()]
        return [
            {"params": list(student.cnn.parameters()), "lr": rate},
            {"params": faster, "lr": rate * s.atst.heads_rate},
            *groups,
        ]

    # Networks

    def take(self, frozen: FrozenEncoder) -> None:
        """Student and teacher get a transformer each."""
        self.front = frozen.front.to(self.device)
        for name in self.models():
            own = copy.deepcopy(frozen.encoder).to(self.device)
            own.requires_grad_(self.settings.atst.stage == 2 and name == "student")
            own.mask_embed.requires_grad_(False)
            assert isinstance(own, Atst)  # as settings say
            self.network(name).transformer = own

    def start_from(self, networks: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Stage 1 gives everything but the transformer."""
        own = {name: self.networks[name].state_dict() for name in self.models()}
        kept = {
            name: {key: value for key, value in state.items() if key.startswith(INSIDE)}
            for name, state in own.items()
        }
        super().start_from({name: {**networks.get(name, {}), **kept[name]} for name in own})

    def shared_encoding(self, values: Tensor) -> Tensor:
        """Pooled tokens of stores, or the spectra that the transformers read."""
        return values if self.settings.encoder.cached else self.front(values)

    def source(self, model: str, encoding: Tensor | CachedLayers) -> Source:
        if self.settings.encoder.cached:
            return encoding
        network = self.network(model)
        assert network.transformer is not None
        assert isinstance(encoding, Tensor)
        return pooled(network.transformer(encoding), network.frames)

    # A step

    def kinds(self, parts: Mapping[str, slice]) -> list[slice]:
        """Unlabelled clips are mixed too."""
        return [*super().kinds(parts), parts["unlabelled"]]

    def groups(self, parts: Mapping[str, slice]) -> tuple[slice, slice, slice]:
        strong, weak, _ = super().groups(parts)
        return strong, weak, slice(None)

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        """Of stage 2: mixup or not, warps of the transformer's input, and a consistency that
        follows mixup."""
        if self.settings.atst.stage == 1:
            return super().losses(batch, step)
        s, parts = self.settings, batch.parts
        wave, valid = batch.inputs[s.front_end], self.valid(batch)
        strong, weak, _ = self.groups(parts)
        groups = [strong, weak, parts["unlabelled"]]
        fires = torch.rand((), device=self.device) < s.mixup.probability
        labelled = slice(parts["synth"].start, strong.stop)
        kinds = [parts[MAESTRO], labelled, *groups[1:]]
        mixing = self.draw(batch, kinds, fires)
        mel, spectra = self.mel(wave), self.front(wave)
        warps = float(torch.rand(())) < s.atst.warp
        shown = warped(mixing(spectra), groups, warps)
        given = {s.front_end: mixing(mel), ENCODING: shown, VALID: valid}
        student = self.detect("student", given)
        given = {s.front_end: mel, ENCODING: warped(spectra, groups, warps), VALID: valid}
        with torch.no_grad():
            teacher = self.detect("teacher", given)
        frames = mixing(self.aliased(batch)) * valid[:, None]
        clips = mixing(batch.clips) * valid
        # Without mixup the mixture of the teacher's scores is what it says.
        frame, clip = mixing(teacher.frame), mixing(teacher.clip)

        def apart(part: slice) -> Tensor:
            of_clips = agreement(student.clip[part], clip[part])
            return agreement(student.frame[part], frame[part]) + s.atst.weak * of_clips

        there = [part for part in groups if len(frame[part])]
        agreed = torch.where(fires, sum(map(apart, there)) / (4 * 6), apart(slice(None)))
        return {
            "strong": Term(1, F.binary_cross_entropy(student.frame[strong], frames[strong])),
            "weak": Term(s.atst.weak, F.binary_cross_entropy(student.clip[weak], clips[weak])),
            "mean_teacher": Term(self.consistency_weight(step), agreed),
        }
