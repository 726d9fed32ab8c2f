"""Settings of the DCASE mean teacher, from which papers on DESED inherit. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any, Literal

from pydantic import Field, model_validator

from ....settings import Block, Data, FrontEnd, Grid, HeldOut, PaperSettings, Stream, Subset
from ....settings.blocks import Count, Positive, Share

Pooling = list[tuple[Count, Count]]


class Layers(Block):
    """What convolutional recurrent networks have in common."""

    filters: list[Count] = Field([16, 32, 64, 128, 128, 128, 128], description="channels per block")
    pooling: Pooling = Field(
        [(2, 2), (2, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2)],
        description="average pooling per block: time, frequency; one band must be left",
    )
    hidden: Count = Field(128, description="units per direction of the recurrent layers")
    layers: Count = Field(2, description="recurrent layers")
    dropout: Share = Field(0.5, description="after each block and after the recurrent layers")
    block_dropout: Share | None = Field(
        None, description="dropout after each block; null: `dropout`"
    )
    batch_norm_momentum: Share = Field(
        0.99, description="weight of the latest batch (torch's sense) in the running statistics"
    )
    batch_norm_recompute: bool = Field(
        False,
        description="before scoring, replace the running statistics, which almost equal the "
        "latest batch's, by those of an epoch of clean training batches",
    )
    gate: Literal["default", "identity"] = Field(
        "default", description="start of the gates' weights: random, or identity (trains sooner)"
    )
    bias: float | None = Field(None, description="start of the strong head's bias; null: random")

    @property
    def time_pooling(self) -> int:
        """Input frames per frame of the network."""
        return prod(time for time, _ in self.pooling)

    @property
    def options(self) -> dict[str, Any]:
        """What a network is built with, by the names of its arguments."""
        return {
            "filters": self.filters,
            "pooling": self.pooling,
            "hidden": self.hidden,
            "layers": self.layers,
            "dropout": self.dropout,
            "block_dropout": self.dropout if self.block_dropout is None else self.block_dropout,
            "momentum": self.batch_norm_momentum,
            "identity_gate": self.gate == "identity",
            "bias": self.bias,
        }


class Crnn(Layers):
    """The DCASE CRNN."""

    gate_kind: Literal["glu", "context"] = Field(
        "glu", description="glu: linear(x)·σ(x), as in the baseline; context: x·σ(linear(x))"
    )

    @model_validator(mode="after")
    def _pooling_per_block(self) -> Crnn:
        if len(self.filters) != len(self.pooling):
            raise ValueError(
                f"{len(self.filters)} filters need as many poolings, not {len(self.pooling)}"
            )
        return self

    @property
    def options(self) -> dict[str, Any]:
        return {**super().options, "gate": self.gate_kind}


class Batch(Block):
    """Clips of each kind in a batch."""

    synth: Count = Field(12, description="synthetic clips with strong labels")
    weak: Count = Field(12, description="weakly labelled clips")
    unlabelled: Count = Field(24, description="unlabelled clips")


class Averaging(Block):
    """A student and the teacher that follows it."""

    weight: Positive = Field(2.0, description="largest weight of the consistency losses")
    ramp_epochs: Positive = Field(50, description="epochs of the ramp of weight and learning rate")
    decay: Share = Field(0.999, description="largest decay of the teacher's average")
    average_before_step: bool = Field(
        True, description="the teacher averages the student as it was before the step's update"
    )


class MeanTeacher(Averaging):
    """The mean-teacher base."""

    mixup: Share = Field(0.5, description="probability of mixup in a step, where RCT does not mix")
    mixup_alpha: Positive = Field(0.2, description="Beta(alpha, alpha) of the mixup ratio")


class Rct(Block):
    """Random consistency training: mixed and augmented copies of every clip join the batch."""

    use: bool = Field(False, description="whether there are copies; needs a waveform front end")
    methods: list[Literal["time_mask", "pitch_shift", "time_shift"]] = Field(
        ["time_mask", "pitch_shift", "time_shift"],
        min_length=1,
        description="one of them is drawn for each part of the batch",
    )
    self_consistency: bool = Field(
        True, description="whether the student must say of the copies what it says of the clips"
    )
    sure: Share = Field(0.95, description="a mixed clip has what a source has above this")
    absent: Share = Field(0.05, description="and lacks what all its sources have below this")


class StudentTeacher(PaperSettings):
    """What all systems with a student and its teacher have in common: one CRNN on spectra."""

    MODELS = ("student", "teacher")

    front_end: str = Field("wave16k", description="the front end of the spectra")
    network: Crnn = Field(default_factory=Crnn, description="the network")

    @property
    def built(self) -> Layers:
        """The settings of the network that is built."""
        return self.network

    @property
    def pooling_key(self) -> str:
        """Where its poolings are set."""
        return "network.pooling"

    @property
    def recomputes(self) -> bool:
        return self.built.batch_norm_recompute

    @property
    def inputs(self) -> tuple[str, ...]:
        """The front ends of every stream and every held-out set."""
        return (self.front_end,)

    def grid(self, front_ends: Mapping[str, FrontEnd]) -> Grid:
        """The resolution that is left of a spectrum after all poolings; one band must be."""
        front_end = front_ends[self.front_end]
        frames, bands = front_end.frames, front_end.n_mels
        for time, frequency in self.built.pooling:
            frames, bands = frames // time, bands // frequency
        if bands != 1 or frames < 1:
            raise ValueError(
                f"{self.pooling_key} makes {front_end.frames} frames × {front_end.n_mels} bands of "
                f"{self.front_end} into {frames} × {bands}; one band and some frames must be left"
            )
        hop = self.built.time_pooling * front_end.hop
        return Grid(frames, hop / front_end.sample_rate)


class Settings(StudentTeacher):
    """What a paper on the mean teacher may change; what it adds stands in its own settings."""

    batch: Batch = Field(default_factory=Batch, description="the training batch")
    mean_teacher: MeanTeacher = Field(default_factory=MeanTeacher, description="the base of all")
    rct: Rct = Field(default_factory=Rct, description="random consistency training")
    strong_real: bool = Field(
        False,
        description="recordings with strong labels (AudioSet) are drawn beside synthetic clips, as "
        "by the DCASE recipes' --strong_real",
    )

    def streams(self) -> list[Stream]:
        synth, weak = Subset("desed", "synth_train"), Subset("desed", "weak", "train")
        unlabelled = Subset("desed", "unlabelled")
        strong = (Subset("desed", "strong_real"), synth) if self.strong_real else (synth,)
        return [
            Stream("synth", strong, self.inputs, self.batch.synth, "frames"),
            Stream("weak", (weak,), self.inputs, self.batch.weak, "clips"),
            Stream("unlabelled", (unlabelled,), self.inputs, self.batch.unlabelled, "none"),
        ]

    def held_out(self) -> list[HeldOut]:
        synth, weak = Subset("desed", "synth_validation"), Subset("desed", "weak", "held_out")
        return [
            *self.reported(),
            HeldOut("synth_validation", synth, self.inputs, selects=True, reports=False),
            HeldOut("weak_validation", weak, self.inputs, ("tags",), selects=True, reports=False),
        ]

    def selection(self) -> list[str]:
        """Weak F1 and (strict) intersection F1 of the student."""
        return ["weak_validation/student/weak_f1", "synth_validation/student/intersection_f1"]

    def reported(self) -> list[HeldOut]:
        """The sets that stand in tables."""
        return [
            HeldOut(name, Subset("desed", name), self.inputs)
            for name in ("validation", "public_eval")
        ]

    def grid(self, front_ends: Mapping[str, FrontEnd]) -> Grid:
        kind = front_ends[self.front_end].kind
        if self.rct.use and kind != "waveform":
            raise ValueError(
                f"rct.use needs a front end of kind waveform, {self.front_end} is {kind}"
            )
        return super().grid(front_ends)

    def classes(self, data: Data) -> list[str]:
        return list(data.desed.classes)
