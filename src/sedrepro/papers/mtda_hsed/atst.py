"""ATST-SED's two training stages (Shao, Li and Li, ICASSP 2024), on the five groups of this paper.

Stage 1 trains the CRNN beside a frozen ATST-Frame; stage 2 takes it up and trains both. Its groups
of clips are the strongly labelled, the weak and the unlabelled; windows of MAESTRO join the first,
but are mixed apart from DESED, whose classes they lack.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import SedreproError
from ...networks.hetero import pooled
from ...networks.pretrained import Listener
from ...objectives import mixup, ramps
from ...objectives.consistency import agreement
from ..contract import Batch, Term
from .settings import MAESTRO

if TYPE_CHECKING:
    from .method import Method

INSIDE = "transformer."
NARROWEST = 0.6  # share of the bands a frequency warp keeps at least


class AtstSed:
    """What these stages change in a method."""

    def __init__(self, method: Method) -> None:
        self.method, self.settings = method, method.settings
        self.stage = self.settings.atst.stage
        self.front: nn.Module | None = None

    # Schedule

    def ramp(self, step: int) -> float:
        return ramps.exponential(step, self.settings.atst.warm_up * self.method.steps_per_epoch)

    def rate(self, step: int) -> float:
        """A ramp; in stage 2 half a cosine down to the lowest share follows."""
        step, per_epoch = step + 1, self.method.steps_per_epoch
        start = self.settings.atst.warm_up * per_epoch
        if self.stage == 1 or step <= start:
            return self.ramp(step)
        end = self.settings.training.epochs * per_epoch
        fallen = 0.5 * (1 + math.cos(math.pi * min(1.0, (step - start) / (end - start))))
        lowest = self.settings.atst.lowest
        return lowest + (1 - lowest) * fallen

    def decay(self, step: int) -> float:
        largest = self.settings.mean_teacher.decay
        return largest if self.stage == 2 else ramps.decay(step, largest)

    def param_groups(self) -> list[dict[str, Any]]:
        """Stage 2: RNN and heads faster than the CNN, the transformer slower block by block."""
        s, student = self.settings, self.method.networks["student"]
        rate = s.training.learning_rate
        if self.stage == 1:
            trained = [p for p in student.parameters() if p.requires_grad]
            return [{"params": trained, "lr": rate}]
        transformer, depth = student.transformer, student.transformer.depth
        layers = [
            transformer.norm_frame,
            *reversed(transformer.blocks),
            nn.ModuleList([transformer.patch_embed]),
        ]
        groups = [
            {"params": list(layer.parameters()), "lr": rate * s.atst.layer_decay**k}
            for k, layer in enumerate(layers)
        ]
        groups[depth + 1]["params"].append(transformer.pos_embed)
        rest = [student.merge, student.rnn, student.heads]
        faster = [parameter for part in rest for parameter in part.parameters()]
        return [
            {"params": list(student.cnn.parameters()), "lr": rate},
            {"params": faster, "lr": rate * s.atst.heads_rate},
            *groups,
        ]

    # Networks

    def take(self, listener: Listener) -> None:
        """Student and teacher get a transformer each."""
        self.front = listener.front.to(self.method.device)
        for name in self.method.models():
            own = copy.deepcopy(listener.encoder).to(self.method.device)
            own.requires_grad_(self.stage == 2 and name == "student")
            own.mask_embed.requires_grad_(False)
            self.method.networks[name].transformer = own

    def start_from(self, networks: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Stage 1 gives everything but the transformer."""
        for name in self.method.models():
            network = self.method.networks[name]
            kept = {k: v for k, v in network.state_dict().items() if k.startswith(INSIDE)}
            try:
                network.load_state_dict({**networks[name], **kept})
            except (KeyError, RuntimeError) as error:
                reason = " ".join(str(error).split())[:300]
                raise SedreproError(
                    f"{self.method.plan.run}: {name} of {self.method.plan.source} does not fit "
                    f"({reason})"
                ) from None

    def tokens(self, model: str, spectra: Tensor) -> Tensor:
        """The transformer's tokens of its spectra, pooled to the CRNN's frames."""
        network = self.method.networks[model]
        return pooled(network.transformer(spectra), network.frames)

    # A step of stage 2

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        """Mixup or not, warps of the transformer's input, and a consistency that follows mixup."""
        s, method, parts = self.settings, self.method, batch.parts
        wave, valid = batch.inputs[s.front_end], method.valid(batch)
        strong, weak = slice(0, parts["strong"].stop), parts["weak"]
        groups = [strong, weak, parts["unlabelled"]]
        mixed = [parts[MAESTRO], slice(parts["synth"].start, strong.stop), *groups[1:]]
        fires = torch.rand((), device=method.device) < s.mixup.probability
        mixing = mixup.draw(
            len(wave), mixed, alpha=s.mixup.alpha, probability=1.0, device=method.device,
            fires=fires,
        )  # fmt: skip
        mel, spectra = method.mel(wave), self.front(wave)
        warps = float(torch.rand(())) < s.atst.warp
        student = method.run(
            "student", method.normalised(mixing(mel)), self.warped(mixing(spectra), groups, warps),
            valid,
        )  # fmt: skip
        with torch.no_grad():
            teacher = method.run(
                "teacher", method.normalised(mel), self.warped(spectra, groups, warps), valid
            )
        frames = mixing(method.aliased(batch)) * valid[:, None]
        clips = mixing(batch.clips) * valid
        # Without mixup the mixture of the teacher's scores is what it says.
        frame, clip = mixing(teacher.frame), mixing(teacher.clip)

        def apart(part: slice) -> Tensor:
            of_clips = agreement(student.clip[part], clip[part])
            return agreement(student.frame[part], frame[part]) + s.atst.weak * of_clips

        there = [part for part in groups if len(frame[part])]
        interpolated = sum(map(apart, there)) / (4 * 6)
        return {
            "strong": Term(1, F.binary_cross_entropy(student.frame[strong], frames[strong])),
            "weak": Term(s.atst.weak, F.binary_cross_entropy(student.clip[weak], clips[weak])),
            "mean_teacher": Term(
                s.atst.weight * self.ramp(step),
                torch.where(fires, interpolated, apart(slice(None))),
            ),
        }

    def warped(self, spectra: Tensor, groups: list[slice], warps: bool) -> Tensor:
        """A band of each group's spectra stretched over all bands."""
        if not warps:
            return spectra
        bands, frames = spectra.shape[1:]
        stretched = spectra.clone()
        for part in groups:
            if not len(spectra[part]):
                continue
            height = int(bands * (NARROWEST + (1 - NARROWEST) * float(torch.rand(()))))
            first = int(torch.randint(bands - height + 1, ()))
            band = spectra[part, None, first : first + height]
            stretched[part] = F.interpolate(
                band, size=(bands, frames), mode="bicubic", align_corners=True
            )[:, 0]
        return stretched
