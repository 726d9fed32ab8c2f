"""The DCASE mean teacher as papers extend it: what it reads, who follows whom, how weights grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from ..features.front_ends import mel_of
from ..features.normalise import decibels, min_max
from ..networks.crnn import Crnn
from ..networks.statistics import recompute
from ..objectives import mixup, ramps
from ..objectives.rct import Copies, expand, self_consistency
from ..settings import PaperSettings
from . import contract, dcase
from .contract import Batch

SHARES = {"synth": 0.25, "weak": 0.25, "unlabelled": 0.5}
"""What each part of the batch contributes to the self-consistency of RCT."""


class Settings(PaperSettings):
    """What the settings of such a paper have."""

    front_end: str
    mean_teacher: dcase.MeanTeacher
    rct: dcase.Rct


class Method(contract.Method):
    """A student and a teacher that follows it, on the spectra of one front end.

    Waveforms are turned into linear mel spectra on the device.
    """

    settings: Settings
    full_rate_first = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.average_before_step = self.settings.mean_teacher.average_before_step
        front_end = self.plan.front_ends[self.settings.front_end]
        self.reads_waveforms = front_end.kind == "waveform"
        self.mel = mel_of(front_end).to(self.device)

    def averaged(self) -> dict[str, str]:
        return {"teacher": "student"}

    def decay(self, step: int) -> float:
        return ramps.decay(step, self.settings.mean_teacher.decay)

    def ramp(self, step: int) -> float:
        return ramps.exponential(
            step, self.settings.mean_teacher.ramp_epochs * self.steps_per_epoch
        )

    def rate(self, step: int) -> float:
        # Update n runs at ramp(n), but the first (`full_rate_first`) at the full rate.
        return self.ramp(step + 1)

    def spectra(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Linear mel magnitudes (clip, mel, frame)."""
        return self.mel(inputs[self.settings.front_end])

    def normalised(self, mel: Tensor) -> Tensor:
        """Linear mel magnitudes as the network reads them: decibels, each clip within [0, 1]."""
        return min_max(decibels(mel))

    def seen(self, batch: Batch) -> tuple[Batch, dict[str, Copies]]:
        """The batch as linear spectra: with RCT's copies, else after soft mixup."""
        front_end, rct = self.settings.front_end, self.settings.rct
        if rct.use:
            return expand(batch, front_end, rct.methods, self.mel)
        mixing = mixup.draw(
            len(batch.clips),
            [batch.parts["weak"], batch.parts["synth"]],
            alpha=self.settings.mean_teacher.mixup_alpha,
            probability=self.settings.mean_teacher.mixup,
            device=batch.clips.device,
        )
        inputs = {front_end: mixing(self.spectra(batch.inputs))}
        return Batch(inputs, mixing(batch.frames), mixing(batch.clips), batch.parts), {}

    def self_consistency(
        self, frame: Tensor, clip: Tensor, parts: Mapping[str, slice], copies: Mapping[str, Copies]
    ) -> Tensor:
        """RCT: the student's scores of the copies follow its scores of what they are made of."""
        limits = self.settings.rct.sure, self.settings.rct.absent
        return sum(
            SHARES[name]
            * 0.5
            * sum(self_consistency(scores[parts[name]], of, *limits) for scores in (frame, clip))
            for name, of in copies.items()
        )

    def crnn(self, network: dcase.Crnn, projection: int | None = None) -> Crnn:
        """The DCASE CRNN of these settings."""
        return Crnn(
            len(self.plan.classes),
            filters=network.filters,
            pooling=network.pooling,
            hidden=network.hidden,
            layers=network.layers,
            dropout=network.dropout,
            block_dropout=(
                network.dropout if network.block_dropout is None else network.block_dropout
            ),
            momentum=network.batch_norm_momentum,
            gate=network.gate_kind,
            identity_gate=network.gate == "identity",
            bias=network.bias,
            projection=projection,
        )

    def recompute_norms(self, batches: Callable[[], Iterable[Batch]]) -> None:
        """Batch-norm statistics of student and teacher from clean training batches."""
        for model in self.models():
            spectra = (self.normalised(self.spectra(batch.inputs)) for batch in batches())
            recompute(self.networks[model], spectra)
