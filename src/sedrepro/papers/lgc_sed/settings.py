"""Settings of LGC-SED; a row changes what it names, everything else is the paper's."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
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
from ...settings.blocks import Count, Positive, Share


class Network(Block):
    """The DCASE CRNN."""

    filters: list[Count] = Field([16, 32, 64, 128, 128, 128, 128], description="channels per block")
    pooling: list[tuple[Count, Count]] = Field(
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
        "default", description="start of the GLU's weights: random, or identity (trains sooner)"
    )
    bias: float | None = Field(None, description="start of the strong head's bias; null: random")
    projection: Count = Field(128, description="dimension of the projected frames")

    @model_validator(mode="after")
    def _pooling_per_block(self) -> Network:
        if len(self.filters) != len(self.pooling):
            raise ValueError(
                f"{len(self.filters)} filters need as many poolings, not {len(self.pooling)}"
            )
        return self

    @property
    def time_pooling(self) -> int:
        """Input frames per frame of the network."""
        return prod(time for time, _ in self.pooling)


class Batch(Block):
    """Clips of each kind in a batch."""

    synth: Count = Field(12, description="synthetic clips with strong labels")
    weak: Count = Field(12, description="weakly labelled clips")
    unlabelled: Count = Field(24, description="unlabelled clips")


class MeanTeacher(Block):
    """The mean-teacher base."""

    weight: Positive = Field(2.0, description="largest weight of the consistency losses")
    ramp_epochs: Positive = Field(50, description="epochs of the ramp of weight and learning rate")
    decay: Share = Field(0.999, description="largest decay of the teacher's average")
    average_before_step: bool = Field(
        True, description="the teacher averages the student as it was before the step's update"
    )
    mixup: Share = Field(0.5, description="probability of mixup in a step")
    mixup_alpha: Positive = Field(0.2, description="Beta(alpha, alpha) of the mixup ratio")


class Clc(Block):
    """Local consistency: CutMix of inputs and of the teacher's frame predictions (CLC)."""

    use: bool = Field(True, description="whether the loss is used")
    ratio: tuple[Share, Share] = Field((0.2, 0.5), description="share of the clip that is pasted")


class Pgc(Block):
    """Global consistency: contrast against class prototypes (PGC).

    Its anchors are frames of the student's CutMix pass, or of its clean pass where CLC is off.
    """

    use: bool = Field(True, description="whether the loss is used")
    start_epoch: int = Field(
        100, ge=0, description="epoch (from 0) at whose end the prototypes are initialised"
    )
    prototypes: Count = Field(3, description="prototypes per class")
    kmeans_starts: Count = Field(10, description="restarts of the K-means that initialises them")
    kmeans_seed: int = Field(42, description="its seed, whatever the run's")
    confident: Share = Field(
        0.9, description="a frame belongs to a class from here on: prototypes, anchors, positives"
    )
    background: Share = Field(
        0.1, description="a frame forms background prototypes when every class is below this"
    )
    uncertain: Share = Field(
        0.5, description="anchors: the student is below this where the teacher is confident"
    )
    momentum: Share = Field(0.996, description="moving average of the prototypes")
    temperature: Positive = Field(0.1, description="of the contrast")
    weight: Positive = Field(0.1, description="weight of the loss")


class Settings(PaperSettings):
    """What a row of LGC-SED may change."""

    front_end: str = Field("mel128", description="the front end of all streams")
    network: Network = Field(default_factory=Network, description="the network")
    batch: Batch = Field(default_factory=Batch, description="the training batch")
    mean_teacher: MeanTeacher = Field(default_factory=MeanTeacher, description="the base of all")
    clc: Clc = Field(default_factory=Clc, description="local consistency")
    pgc: Pgc = Field(default_factory=Pgc, description="global consistency")
    select_on: Literal["synth", "real", "last"] = Field(
        "synth",
        description="the checkpoint with the teacher's best intersection F1 on the synthetic "
        "validation set (leak-free) or on the real one (which is also reported on), or the last",
    )
    decoding: Decoding = Field(default_factory=Decoding, description="from scores to events")
    training: Training = Field(default_factory=Training, description="the trainer")

    def streams(self) -> list[Stream]:
        inputs, batch = (self.front_end,), self.batch
        synth, weak = Subset("desed", "synth_train"), Subset("desed", "weak", "train")
        unlabelled = Subset("desed", "unlabelled")
        return [
            Stream("synth", (synth,), inputs, batch.synth, "frames"),
            Stream("weak", (weak,), inputs, batch.weak, "clips"),
            Stream("unlabelled", (unlabelled,), inputs, batch.unlabelled, "none"),
        ]

    def held_out(self) -> list[HeldOut]:
        inputs, real = (self.front_end,), Subset("desed", "validation")
        sets = [
            HeldOut("validation", real, inputs, selects=self.select_on == "real"),
            HeldOut("public_eval", Subset("desed", "public_eval"), inputs),
        ]
        if self.select_on == "synth":
            synth = Subset("desed", "synth_validation")
            sets.append(HeldOut("synth_validation", synth, inputs, selects=True, reports=False))
        return sets

    def grid(self, front_ends: Mapping[str, FrontEnd]) -> Grid:
        front_end = front_ends[self.front_end]
        frames, bands = front_end.frames, front_end.n_mels
        for time, frequency in self.network.pooling:
            frames, bands = frames // time, bands // frequency
        if bands != 1 or frames < 1:
            raise ValueError(
                f"network.pooling makes {front_end.frames} frames × {front_end.n_mels} bands of "
                f"{self.front_end} into {frames} × {bands}; one band and some frames must be left"
            )
        return Grid(frames, self.network.time_pooling * front_end.hop / front_end.sample_rate)

    def classes(self, data: Data) -> list[str]:
        return list(data.desed.classes)
