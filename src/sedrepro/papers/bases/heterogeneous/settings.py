"""Settings of the DCASE 2024 system: two corpora, a frozen encoder, a CRNN. Light: no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from ....settings import (
    Block,
    Data,
    FrontEnd,
    Grid,
    HeldOut,
    Overlap,
    PaperSettings,
    Stream,
    Subset,
)
from ....settings.blocks import ClassNames, Count, Positive, Share
from ....settings.classes import MAESTRO_CLASSES
from ....settings.explain import neighbour
from ..mean_teacher import settings as mean_teacher
from ..mean_teacher.settings import Layers

DESED, MAESTRO = "desed", "maestro"


class Network(mean_teacher.Crnn):
    """The CRNN, with a late merge of what the encoder says."""

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

    @property
    def options(self) -> dict[str, Any]:
        return {
            **super().options,
            "merge_dropout": self.merge_dropout,
            "drop_longest": 0 if self.drop_steps == "none" else self.drop_longest,
            "drop_share": self.drop_share,
            "drop_each": self.drop_steps == "example",
        }


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

    @property
    def inputs(self) -> tuple[str, ...]:
        """The front end that is read beside the spectra."""
        return (self.front_end,) if self.cached else ()

    @property
    def options(self) -> dict[str, Any]:
        """What a network is told of it."""
        return {"token_pooling": self.pooling, "depth": self.depth, "bands": self.bands}

    def check(self, grid: Grid, front_ends: Mapping[str, FrontEnd]) -> None:
        """ValueError if its stores are not what the network wants."""
        if not self.cached:
            return
        stored = front_ends[self.front_end]
        if stored.kind != self.resource:
            raise ValueError(f"encoder.front_end should be of {self.resource}")
        if (stored.steps, stored.channels) != (grid.frames, self.width):
            raise ValueError(
                f"front end {self.front_end} has {stored.steps} steps of {stored.channels} "
                f"channels; the network wants {grid.frames} of {self.width}"
            )


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


class MeanTeacher(mean_teacher.Averaging):
    """The mean-teacher base and its schedule."""

    decay_epoch: Positive = Field(100, description="epoch from which the learning rate falls")


class Settings(PaperSettings):
    """What a paper on this system may change; what it adds stands in its own settings."""

    MODELS = ("student", "teacher")

    front_end: str = Field("wave16k", description="the waveforms; spectra are made on the device")
    network: Network = Field(default_factory=Network, description="the CRNN")
    encoder: Encoder = Field(default_factory=Encoder, description="the pre-trained transformer")
    batch: Batch = Field(default_factory=Batch, description="the training batch")
    mixup: Mixup = Field(default_factory=Mixup, description="mixup")
    mean_teacher: MeanTeacher = Field(default_factory=MeanTeacher, description="the base of all")
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
    shared: ClassNames = Field(
        ["Speech", "Dog", "Dishes"],
        description="classes of DESED that are valid in MAESTRO; those that data.desed.classes "
        "lacks have no effect",
    )
    shown_block: int = Field(3, ge=0, description="the CNN block whose map figures show")

    @field_validator("aliases")
    @classmethod
    def _names_of_maestro(cls, aliases: dict[str, list[str]]) -> dict[str, list[str]]:
        for name in (name for others in aliases.values() for name in others):
            if name not in MAESTRO_CLASSES:
                close = neighbour(name, MAESTRO_CLASSES)
                raise ValueError(f"MAESTRO has no class {name!r}{close}")
        return aliases

    @model_validator(mode="after")
    def _shown_is_there(self) -> Settings:
        if self.shown_block >= len(self.network.filters):
            raise ValueError(f"shown_block {self.shown_block}: the CNN has fewer blocks")
        return self

    @property
    def built(self) -> Layers:
        return self.network

    @property
    def recomputes(self) -> bool:
        return self.built.batch_norm_recompute

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.front_end, *self.encoder.inputs)

    @property
    def strong(self) -> tuple[Subset, ...]:
        """What the third group of a batch is drawn from."""
        return Subset(DESED, "strong_real"), Subset(DESED, "synth_train")

    def streams(self) -> list[Stream]:
        inputs, batch, synth = self.inputs, self.batch, Subset(DESED, "synth_train")
        windows = Subset(MAESTRO, "train", "train")
        return [
            Stream(
                "maestro", (windows,), inputs, batch.maestro, "frames", overlap=self.label_overlap
            ),
            Stream("synth", (synth,), inputs, batch.synth, "frames"),
            Stream("strong", self.strong, inputs, batch.strong, "frames"),
            Stream("weak", (Subset(DESED, "weak", "train"),), inputs, batch.weak, "clips"),
            Stream("unlabelled", (Subset(DESED, "unlabelled"),), inputs, batch.unlabelled, "none"),
        ]

    def held_out(self) -> list[HeldOut]:
        inputs = self.inputs
        choosing: dict[str, Any] = {"selects": True, "reports": False}
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
        name, pooling = self.front_end, self.network.pooling
        grid = mean_teacher.grid(front_ends[name], name, pooling, "network.pooling")
        self.encoder.check(grid, front_ends)
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
