"""Cross-task training: sound events and sound activity teach each other, over RCT."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F

from ...networks.crnn import Crnn, there
from ...networks.cross_task import CrossTask
from ...objectives.activity import Activity, criteria, selected_agreement
from ...objectives.consistency import agreement
from ..bases.mean_teacher import method as mean_teacher
from ..bases.mean_teacher.method import Passes
from ..contract import Term
from .settings import WITH_SOD, Settings


class Method(mean_teacher.Method):
    """L = BCE + 0.2 CE of the activity + w (mean teachers + cross-task + self-consistency)."""

    settings: Settings

    def build(self) -> dict[str, nn.Module]:
        s, sod, classes = self.settings, self.settings.sod, self.plan.classes
        counted = [index for index, name in enumerate(classes) if name not in sod.exclude]
        self.activity = Activity(counted, sod.low, sod.outputs)
        if s.network == "crnn":
            return {"student": Crnn(len(classes), **s.crnn.options)}
        states = sod.outputs if sod.use else None
        return {"student": CrossTask(len(classes), states=states, **s.backbone.options)}

    def consistency(self, passes: Passes) -> dict[str, Term]:
        """Tags and events apart; with the second task its own terms, and events that it gates."""
        student, teacher = passes.student, passes.teacher
        terms = {"tag_consistency": Term(passes.weight, agreement(student.clip, teacher.clip))}
        if self.settings.sod.use:
            return {**terms, **self._activity(passes)}
        value = criteria[self.settings.criterion](student.frame, teacher.frame)
        return {**terms, "sed_consistency": Term(passes.weight, value)}

    def _activity(self, passes: Passes) -> dict[str, Term]:
        batch, student, teacher, w = passes.batch, passes.student, passes.teacher, passes.weight
        s, sod, synth = self.settings, self.settings.sod, batch.parts["synth"]
        said, taught = there(student.activity), there(teacher.activity)
        states = self.activity.state(batch.frames[synth])
        terms = {"activity": Term(sod.weight, F.cross_entropy(said[synth].mT, states))}
        if sod.consistency:
            value = agreement(said, taught)
            terms["activity_consistency"] = Term(sod.consistency * w, value)
        if sod.cross_task:
            value = self.activity.cross_task(student.frame, said)
            terms["cross_task"] = Term(sod.cross_task * w, value)
        real = slice(synth.stop, None)  # the weak and the unlabelled part
        agreed = self.activity.agreement(teacher.frame[real], taught[real])
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

    def scores(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """With the second task also its probabilities and the event scores it corrects."""
        found = self.detect(model, self.linear(inputs))
        scores = {"frame": found.frame, "clip": found.clip}
        if self.settings.sod.use:
            activity = there(found.activity)
            scores["sod"] = activity.softmax(-1)
            scores[WITH_SOD] = self.activity.corrected(
                found.frame, activity, self.settings.sod.boost
            )
        return scores

    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Also what the second task says, and the event scores it corrects."""
        maps = super().explain(inputs)
        for model in self.models() if self.settings.sod.use else ():
            found = self.scores(model, inputs)
            maps[f"{model}_sod"] = found["sod"]
            maps[f"{model}_with_sod"] = found[WITH_SOD]
        return maps
