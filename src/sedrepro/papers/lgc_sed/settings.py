"""Settings of LGC-SED; a row changes what it names, everything else is the paper's."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from ...settings import Block, Data, Decoding, FrontEnd, Grid, HeldOut, PaperSettings, Stream, Subset, Training
from ...settings.blocks import Count, Positive, Share


class Network(Block):
    """The DCASE CRNN."""

    filters: list[Count] = Field([16, 32, 64, 128, 128, 128, 128], description="channels per block")
    pooling: list[tuple[Count, Count]] = Field(
        [(2, 2), (2, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2)],
        description="average pooling per block: time, frequency",
    )
    hidden: Count = Field(128, description="units per direction of the recurrent layers")
    layers: Count = Field(2, description="recurrent layers")
    dropout: Share = Field(0.5, description="after each block and after the recurrent layers")
    block_dropout: Share | None = Field(None, description="dropout after each block; null: `dropout`")
    batch_norm_momentum: Share = Field(0.99, description="weight of the latest batch (torch's sense)")
    gate: str = Field(
        "default",
        pattern="^(default|identity)$",
        description="start of the GLU's weights: default (random) or identity (trains sooner)",
    )
    bias: float = Field(0.0, description="start of the strong head's bias")
    projection: Count = Field(128, description="dimension of the projected frames")


class Batch(Block):
    """Clips of each kind in a batch."""

    synth: Count = 12
    weak: Count = 12
    unlabelled: Count = 24


class MeanTeacherSettings(Block):
    """The mean-teacher base."""

    weight: Positive = Field(2.0, description="largest weight of the consistency losses")
    ramp_epochs: Positive = Field(50, description="epochs of the ramp of weight and learning rate")
    decay: Share = Field(0.999, description="largest decay of the teacher's average")
    mixup: Share = Field(0.5, description="probability of mixup in a step")
    mixup_alpha: Positive = Field(0.2, description="Beta(alpha, alpha) of the mixup ratio")


class Clc(Block):
    """Local consistency: CutMix of inputs and of the teacher's frame predictions (CLC)."""

    use: bool = Field(True, description="whether the loss is used")
    ratio: tuple[Share, Share] = Field((0.2, 0.5), description="share of the clip that is pasted")


class Pgc(Block):
    """Global consistency: contrast against class prototypes (PGC)."""

    use: bool = Field(True, description="whether the loss is used")
    start_epoch: int = Field(100, ge=0, description="epoch at whose end the prototypes are initialised")
    prototypes: Count = Field(3, description="prototypes per class")
    confident: Share = Field(0.9, description="a frame belongs to a class above this (paper's positives too)")
    background: Share = Field(0.1, description="a frame is background when every class is below this")
    uncertain: Share = Field(0.5, description="anchors: the student is below this where the teacher is sure")
    momentum: Share = Field(0.996, description="moving average of the prototypes")
    temperature: Positive = Field(0.1, description="of the contrast")
    weight: Positive = Field(0.1, description="weight of the loss")


class Settings(PaperSettings):
    """What a row of LGC-SED may change."""

    front_end: str = Field("mel128", description="the front end of all streams")
    network: Network = Field(default_factory=Network)
    batch: Batch = Field(default_factory=Batch)
    mean_teacher: MeanTeacherSettings = Field(default_factory=MeanTeacherSettings)
    clc: Clc = Field(default_factory=Clc, description="local consistency")
    pgc: Pgc = Field(default_factory=Pgc, description="global consistency")
    select_on: str = Field(
        "synth",
        pattern="^(synth|real|last)$",
        description="the checkpoint is chosen on the synthetic validation set (leak-free), on the "
        "real validation set (which is also reported on), or is the last one",
    )
    decoding: Decoding = Field(default_factory=Decoding)
    training: Training = Field(default_factory=Training)

    def streams(self) -> list[Stream]:
        inputs = (self.front_end,)
        return [
            Stream("synth", (Subset("desed", "synth_train"),), inputs, self.batch.synth, "frames"),
            Stream("weak", (Subset("desed", "weak", "train"),), inputs, self.batch.weak, "clips"),
            Stream(
                "unlabelled", (Subset("desed", "unlabelled"),), inputs, self.batch.unlabelled, "none"
            ),
        ]

    def held_out(self) -> list[HeldOut]:
        inputs = (self.front_end,)
        sets = [
            HeldOut("validation", Subset("desed", "validation"), inputs, selects=self.select_on == "real"),
            HeldOut("public_eval", Subset("desed", "public_eval"), inputs),
        ]
        if self.select_on == "synth":
            synth = Subset("desed", "synth_validation")
            sets.append(HeldOut("synth_validation", synth, inputs, selects=True, reports=False))
        return sets

    def grid(self, front_ends: Mapping[str, FrontEnd]) -> Grid:
        front_end = front_ends[self.front_end]
        pooled = 1
        frames = front_end.frames
        for time, _ in self.network.pooling:
            pooled *= time
            frames //= time
        return Grid(frames, pooled * front_end.hop / front_end.sample_rate)

    def classes(self, data: Data) -> list[str]:
        return list(data.desed.classes)
