"""LGC-SED: a mean teacher made consistent locally (CutMix) and globally (class prototypes)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...networks.crnn import Detection
from ...objectives import colouring, cutmix, mixup, shift
from ...objectives.consistency import agreement
from ...objectives.prototypes import Prototypes, membership, with_background
from .. import mean_teacher
from ..contract import Batch, Epoch, Term
from .settings import Settings

log = logging.getLogger(__name__)


class Method(mean_teacher.Method):
    """L = BCE + 2r (mean teacher + local consistency) + 0.1 global consistency.

    Rows beside the paper's own add interpolation, shift or random consistency, each with weight 2r,
    or augment what the student sees.
    """

    settings: Settings

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        epochs, start = self.settings.training.epochs, self.settings.pgc.start_epoch
        if self.settings.pgc.use and self.plan.kind == "train" and start + 1 >= epochs:
            log.warning(
                "%s: pgc.start_epoch %d leaves none of the %d epochs to the prototypes",
                self.plan.run, start, epochs,
            )  # fmt: skip

    def build(self) -> dict[str, nn.Module]:
        network, pgc = self.settings.network, self.settings.pgc
        student = self.crnn(network, network.projection if pgc.use else None)
        built: dict[str, nn.Module] = {"student": student}
        if pgc.use:
            # One class more: the background.
            classes = len(self.plan.classes) + 1
            built["prototypes"] = Prototypes(classes, pgc.prototypes, network.projection)
        return built

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        s = self.settings
        contrast = s.pgc.use and (step - 1) // self.steps_per_epoch > s.pgc.start_epoch
        batch, copies = self.seen(batch)
        mel, synth, weak = batch.inputs[s.front_end], batch.parts["synth"], batch.parts["weak"]

        clean, view = self.normalised(mel), self._view(mel)
        shown = clean if view is None else self.normalised(view.inputs(mel, self.pooling))
        student = self.forward("student", shown, project=contrast and not s.clc.use)
        with torch.no_grad():
            teacher = self.forward("teacher", clean, project=contrast)
        if contrast:
            self._follow(teacher, batch)

        seen, target = student, _masked(teacher.frame, view)
        labels, expected = _masked(batch.frames, view), target
        real = torch.ones(target.shape[:2], dtype=torch.bool, device=target.device)
        real[synth] = False
        if s.clc.use:
            cut = cutmix.draw(*target.shape[:2], s.clc.ratio, target.device)
            pasted = cut.inputs(mel, self.pooling)
            pasted = pasted if view is None else view.inputs(pasted, self.pooling)
            seen = self.forward("student", self.normalised(pasted), project=contrast)
            target, real = _masked(cut.frames(teacher.frame), view), cut.frames(real)

        consistency = s.mean_teacher.weight * self.ramp(step)
        terms = {
            "strong": Term(1, F.binary_cross_entropy(student.frame[synth], labels[synth])),
            "weak": Term(1, F.binary_cross_entropy(student.clip[weak], batch.clips[weak])),
            "mean_teacher": Term(
                consistency,
                agreement(student.frame, expected) + agreement(student.clip, teacher.clip),
            ),
        }
        if s.clc.use:
            terms["clc"] = Term(consistency, agreement(seen.frame, target))
        if contrast:
            terms["pgc"] = Term(s.pgc.weight, self._contrast(seen, target, real))
        if copies and s.rct.self_consistency:
            value = self.self_consistency(student.frame, student.clip, batch.parts, copies)
            terms["rct"] = Term(consistency, value)
        if s.sct.use:
            terms["sct"] = Term(consistency, self._shifted(mel, teacher))
        if s.ict.use and len(mel[batch.parts["unlabelled"]]):
            unlabelled = batch.parts["unlabelled"]
            terms["ict"] = Term(consistency, self._interpolated(mel, teacher, unlabelled))
        return terms

    @property
    def pooling(self) -> int:
        return self.settings.network.time_pooling

    def _view(self, mel: Tensor) -> colouring.View | None:
        """What the student sees differently, when audio augmentations are on."""
        audio = self.settings.audio
        if not audio.use:
            return None
        return colouring.draw(
            *mel.shape[:2],
            self.plan.grid.frames,
            decibels=audio.decibels,
            knots=audio.bands,
            masked=audio.masked,
            device=mel.device,
        )

    def _shifted(self, mel: Tensor, teacher: Detection) -> Tensor:
        """Shift consistency, on all clips."""
        moved = shift.draw(len(mel), self.settings.sct.deviation, mel.device)
        inputs = moved.inputs(mel, self.pooling, teacher.frame.shape[1])
        student = self.forward("student", self.normalised(inputs))
        return agreement(student.frame, moved.frames(teacher.frame)) + agreement(
            student.clip, teacher.clip
        )

    def _interpolated(self, mel: Tensor, teacher: Detection, part: slice) -> Tensor:
        """Interpolation consistency, on the unlabelled clips."""
        mel, frame, clip = mel[part], teacher.frame[part], teacher.clip[part]
        mixing = mixup.draw(
            len(mel), [slice(0, len(mel))], alpha=self.settings.ict.alpha, probability=1.0,
            device=mel.device,
        )  # fmt: skip
        student = self.forward("student", self.normalised(mixing(mel)))
        return agreement(student.frame, mixing(frame)) + agreement(student.clip, mixing(clip))

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
                clean = self.normalised(self.spectra(batch.inputs))
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
            self.recompute_norms(batches)

    def scores(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = self.forward(model, self.normalised(self.spectra(inputs)))
        return {"frame": found.frame, "clip": found.clip}

    def headline(self) -> str:
        return "teacher"

    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Frame scores of both, the teacher's attention, and its frames' nearest prototypes."""
        mel = self.spectra(inputs)
        clean = self.normalised(mel)
        contrast = self.settings.pgc.use and bool(self.networks["prototypes"].initialised)
        student = self.forward("student", clean)
        teacher = self.forward("teacher", clean, project=contrast)
        maps = {"student": student.frame, "teacher": teacher.frame, "attention": teacher.attention}
        if self.reads_waveforms:
            maps["input"] = mel
        if contrast:
            maps["prototypes"] = self.networks["prototypes"].similarity(teacher.projected)
        return maps


def _masked(values: Tensor, view: colouring.View | None) -> Tensor:
    return values if view is None else view.frames(values)
