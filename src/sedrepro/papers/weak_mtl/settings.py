"""Settings of the weakly labelled multi-task paper; a row is a pooling and an alpha."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

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


class Network(Block):
    """Widths of the networks; every map stays as large as the input."""

    channels: list[Count] = Field([32, 64, 128, 256], description="blocks of the 2APAE encoder")
    vgg_channels: list[Count] = Field(
        [32, 64, 128, 128], description="blocks of the encoder under GMP, GAP and GWRP"
    )
    atrous_channels: list[Count] = Field(
        [64, 128, 256], description="convolutions of AtrousAP, dilated by 1, 2, 4, …"
    )
    gwrp_decay: Share = Field(0.9998, description="weight of a rank relative to the one above it")


class Plateau(Block):
    """The rate falls when the selection score no longer rises."""

    patience: int = Field(
        3, ge=0, description="epochs in a row without a new best that are suffered"
    )
    factor: Share = Field(0.1, description="the rate is multiplied by this")
    threshold: float = Field(
        1e-4, ge=0, description="a new best beats the old one by more than this share of it"
    )


class Settings(PaperSettings):
    """What a row may change."""

    MODELS = ("network",)

    front_end: str = Field("logmel64", description="the front end")
    snr: float = Field(20, ge=-30, le=60, description="the events over the scene, dB")
    fold: int = Field(
        4, ge=1, le=4, description="the held-out fold; where `folds` are listed, the run's"
    )
    pooling: Literal["gmp", "gap", "gwrp", "atrous_ap", "two_step"] = Field(
        "two_step", description="from class maps to clips; two_step is the proposed network"
    )
    alpha: float = Field(
        0.001, ge=0, description="weight of the reconstruction; 0: no auxiliary task (two_step)"
    )
    batch: Count = Field(24, description="clips in a batch")
    network: Network = Field(default_factory=Network, description="the network")
    plateau: Plateau = Field(default_factory=Plateau, description="the schedule of the rate")
    frame_scores: bool = Field(
        True, description="keep frame scores (0.1 GB per checkpoint): the frame-level extras"
    )
    training: Training = Field(
        default_factory=lambda: Training(epochs=80), description="the trainer"
    )
    decoding: Decoding = Field(
        default_factory=lambda: Decoding(threshold=0.1, gate=0.1, median=1),
        description="the operating point of the frame-level extras",
    )

    def streams(self) -> list[Stream]:
        clips = self._subset(f"!{self.fold}")
        return [Stream("mixtures", (clips,), (self.front_end,), self.batch, "clips")]

    def held_out(self) -> list[HeldOut]:
        clips = self._subset(str(self.fold))
        inputs, metrics = (self.front_end,), ("tagging",)
        return [HeldOut("held_out", clips, inputs, metrics, selects=True, unit="events")]

    def selection(self) -> list[str]:
        return ["held_out/network/micro_ap"]

    def _subset(self, portion: str) -> Subset:
        return Subset("snr_mix", f"snr{self.snr:g}", portion)

    def grid(self, front_ends: Mapping[str, FrontEnd]) -> Grid:
        front_end = front_ends[self.front_end]
        if front_end.kind != "stft_logmel":
            raise ValueError(f"{self.front_end} must be of kind stft_logmel, not {front_end.kind}")
        return Grid(front_end.frames, front_end.hop / front_end.sample_rate)

    def classes(self, data: Data) -> list[str]:
        return list(data.snr_mix.classes)
