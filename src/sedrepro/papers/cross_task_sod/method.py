"""Cross-task training: sound events and sound activity teach each other, over RCT."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...networks.cross_task import CrossTask, TwoFold
from ...objectives.activity import Activity, criteria, selected_agreement
from ...objectives.consistency import agreement
from .. import mean_teacher
from ..contract import Batch, Term
from .settings import WITH_SOD, Settings


class Method(mean_teacher.Method):
    """L = BCE + 0.2 CE of the activity + w (mean teachers + cross-task + self-consistency)."""

    settings: Settings

    def build(self) -> dict[str, nn.Module]:
        s, sod, classes = self.settings, self.settings.sod, self.plan.classes
        counted = [index for index, name in enumerate(classes) if name not in sod.exclude]
        self.activity = Activity(counted, sod.low, sod.outputs)
        if s.network == "crnn":
            return {"student": self.crnn(s.crnn)}
        network = s.backbone
        student = CrossTask(
            len(classes),
            filters=network.filters,
            pooling=network.pooling,
            states=sod.outputs if sod.use else None,
            bands=network.bands,
            hidden=network.hidden,
            layers=network.layers,
            dropout=network.dropout,
            block_dropout=network.block_dropout,
            momentum=network.batch_norm_momentum,
            identity_gate=network.gate == "identity",
            bias=network.bias,
        )
        return {"student": student}

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        s = self.settings
        batch, copies = self.seen(batch)
        spectra = self.normalised(batch.inputs[s.front_end])
        synth, weak = batch.parts["synth"], batch.parts["weak"]
        student = self.forward("student", spectra)
        with torch.no_grad():
            teacher = self.forward("teacher", spectra)

        w = s.mean_teacher.weight * self.ramp(step)
        terms = {
            "strong": Term(1, F.binary_cross_entropy(student.frame[synth], batch.frames[synth])),
            "weak": Term(1, F.binary_cross_entropy(student.clip[weak], batch.clips[weak])),
            "tag_consistency": Term(w, agreement(student.clip, teacher.clip)),
        }
        if s.sod.use:
            terms |= self._activity(student, teacher, batch, w)
        else:
            terms["sed_consistency"] = Term(w, criteria[s.criterion](student.frame, teacher.frame))
        if copies and s.rct.self_consistency:
            value = self.self_consistency(student.frame, student.clip, batch.parts, copies)
            terms["self_consistency"] = Term(w, value)
        return terms

    def _activity(
        self, student: TwoFold, teacher: TwoFold, batch: Batch, w: float
    ) -> dict[str, Term]:
        """The terms of the second task, and the event consistency it gates."""
        s, sod, synth = self.settings, self.settings.sod, batch.parts["synth"]
        states = self.activity.state(batch.frames[synth])
        terms = {"activity": Term(sod.weight, F.cross_entropy(student.activity[synth].mT, states))}
        if sod.consistency:
            value = agreement(student.activity, teacher.activity)
            terms["activity_consistency"] = Term(sod.consistency * w, value)
        if sod.cross_task:
            value = self.activity.cross_task(student.frame, student.activity)
            terms["cross_task"] = Term(sod.cross_task * w, value)
        real = slice(synth.stop, None)  # the weak and the unlabelled part
        agreed = self.activity.agreement(teacher.frame[real], teacher.activity[real])
        terms["measure/agreement"] = Term(0, agreed.mean())
        if sod.select:
            value = criteria[s.criterion](student.frame[synth], teacher.frame[synth])
            value = value + selected_agreement(
                student.frame[real], teacher.frame[real], agreed, sod.disagreeing, s.criterion
            )
        else:
            value = criteria[s.criterion](student.frame, teacher.frame)
        terms["sed_consistency"] = Term(w, value)
        return terms

    def before_scores(self, batches: Callable[[], Iterable[Batch]]) -> None:
        if getattr(self.settings, self.settings.network).batch_norm_recompute:
            self.recompute_norms(batches)

    def scores(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """With the second task also its probabilities and the event scores it corrects."""
        found = self.forward(model, self.normalised(self.spectra(inputs)))
        scores = {"frame": found.frame, "clip": found.clip}
        if self.settings.sod.use:
            scores["sod"] = found.activity.softmax(-1)
            scores[WITH_SOD] = self.activity.corrected(
                found.frame, found.activity, self.settings.sod.boost
            )
        return scores

    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Scores of both models before and, with the second task, after its correction."""
        maps = {"input": self.spectra(inputs)}
        for model in self.models():
            found = self.scores(model, inputs)
            maps[model] = found["frame"]
            if self.settings.sod.use:
                maps[f"{model}_sod"], maps[f"{model}_with_sod"] = found["sod"], found[WITH_SOD]
        return maps
