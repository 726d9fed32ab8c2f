"""LGC-SED: a mean teacher made consistent locally (CutMix) and globally (class prototypes)."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from ...networks.crnn import Crnn, Detection, there
from ...objectives import cutmix
from ...objectives.consistency import agreement
from ...objectives.prototypes import Prototypes, membership, with_background
from ..bases.mean_teacher.method import Passes
from ..contract import Batch, Epoch, Term
from .compared import Compared

log = logging.getLogger(__name__)


class Method(Compared):
    """L = mean teacher + 2r local consistency (CLC) + 0.1 global consistency (PGC)."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        epochs, start = self.settings.training.epochs, self.settings.pgc.start_epoch
        if self.settings.pgc.use and self.plan.kind == "train" and start + 1 >= epochs:
            log.warning(
                "%s: pgc.start_epoch %d leaves none of the %d epochs to the prototypes",
                self.plan.run,
                start,
                epochs,
            )

    def build(self) -> dict[str, nn.Module]:
        network, pgc = self.settings.network, self.settings.pgc
        if not pgc.use:
            return super().build()
        classes, size = len(self.plan.classes), network.projection
        return {
            "student": Crnn(classes, **network.options, projection=size),
            # One class more: the background.
            "prototypes": Prototypes(classes + 1, pgc.prototypes, size),
        }

    @property
    def prototypes(self) -> Prototypes:
        return cast(Prototypes, self.networks["prototypes"])

    def detect(self, model: str, inputs: Mapping[str, Tensor]) -> Detection:
        return self.forward(model, *self.read(inputs), project=self.settings.pgc.use)

    def passes(self, batch: Batch, step: int) -> Passes:
        passes = super().passes(batch, step)
        if self._contrasts(step):
            self._follow(passes.teacher, passes.batch)
        return passes

    def extra(self, passes: Passes) -> dict[str, Term]:
        """CLC and PGC: the student on the pasted batch (on the clean one, where CLC is off)."""
        s, view = self.settings, passes.view
        seen, target = passes.student, view.frames(passes.teacher.frame)
        real = torch.ones(target.shape[:2], dtype=torch.bool, device=target.device)
        real[passes.batch.parts["synth"]] = False
        terms = {}
        if s.clc.use:
            mel, pooling = passes.batch.inputs[s.front_end], s.network.time_pooling
            clips, frames = target.shape[:2]
            cut = cutmix.draw(clips, frames, s.clc.ratio, target.device)
            pasted = view.inputs(cut.inputs(mel, pooling), pooling)
            seen = self.detect("student", {s.front_end: pasted})
            target, real = view.frames(cut.frames(passes.teacher.frame)), cut.frames(real)
            terms["clc"] = Term(passes.weight, agreement(seen.frame, target))
        if self._contrasts(passes.step):
            terms["pgc"] = Term(s.pgc.weight, self._contrast(seen, target, real))
        return {**terms, **super().extra(passes)}

    def _contrasts(self, step: int) -> bool:
        """Whether there are prototypes already."""
        pgc = self.settings.pgc
        return pgc.use and (step - 1) // self.steps_per_epoch > pgc.start_epoch

    def _members(self, teacher: Detection, batch: Batch) -> Tensor:
        """(clip, frame, class + 1): the classes a frame stands for, by label if synthetic."""
        labels, synth = teacher.frame.clone(), batch.parts["synth"]
        labels[synth] = batch.frames[synth]
        return membership(labels, self.settings.pgc.confident, self.settings.pgc.background)

    def _follow(self, teacher: Detection, batch: Batch) -> None:
        """Move the prototypes after the teacher's confident frames of the clean batch."""
        self.prototypes.update(
            there(teacher.projected).flatten(0, 1),
            self._members(teacher, batch).flatten(0, 1),
            self.settings.pgc.momentum,
        )

    def _contrast(self, student: Detection, target: Tensor, real: Tensor) -> Tensor:
        """Real frames the teacher is sure of and the student misses, against the prototypes."""
        pgc = self.settings.pgc
        positives = with_background(target) > pgc.confident
        missed = with_background(student.frame.detach()) < pgc.uncertain
        anchors = real & (positives & missed).any(-1)
        return self.prototypes.contrast(
            there(student.projected).flatten(0, 1),
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
                teacher = self.detect("teacher", self.linear(batch.inputs))
                stands_for = self._members(teacher, batch)
                chosen = stands_for.any(-1)
                features.append(there(teacher.projected)[chosen].cpu())
                members.append(stands_for[chosen].cpu())
        self.networks["teacher"].train()
        self.prototypes.initialise(
            torch.cat(features), torch.cat(members), starts=pgc.kmeans_starts, seed=pgc.kmeans_seed
        )

    def headline(self) -> str:
        return "teacher"

    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Also the teacher's attention, and its frames' nearest prototypes."""
        teacher = self.detect("teacher", self.linear(inputs))
        maps = {**super().explain(inputs), "attention": teacher.attention}
        if self.settings.pgc.use and bool(self.prototypes.initialised):
            maps["prototypes"] = self.prototypes.similarity(there(teacher.projected))
        return maps
