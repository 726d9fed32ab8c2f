"""LGC-SED: a mean teacher made consistent locally (CutMix) and globally (class prototypes)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...features.normalise import decibels, min_max
from ...networks.crnn import Crnn, Detection
from ...networks.statistics import recompute
from ...objectives import cutmix, mixup, ramps
from ...objectives.consistency import agreement
from ...objectives.prototypes import Prototypes, membership, with_background
from .. import contract
from ..contract import Batch, Epoch, Term
from .settings import Settings

log = logging.getLogger(__name__)


class Method(contract.Method):
    """L = BCE + 2r (mean teacher + local consistency) + 0.1 global consistency."""

    settings: Settings

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.average_before_step = self.settings.mean_teacher.average_before_step
        epochs, start = self.settings.training.epochs, self.settings.pgc.start_epoch
        if self.settings.pgc.use and self.plan.kind == "train" and start + 1 >= epochs:
            log.warning(
                "%s: pgc.start_epoch %d leaves none of the %d epochs to the prototypes",
                self.plan.run, start, epochs,
            )  # fmt: skip

    def build(self) -> dict[str, nn.Module]:
        network, pgc, classes = self.settings.network, self.settings.pgc, len(self.plan.classes)
        built: dict[str, nn.Module] = {
            "student": Crnn(
                classes,
                filters=network.filters,
                pooling=network.pooling,
                hidden=network.hidden,
                layers=network.layers,
                dropout=network.dropout,
                block_dropout=(
                    network.dropout if network.block_dropout is None else network.block_dropout
                ),
                momentum=network.batch_norm_momentum,
                identity_gate=network.gate == "identity",
                bias=network.bias,
                projection=network.projection if pgc.use else None,
            )
        }
        if pgc.use:
            # One class more: the background.
            built["prototypes"] = Prototypes(classes + 1, pgc.prototypes, network.projection)
        return built

    def averaged(self) -> dict[str, str]:
        return {"teacher": "student"}

    def models(self) -> list[str]:
        return ["student", "teacher"]

    def decay(self, step: int) -> float:
        return ramps.decay(step, self.settings.mean_teacher.decay)

    def ramp(self, step: int) -> float:
        return ramps.exponential(
            step, self.settings.mean_teacher.ramp_epochs * self.steps_per_epoch
        )

    def rate(self, step: int) -> float:
        # Update n runs at ramp(n), but the first, before which nothing is set, at the full rate.
        return self.ramp(step + 1)

    def normalised(self, mel: Tensor) -> Tensor:
        """Linear mel magnitudes as the network reads them: decibels, each clip within [0, 1]."""
        return min_max(decibels(mel))

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        s = self.settings
        contrast = s.pgc.use and (step - 1) // self.steps_per_epoch > s.pgc.start_epoch
        batch = self._mixup(batch)
        mel, synth, weak = batch.inputs[s.front_end], batch.parts["synth"], batch.parts["weak"]

        clean = self.normalised(mel)
        student = self.forward("student", clean, project=contrast and not s.clc.use)
        with torch.no_grad():
            teacher = self.forward("teacher", clean, project=contrast)
        if contrast:
            self._follow(teacher, batch)

        seen, target = student, teacher.frame
        real = torch.ones(target.shape[:2], dtype=torch.bool, device=target.device)
        real[synth] = False
        if s.clc.use:
            cut = cutmix.draw(*target.shape[:2], s.clc.ratio, target.device)
            pasted = self.normalised(cut.inputs(mel, s.network.time_pooling))
            seen = self.forward("student", pasted, project=contrast)
            target, real = cut.frames(target), cut.frames(real)

        consistency = s.mean_teacher.weight * self.ramp(step)
        terms = {
            "strong": Term(1, F.binary_cross_entropy(student.frame[synth], batch.frames[synth])),
            "weak": Term(1, F.binary_cross_entropy(student.clip[weak], batch.clips[weak])),
            "mean_teacher": Term(
                consistency,
                agreement(student.frame, teacher.frame) + agreement(student.clip, teacher.clip),
            ),
        }
        if s.clc.use:
            terms["clc"] = Term(consistency, agreement(seen.frame, target))
        if contrast:
            terms["pgc"] = Term(s.pgc.weight, self._contrast(seen, target, real))
        return terms

    def _mixup(self, batch: Batch) -> Batch:
        """Mixup of linear spectra and targets within the labelled parts, or none at all."""
        teacher, front_end = self.settings.mean_teacher, self.settings.front_end
        mixing = mixup.draw(
            len(batch.clips),
            [batch.parts["weak"], batch.parts["synth"]],
            alpha=teacher.mixup_alpha,
            probability=teacher.mixup,
            device=batch.clips.device,
        )
        inputs = {front_end: mixing(batch.inputs[front_end])}
        return Batch(inputs, mixing(batch.frames), mixing(batch.clips), batch.parts)

    def _members(self, teacher: Detection, batch: Batch) -> Tensor:
        """(clip, frame, class + 1): the classes a frame stands for, by label if synthetic."""
        labels, synth = teacher.frame.clone(), batch.parts["synth"]
        labels[synth] = batch.frames[synth]
        return membership(labels, self.settings.pgc.confident, self.settings.pgc.background)

    def _follow(self, teacher: Detection, batch: Batch) -> None:
        """Move the prototypes after the teacher's confident frames of the clean batch."""
        self.networks["prototypes"].update(
            teacher.projected.flatten(0, 1),
            self._members(teacher, batch).flatten(0, 1),
            self.settings.pgc.momentum,
        )

    def _contrast(self, student: Detection, target: Tensor, real: Tensor) -> Tensor:
        """Real frames the teacher is sure of and the student misses, against the prototypes."""
        pgc = self.settings.pgc
        positives = with_background(target) > pgc.confident
        missed = with_background(student.frame.detach()) < pgc.uncertain
        anchors = real & (positives & missed).any(-1)
        return self.networks["prototypes"].contrast(
            student.projected.flatten(0, 1),
            positives.flatten(0, 1),
            anchors.flatten(),
            pgc.temperature,
        )

    def on_epoch(self, epoch: Epoch) -> None:
        """Initialise the prototypes from one pass of the teacher over the epoch's batches."""
        pgc = self.settings.pgc
        if not pgc.use or epoch.index != pgc.start_epoch:
            return
        self.networks["teacher"].eval()
        features, members = [], []
        with torch.no_grad():
            for batch in epoch.batches():
                clean = self.normalised(batch.inputs[self.settings.front_end])
                teacher = self.forward("teacher", clean, project=True)
                stands_for = self._members(teacher, batch)
                chosen = stands_for.any(-1)
                features.append(teacher.projected[chosen].cpu())
                members.append(stands_for[chosen].cpu())
        self.networks["teacher"].train()
        self.networks["prototypes"].initialise(
            torch.cat(features), torch.cat(members), starts=pgc.kmeans_starts, seed=pgc.kmeans_seed
        )

    def before_scores(self, batches: Callable[[], Iterable[Batch]]) -> None:
        if self.settings.network.batch_norm_recompute:
            for model in self.models():
                spectra = (batch.inputs[self.settings.front_end] for batch in batches())
                recompute(self.networks[model], map(self.normalised, spectra))

    def scores(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = self.forward(model, self.normalised(inputs[self.settings.front_end]))
        return {"frame": found.frame, "clip": found.clip}

    def select(self, metrics: Mapping[str, float]) -> float:
        selecting = next(held.name for held in self.plan.held_out if held.selects)
        return metrics[f"{selecting}/teacher/intersection_f1"]

    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Frame scores of both, the teacher's attention, and its frames' nearest prototypes."""
        clean = self.normalised(inputs[self.settings.front_end])
        contrast = self.settings.pgc.use and bool(self.networks["prototypes"].initialised)
        student = self.forward("student", clean)
        teacher = self.forward("teacher", clean, project=contrast)
        maps = {"student": student.frame, "teacher": teacher.frame, "attention": teacher.attention}
        if contrast:
            maps["prototypes"] = self.networks["prototypes"].similarity(teacher.projected)
        return maps
