"""What LGC is compared with and joined to: interpolation, shifts, augmentations of the student."""

from __future__ import annotations

from torch import Tensor

from ...objectives import colouring, mixup, shift
from ...objectives.consistency import agreement
from ..bases.mean_teacher import method as mean_teacher
from ..bases.mean_teacher.method import Passes
from ..contract import Term
from .settings import Settings


class Compared(mean_teacher.Method):
    """The mean teacher with ICT or SCT, each with weight 2r, or with FilterAugment and silence."""

    settings: Settings

    def view(self, mel: Tensor) -> colouring.View | colouring.Unchanged:
        audio = self.settings.audio
        if not audio.use:
            return super().view(mel)
        clips, bands = mel.shape[:2]
        return colouring.draw(
            clips,
            bands,
            self.plan.grid.frames,
            decibels=audio.decibels,
            knots=audio.bands,
            masked=audio.masked,
            device=mel.device,
        )

    def extra(self, passes: Passes) -> dict[str, Term]:
        s, terms = self.settings, super().extra(passes)
        if s.sct.use:
            terms["sct"] = Term(passes.weight, self._shifted(passes))
        if s.ict.use and len(passes.batch.part("unlabelled", passes.batch.clips)):
            terms["ict"] = Term(passes.weight, self._interpolated(passes))
        return terms

    def _shifted(self, passes: Passes) -> Tensor:
        """Shift consistency, on all clips."""
        mel, teacher = passes.batch.inputs[self.settings.front_end], passes.teacher
        moved = shift.draw(len(mel), self.settings.sct.deviation, mel.device)
        inputs = moved.inputs(mel, self.settings.network.time_pooling, teacher.frame.shape[1])
        return self._follows(inputs, moved.frames(teacher.frame), teacher.clip)

    def _interpolated(self, passes: Passes) -> Tensor:
        """Interpolation consistency, on the unlabelled clips."""
        batch = passes.batch
        mel = batch.part("unlabelled", batch.inputs[self.settings.front_end])
        frame = batch.part("unlabelled", passes.teacher.frame)
        clip = batch.part("unlabelled", passes.teacher.clip)
        everything = [slice(0, len(mel))]
        mixing = mixup.draw(
            len(mel), everything, alpha=self.settings.ict.alpha, probability=1.0, device=mel.device
        )
        return self._follows(mixing(mel), mixing(frame), mixing(clip))

    def _follows(self, mel: Tensor, frame: Tensor, clip: Tensor) -> Tensor:
        """How far the student's scores of these spectra are from frame and clip targets."""
        student = self.detect("student", {self.settings.front_end: mel})
        return agreement(student.frame, frame) + agreement(student.clip, clip)
