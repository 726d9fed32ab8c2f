"""The DCASE mean teacher as papers extend it: what the student sees, and what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ....features.front_ends import mel_of
from ....features.normalise import decibels, min_max
from ....networks.crnn import Crnn, Detection
from ....networks.statistics import recompute
from ....objectives import colouring, mixup, ramps
from ....objectives.consistency import agreement
from ....objectives.rct import Copies, expand, of_copies
from ... import contract
from ...contract import Batch, Term
from .settings import Settings


class Passes(NamedTuple):
    """A step so far: what both networks were shown, and what they said of it."""

    step: int
    batch: Batch
    """Linear spectra after mixup, or with RCT's copies, and their targets."""
    view: colouring.View | colouring.Unchanged
    """What the student saw otherwise than the teacher."""
    student: Detection
    teacher: Detection
    copies: Mapping[str, Copies]
    weight: float
    """Of consistency losses, at this step."""


class Method(contract.Method):
    """L = BCE of frames and clips + 2r mean teacher, on the spectra of one front end.

    Waveforms are turned into linear mel spectra on the device. A paper changes what it names:
    `mixed`, `view` and `read` (what a network sees), `supervised`, `consistency`, `extra` (terms).
    """

    settings: Settings
    full_rate_first = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.average_before_step = self.settings.mean_teacher.average_before_step
        front_end = self.plan.front_ends[self.settings.front_end]
        self.reads_waveforms = front_end.kind == "waveform"
        self.mel = mel_of(front_end).to(self.device)

    def build(self) -> dict[str, nn.Module]:
        options = self.settings.network.options
        return {"student": Crnn(len(self.plan.classes), **options, conv=self.conv)}

    def conv(self, block: int, channels_in: int, channels: int) -> nn.Module | None:
        """A paper's own convolution for a block, counted from 0; None: 3 × 3."""
        return None

    def averaged(self) -> dict[str, str]:
        return {"teacher": "student"}

    # Schedule

    def decay(self, step: int) -> float:
        return ramps.decay(step, self.settings.mean_teacher.decay)

    def ramp(self, step: int) -> float:
        epochs = self.settings.mean_teacher.ramp_epochs
        return ramps.exponential(step, epochs * self.steps_per_epoch)

    def rate(self, step: int) -> float:
        # As in DCASE's code: update 1 uses the full rate, each later one its own step's.
        return self.schedule(step + 1)

    def schedule(self, step: int) -> float:
        """The factor of the learning rate for the update of `step` = 2, 3, …"""
        return self.ramp(step)

    def consistency_weight(self, step: int) -> float:
        return self.settings.mean_teacher.weight * self.ramp(step)

    # What the networks see

    def linear(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inputs with linear mel magnitudes (clip, mel, frame) in the place of waveforms."""
        front_end = self.settings.front_end
        return {**inputs, front_end: self.mel(inputs[front_end])}

    def normalised(self, mel: Tensor) -> Tensor:
        """Linear mel magnitudes as the network reads them: decibels, each clip within [0, 1]."""
        return min_max(decibels(mel))

    def mixed(self, batch: Batch) -> tuple[Batch, dict[str, Copies]]:
        """The batch as linear spectra: with RCT's copies, else after soft mixup.

        What else is stored beside the spectra is not mixed.
        """
        rct, base, front_end = (
            self.settings.rct,
            self.settings.mean_teacher,
            self.settings.front_end,
        )
        if rct.use:
            return expand(batch, front_end, rct.methods, self.mel)
        mixing = mixup.draw(
            len(batch.clips),
            [batch.parts["weak"], batch.parts["synth"]],
            alpha=base.mixup_alpha,
            probability=base.mixup,
            device=batch.clips.device,
        )
        linear = self.linear(batch.inputs)
        inputs = {**linear, front_end: mixing(linear[front_end])}
        return Batch(inputs, mixing(batch.frames), mixing(batch.clips), batch.parts), {}

    def view(self, mel: Tensor) -> colouring.View | colouring.Unchanged:
        """What the student sees otherwise than the teacher."""
        return colouring.Unchanged()

    def read(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        """What a network is given of linear spectra (and whatever else a paper reads)."""
        return (self.normalised(inputs[self.settings.front_end]),)

    def detect(self, model: str, inputs: Mapping[str, Tensor]) -> Detection:
        return self.forward(model, *self.read(inputs))

    # A step

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        passes = self.passes(batch, step)
        return {**self.supervised(passes), **self.consistency(passes), **self.extra(passes)}

    def passes(self, batch: Batch, step: int) -> Passes:
        """Both networks on the batch, the teacher without gradients."""
        front_end = self.settings.front_end
        batch, copies = self.mixed(batch)
        view = self.view(batch.inputs[front_end])
        shown = view.inputs(batch.inputs[front_end], self.settings.built.time_pooling)
        student = self.detect("student", {**batch.inputs, front_end: shown})
        with torch.no_grad():
            teacher = self.detect("teacher", batch.inputs)
        return Passes(step, batch, view, student, teacher, copies, self.consistency_weight(step))

    def groups(self, parts: Mapping[str, slice]) -> tuple[slice, slice, slice]:
        """The clips whose frames are labelled, those that are tagged, those both must agree on."""
        return parts["synth"], parts["weak"], slice(None)

    def supervised(self, passes: Passes) -> dict[str, Term]:
        """Cross-entropy of the frames of strong labels and of the clips of weak ones."""
        batch, said = passes.batch, passes.student
        strong, weak, _ = self.groups(batch.parts)
        frames = passes.view.frames(batch.frames)
        return {
            "strong": Term(1, F.binary_cross_entropy(said.frame[strong], frames[strong])),
            "weak": Term(1, F.binary_cross_entropy(said.clip[weak], batch.clips[weak])),
        }

    def consistency(self, passes: Passes) -> dict[str, Term]:
        """The student says what its teacher says."""
        *_, both = self.groups(passes.batch.parts)
        frame, clip = passes.view.frames(passes.teacher.frame), passes.teacher.clip
        agreed = agreement(passes.student.frame[both], frame[both])
        agreed = agreed + agreement(passes.student.clip[both], clip[both])
        return {"mean_teacher": Term(passes.weight, agreed)}

    def extra(self, passes: Passes) -> dict[str, Term]:
        """Of RCT, where it makes copies: the student is consistent with itself on them."""
        if not passes.copies or not self.settings.rct.self_consistency:
            return {}
        rct, said = self.settings.rct, passes.student
        value = of_copies(
            (said.frame, said.clip), passes.batch.parts, passes.copies, rct.sure, rct.absent
        )
        return {"self_consistency": Term(passes.weight, value)}

    # Scores

    def scores(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = self.detect(model, self.linear(inputs))
        return {"frame": found.frame, "clip": found.clip}

    def before_scores(self, batches: Callable[[], Iterable[Batch]]) -> None:
        """Where it is asked for, batch-norm statistics of clean training batches."""
        if not self.settings.built.batch_norm_recompute:
            return
        for model in self.models():
            inputs = (self.linear(batch.inputs) for batch in batches())
            recompute(self.networks[model], inputs, partial(self.detect, model))

    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Frame scores of both networks, and the spectrum where waveforms are stored."""
        maps = {model: self.scores(model, inputs)["frame"] for model in self.models()}
        if self.reads_waveforms:
            maps["input"] = self.linear(inputs)[self.settings.front_end]
        return maps
