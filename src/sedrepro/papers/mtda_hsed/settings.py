"""Settings of MTDA-HSED; the shell is the DCASE 2024 baseline's, the modules are reconstructed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator, model_validator

from ...settings import (
    Block,
    Data,
    Decoding,
    FrontEnd,
    Grid,
    HeldOut,
    Overlap,
    PaperSettings,
    Stream,
    Subset,
    Training,
)
from ...settings.blocks import Count, Positive, Share
from ...settings.classes import MAESTRO_CLASSES
from ...settings.explain import neighbour
from .. import dcase

DESED, MAESTRO = "desed", "maestro"


class Network(dcase.Crnn):
    """The baseline's CRNN with its late merge."""

    hidden: Count = Field(192, description="units per direction of the recurrent layers")
    layers: Count = Field(
        2, description="recurrent layers: the baseline's code builds 2 whatever its YAML says"
    )
    dropout: Share = Field(0.2, description="after each block and after the recurrent layers")
    merge_dropout: Share = Field(0.2, description="before both branches' frames are merged")
    drop_steps: Literal["none", "batch", "example"] = Field(
        "batch",
        description="silence a stretch of each branch's frames while training: one for the whole "
        "batch (torchaudio up to 2.0, so the baseline), or one per clip",
    )
    drop_longest: Count = Field(16, description="frames such a stretch stays below")
    drop_share: Share = Field(0.3, description="and the share of the frames it stays below")


class Encoder(Block):
    """The pre-trained transformer."""

    resource: Literal["beats", "atst_frame"] = Field("beats", description="which one")
    cached: bool = Field(
        True, description="read its pooled tokens from stores (frozen), or compute them here"
    )
    front_end: str = Field("beats", description="the front end of those stores")
    width: Count = Field(768, description="values per token")
    depth: Count = Field(12, description="blocks")
    bands: Count = Field(8, description="tokens per time step (frequency patches)")
    pooling: Literal["flat", "bands"] = Field(
        "flat", description="to CRNN frames: over the flat index (baseline), or over bands first"
    )
    gradient: Share = Field(
        1.0, description="factor of the gradient at each block's input (pre-training: 0.6)"
    )
    drop: Share = Field(0.0, description="probability to leave a block out (pre-training: 0.05)")
    save_memory: bool = Field(
        True, description="compute its blocks again in the backward pass instead of keeping them"
    )


class Adapter(Block):
    """A small trained module in each block of the frozen transformer."""

    kind: Literal["none", "m3a", "mona", "houlsby", "act_net"] = Field(
        "none", description="which one; act_net is reconstructed"
    )
    long: int = Field(1536, ge=0, description="m3a: width of the long-term branch; 0: none")
    short: int = Field(192, ge=0, description="m3a: width of the short-term branch; 0: none")
    competitors: Literal["tokens", "channels"] = Field(
        "tokens",
        description="m3a: among what the short-term branch's softmax shares out; its axis is not "
        "known. Shares are scaled to a mean of 1, else the branch adds next to nothing",
    )
    scale: float = Field(1.0, description="m3a: factor of both branches")
    parallel: bool = Field(True, description="m3a: beside the feed-forward layer, or behind it")
    inner: Count = Field(64, description="mona, houlsby, act_net: width of the bottleneck")
    dropout: Share = Field(0.1, description="mona, houlsby: in the bottleneck")
    rate: Positive = Field(0.1, description="learning rate of the adapters over the network's")

    @model_validator(mode="after")
    def _some_branch(self) -> Adapter:
        if self.kind == "m3a" and not (self.long or self.short):
            raise ValueError("m3a needs a long or a short branch")
        return self


class Dbmf(Block):
    """Dual-branch mid-fusion: the transformer's tokens join the CNN's maps."""

    use: bool = Field(False, description="whether there is any")
    stages: list[tuple[int, Count]] = Field(
        [(2, 4), (3, 8), (4, 12)], description="CNN block (from 0) and transformer block (from 1)"
    )
    operation: Literal["add", "gated_add", "concat1x1"] = Field(
        "gated_add", description="how they join"
    )
    back: bool = Field(False, description="the CNN's maps join the tokens too")

    @model_validator(mode="after")
    def _in_order(self) -> Dbmf:
        for one, other in zip(self.stages, self.stages[1:], strict=False):
            if not (one[0] < other[0] and one[1] < other[1]):
                raise ValueError("stages must go upwards in both branches")
        return self


class Batch(Block):
    """Clips of each kind in a batch, in batch order."""

    maestro: Count = Field(12, description="windows of MAESTRO with soft labels")
    synth: Count = Field(6, description="synthetic clips")
    strong: Count = Field(
        6, description="strongly labelled clips, real and synthetic alike; of ATST-SED real ones"
    )
    weak: Count = Field(12, description="weakly labelled clips")
    unlabelled: Count = Field(24, description="unlabelled clips")


class Mixup(Block):
    """Mixup inside each labelled kind of clip."""

    probability: Share = Field(0.5, description="probability in a step")
    alpha: Positive = Field(0.2, description="Beta(alpha, alpha) of the ratio")
    kind: Literal["coherent", "baseline", "spectra"] = Field(
        "coherent",
        description="coherent: one draw for spectra, transformer and labels; baseline: as its code "
        "does, spectra and tokens by different draws, labels by one after the other, weak labels "
        "hard; spectra: what the transformer reads is not mixed",
    )


class MeanTeacher(Block):
    """The mean-teacher base and its schedule."""

    weight: Positive = Field(2.0, description="largest weight of the consistency loss")
    ramp_epochs: Positive = Field(50, description="epochs of the ramp of weight and learning rate")
    decay_epoch: Positive = Field(100, description="epoch from which the learning rate falls")
    decay: Share = Field(0.999, description="largest decay of the teacher's average")
    average_before_step: bool = Field(
        True, description="the teacher averages the student as it was before the step's update"
    )


class AtstSed(Block):
    """What the two stages of ATST-SED change in the training."""

    stage: Literal[0, 1, 2] = Field(0, description="0: this is no ATST-SED row")
    warm_up: Positive = Field(50, description="epochs of the ramp of weight and learning rate")
    weight: Positive = Field(2.0, description="largest weight of the consistency loss")
    weak: Positive = Field(1.0, description="weight of clip terms beside frame terms")
    layer_decay: Share = Field(0.5, description="stage 2: factor of the rate per block downwards")
    lowest: Share = Field(0.1, description="stage 2: the cosine ends at this share of the rate")
    warp: Share = Field(0.5, description="stage 2: probability of a frequency warp")
    heads_rate: Positive = Field(10.0, description="stage 2: rate of RNN and heads over the CNN's")


class Settings(PaperSettings):
    """What a row of MTDA-HSED may change."""

    MODELS = ("student", "teacher")

    front_end: str = Field("wave16k", description="the waveforms; spectra are made on the device")
    network: Network = Field(default_factory=Network, description="the CRNN")
    encoder: Encoder = Field(default_factory=Encoder, description="the pre-trained transformer")
    adapter: Adapter = Field(default_factory=Adapter, description="adapters in its blocks")
    dbmf: Dbmf = Field(default_factory=Dbmf, description="mid-fusion")
    batch: Batch = Field(default_factory=Batch, description="the training batch")
    mixup: Mixup = Field(default_factory=Mixup, description="mixup")
    mean_teacher: MeanTeacher = Field(default_factory=MeanTeacher, description="the base of all")
    atst: AtstSed = Field(default_factory=AtstSed, description="the ATST-SED row's training")
    aliases: dict[str, list[str]] = Field(
        {
            "Speech": ["people talking", "children voices", "announcement"],
            "Dishes": ["cutlery and dishes"],
        },
        description="classes of DESED that MAESTRO's training windows have too, by other names; "
        "those that data.desed.classes lacks have no effect",
    )
    alias_overlap: Literal["last", "largest"] = Field(
        "last",
        description="which of several such names counts in a frame: the last listed one that does "
        "not repeat an earlier one's confidence, as the baseline's code; or the surest",
    )
    label_overlap: Overlap = Field(
        "last",
        description="which of MAESTRO's one-second labels counts in a frame that two share: "
        "the last, as the baseline's code writes one row over the other; or the largest",
    )
    shared: list[str] = Field(
        ["Speech", "Dog", "Dishes"],
        description="classes of DESED that are valid in MAESTRO; those that data.desed.classes "
        "lacks have no effect",
    )
    shown_block: int = Field(3, ge=0, description="the CNN block whose map figures show")
    training: Training = Field(default_factory=Training, description="the trainer")
    decoding: Decoding = Field(default_factory=Decoding, description="from scores to events")

    @field_validator("aliases")
    @classmethod
    def _names_of_maestro(cls, aliases: dict[str, list[str]]) -> dict[str, list[str]]:
        for name in (name for others in aliases.values() for name in others):
            if name not in MAESTRO_CLASSES:
                close = neighbour(name, MAESTRO_CLASSES)
                raise ValueError(f"MAESTRO has no class {name!r}{close}")
        return aliases

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        online = self.adapter.kind != "none" or self.dbmf.use or self.atst.stage == 2
        if online and self.encoder.cached:
            raise ValueError("encoder.cached must be off where its blocks are entered or trained")
        if self.dbmf.use and self.dbmf.stages:
            block, layer = self.dbmf.stages[-1]
            if block >= len(self.network.filters) or layer > self.encoder.depth:
                raise ValueError(
                    f"dbmf.stages end at {[block, layer]}: there are {len(self.network.filters)} "
                    f"CNN blocks (from 0) and {self.encoder.depth} transformer blocks"
                )
        if self.shown_block >= len(self.network.filters):
            raise ValueError(f"shown_block {self.shown_block}: the CNN has fewer blocks")
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        cached = (self.encoder.front_end,) if self.encoder.cached else ()
        return (self.front_end, *cached)

    def streams(self) -> list[Stream]:
        inputs, batch, synth = self.inputs, self.batch, Subset(DESED, "synth_train")
        real = Subset(DESED, "strong_real")
        strong = (real,) if self.atst.stage else (real, synth)
        windows = (Subset(MAESTRO, "train", "train"),)
        return [
            Stream("maestro", windows, inputs, batch.maestro, "frames", overlap=self.label_overlap),
            Stream("synth", (synth,), inputs, batch.synth, "frames"),
            Stream("strong", strong, inputs, batch.strong, "frames"),
            Stream("weak", (Subset(DESED, "weak", "train"),), inputs, batch.weak, "clips"),
            Stream("unlabelled", (Subset(DESED, "unlabelled"),), inputs, batch.unlabelled, "none"),
        ]

    def held_out(self) -> list[HeldOut]:
        inputs, choosing = self.inputs, {"selects": True, "reports": False}
        weak = Subset(DESED, "weak", "held_out")
        windows = Subset(MAESTRO, "train", "held_out")
        return [
            HeldOut("validation", Subset(DESED, "validation"), inputs),
            HeldOut(
                "maestro", Subset(MAESTRO, "validation"), inputs, ("maestro",), unit="recording"
            ),
            HeldOut("weak", weak, inputs, ("desed_tags",), **choosing),
            HeldOut("synth_validation", Subset(DESED, "synth_validation"), inputs, **choosing),
            HeldOut(
                "maestro_held_out", windows, inputs, ("maestro",), unit="recording", **choosing
            ),
        ]

    def selection(self) -> list[str]:
        return [
            "weak/student/weak_f1",
            "synth_validation/student/intersection_f1",
            "maestro_held_out/student/segment_f1_best",
        ]

    def weights(self) -> list[str]:
        return [self.encoder.resource]

    def grid(self, front_ends: Mapping[str, FrontEnd]) -> Grid:
        name, encoder = self.front_end, self.encoder
        grid = dcase.grid(front_ends[name], name, self.network.pooling, "network.pooling")
        if encoder.cached:
            stored = front_ends[encoder.front_end]
            if stored.kind != encoder.resource:
                raise ValueError(f"encoder.front_end should be of {encoder.resource}")
            if (stored.steps, stored.channels) != (grid.frames, encoder.width):
                raise ValueError(
                    f"front end {encoder.front_end} has {stored.steps} steps of {stored.channels} "
                    f"channels; the network wants {grid.frames} of {encoder.width}"
                )
        return grid

    def classes(self, data: Data) -> list[str]:
        return [*data.desed.classes, *MAESTRO_CLASSES]

    def check_classes(self, classes: list[str]) -> None:
        own = classes[: -len(MAESTRO_CLASSES)]
        if taken := [name for name in own if name in MAESTRO_CLASSES]:
            raise ValueError(
                f"data.desed.classes has {', '.join(taken)}: MAESTRO's classes are called so too"
            )
        super().check_classes(classes)
