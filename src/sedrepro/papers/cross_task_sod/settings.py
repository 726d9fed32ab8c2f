"""Settings of cross-task training; a row changes what it names, everything else is the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from ...settings import Block, FrontEnd, Grid
from ...settings.blocks import ClassNames, Count, Share
from ..bases.mean_teacher import settings as mean_teacher
from ..bases.mean_teacher.settings import Layers

WITH_SOD = "frame_with_sod"
"""The frame scores after cross-task post-processing; `frame` are the network's own."""


class Backbone(Layers):
    """The paper's network: shared blocks, an event branch and a sound-activity branch."""

    filters: list[Count] = Field(
        [32, 64, 128, 256, 256],
        min_length=5,
        max_length=5,
        description="channels of the five shared blocks; the event branch keeps the last",
    )
    pooling: mean_teacher.Pooling = Field(
        [(2, 2), (2, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2)],
        description="average pooling (time, frequency) of the shared blocks, then of the event "
        "branch's; one band must be left",
    )
    dropout: Share = Field(0.5, description="after the recurrent layers")
    block_dropout: Share = Field(0.2, description="after each block and each fusion")
    bands: Count = Field(
        4, description="bands of the sub-spectral norm of the first four blocks; 1: batch norm"
    )

    @model_validator(mode="after")
    def _shapes_fit(self) -> Backbone:
        if len(self.pooling) <= len(self.filters):
            raise ValueError(
                f"{len(self.pooling)} poolings serve {len(self.filters)} shared blocks and at "
                "least one of the event branch"
            )
        return self

    @property
    def options(self) -> dict[str, Any]:
        return {**super().options, "bands": self.bands}


class Sod(Block):
    """Sound-activity-aware detection: how many classes sound at once, as a second task."""

    use: bool = Field(True, description="whether the network has the branch")
    states: Literal["activity", "occurrence", "overlap"] = Field(
        "activity",
        description="activity: none, one, two or more; occurrence: none or some; overlap: at most "
        "one or more",
    )
    exclude: ClassNames = Field(["Dishes"], description="classes that do not count")
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


class Settings(mean_teacher.Settings):
    """What a row may change."""

    # A choice, where the base has a network of its own.
    network: Literal["backbone", "crnn"] = Field(  # type: ignore[assignment]
        "backbone", description="the paper's network, or the DCASE CRNN"
    )
    backbone: Backbone = Field(default_factory=Backbone, description="the paper's network")
    crnn: mean_teacher.Crnn = Field(default_factory=mean_teacher.Crnn, description="the DCASE CRNN")
    sod: Sod = Field(default_factory=Sod, description="the second task")
    criterion: Literal["mse", "bce"] = Field(
        "mse", description="the consistency of event scores: squared difference or cross-entropy"
    )

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

    @property
    def built(self) -> Layers:
        return self.crnn if self.network == "crnn" else self.backbone

    @property
    def pooling_key(self) -> str:
        return f"{self.network}.pooling"

    def grid(self, front_ends: Mapping[str, FrontEnd]) -> Grid:
        if self.network == "backbone" and self.backbone.bands > 1:
            bands = front_ends[self.front_end].n_mels
            for _, frequency in self.backbone.pooling[:4]:
                if bands % self.backbone.bands:
                    raise ValueError(
                        f"backbone.bands {self.backbone.bands} does not divide the {bands} "
                        "frequencies of a block"
                    )
                bands //= frequency
        return super().grid(front_ends)

    def check_classes(self, classes: list[str]) -> None:
        super().check_classes(classes)
        if self.sod.use and set(classes) <= set(self.sod.exclude):
            raise ValueError(f"sod.exclude leaves no class that counts of {', '.join(classes)}")
