"""Settings of cross-task training; a row changes what it names, everything else is the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from ...settings import (
    Block,
    Data,
    Decoding,
    FrontEnd,
    Grid,
    HeldOut,
    PaperSettings,
    Stream,
    Subset,
    Training,
)
from ...settings.blocks import Count, Share
from .. import dcase

WITH_SOD = "frame_with_sod"
"""The frame scores after cross-task post-processing; `frame` are the network's own."""


class Backbone(Block):
    """The paper's network: shared blocks, an event branch and a sound-activity branch."""

    filters: list[Count] = Field(
        [32, 64, 128, 256, 256],
        min_length=5,
        max_length=5,
        description="channels of the five shared blocks; the event branch keeps the last",
    )
    pooling: dcase.Pooling = Field(
        [(2, 2), (2, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2)],
        description="average pooling (time, frequency) of the shared blocks, then of the event "
        "branch's; one band must be left",
    )
    bands: Count = Field(
        4, description="bands of the sub-spectral norm of the first four blocks; 1: batch norm"
    )
    hidden: Count = Field(128, description="units per direction of the recurrent layers")
    layers: Count = Field(2, description="recurrent layers")
    dropout: Share = Field(0.5, description="after the recurrent layers")
    block_dropout: Share = Field(0.2, description="after each block and each fusion")
    batch_norm_momentum: Share = Field(
        0.99, description="weight of the latest batch (torch's sense) in the running statistics"
    )
    batch_norm_recompute: bool = Field(
        False, description="before scoring, replace them by those of an epoch of clean batches"
    )
    gate: Literal["default", "identity"] = Field(
        "default", description="start of the gates' weights: random, or identity (trains sooner)"
    )
    bias: float | None = Field(None, description="start of the strong head's bias; null: random")

    @model_validator(mode="after")
    def _shapes_fit(self) -> Backbone:
        if len(self.pooling) <= len(self.filters):
            raise ValueError(
                f"{len(self.pooling)} poolings serve {len(self.filters)} shared blocks and at "
                "least one of the event branch"
            )
        return self


class Sod(Block):
    """Sound-activity-aware detection: how many classes sound at once, as a second task."""

    use: bool = Field(True, description="whether the network has the branch")
    states: Literal["activity", "occurrence", "overlap"] = Field(
        "activity",
        description="activity: none, one, two or more; occurrence: none or some; overlap: at most "
        "one or more",
    )
    exclude: list[str] = Field(["Dishes"], description="classes that do not count")
    weight: float = Field(0.2, ge=0, description="weight of the activity's cross-entropy")
    consistency: float = Field(
        0.05, ge=0, description="weight of the mean teacher on its logits; 0: no such loss"
    )
    cross_task: float = Field(
        0.01, ge=0, description="weight of the consistency between the tasks; 0: no such loss"
    )
    select: bool = Field(
        True, description="whether frames on which the teacher's tasks disagree count less"
    )
    disagreeing: Share = Field(0.3, description="the weight of such frames")
    boost: Share = Field(
        0.2, description="what cross-task post-processing adds to a missing class's score"
    )

    @property
    def low(self) -> int:
        """The number of active classes the states begin at."""
        return 1 if self.states == "overlap" else 0

    @property
    def outputs(self) -> int:
        return 3 if self.states == "activity" else 2


class Settings(PaperSettings):
    """What a row may change."""

    MODELS = ("student", "teacher")

    front_end: str = Field("wave16k", description="the front end of all streams")
    network: Literal["backbone", "crnn"] = Field(
        "backbone", description="the paper's network, or the DCASE CRNN"
    )
    backbone: Backbone = Field(default_factory=Backbone, description="the paper's network")
    crnn: dcase.Crnn = Field(default_factory=dcase.Crnn, description="the DCASE CRNN")
    batch: dcase.Batch = Field(default_factory=dcase.Batch, description="the training batch")
    mean_teacher: dcase.MeanTeacher = Field(
        default_factory=dcase.MeanTeacher,
        description="the base of all; mixup is that of rows without RCT's copies",
    )
    rct: dcase.Rct = Field(default_factory=dcase.Rct, description="random consistency training")
    sod: Sod = Field(default_factory=Sod, description="the second task")
    criterion: Literal["mse", "bce"] = Field(
        "mse", description="the consistency of event scores: squared difference or cross-entropy"
    )
    decoding: Decoding = Field(default_factory=Decoding, description="from scores to events")
    training: Training = Field(default_factory=Training, description="the trainer")

    @model_validator(mode="after")
    def _branch_there(self) -> Settings:
        if self.network == "crnn" and self.sod.use:
            raise ValueError("the DCASE CRNN has no sound-activity branch: set sod.use to false")
        if self.decoding.scores == WITH_SOD and not self.sod.use:
            raise ValueError(f"decoding.scores {WITH_SOD} needs sod.use")
        if self.decoding.scores not in ("frame", WITH_SOD):
            raise ValueError(
                f"decoding.scores should be frame or {WITH_SOD}, not {self.decoding.scores}"
            )
        return self

    def streams(self) -> list[Stream]:
        return dcase.streams(self.front_end, self.batch)

    def held_out(self) -> list[HeldOut]:
        inputs, synth = (self.front_end,), Subset("desed", "synth_validation")
        weak = Subset("desed", "weak", "held_out")
        choosing = {"selects": True, "reports": False}
        return [
            HeldOut("validation", Subset("desed", "validation"), inputs),
            HeldOut("public_eval", Subset("desed", "public_eval"), inputs),
            HeldOut("synth_validation", synth, inputs, **choosing),
            HeldOut("weak_validation", weak, inputs, ("tags",), **choosing),
        ]

    def selection(self) -> list[str]:
        """Weak F1 and (strict) intersection F1 of the student."""
        return ["weak_validation/student/weak_f1", "synth_validation/student/intersection_f1"]

    def grid(self, front_ends: Mapping[str, FrontEnd]) -> Grid:
        front_end, part = front_ends[self.front_end], getattr(self, self.network)
        dcase.check_copies(self.rct, front_end, self.front_end)
        if self.network == "backbone" and self.backbone.bands > 1:
            bands = front_end.n_mels
            for _, frequency in self.backbone.pooling[:4]:
                if bands % self.backbone.bands:
                    raise ValueError(
                        f"backbone.bands {self.backbone.bands} does not divide the {bands} "
                        "frequencies of a block"
                    )
                bands //= frequency
        return dcase.grid(front_end, self.front_end, part.pooling, f"{self.network}.pooling")

    def classes(self, data: Data) -> list[str]:
        return list(data.desed.classes)

    def check_classes(self, classes: list[str]) -> None:
        super().check_classes(classes)
        if self.sod.use and set(classes) <= set(self.sod.exclude):
            raise ValueError(f"sod.exclude leaves no class that counts of {', '.join(classes)}")
