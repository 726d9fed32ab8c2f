"""Settings of audio-visual event localization; a row names its network and what it changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from ...settings import (
    Block,
    Data,
    FrontEnd,
    Grid,
    HeldOut,
    PaperSettings,
    Stream,
    Subset,
    Training,
)
from ...settings.blocks import Count, Positive, Share
from ...settings.streams import Labels


class Network(Block):
    """Which network, and its parts; a part that a network does not have is not looked at."""

    kind: Literal["dmsf", "avel", "dmrn", "psp", "cmran", "linear"] = Field(
        "dmsf",
        description="dmsf; avel: the dual recurrent network of Tian et al.; dmrn: their residual "
        "fusion; psp; cmran; linear: a linear probe of pooled features",
    )
    modalities: Literal["a", "v", "av"] = Field("av", description="avel: what it hears and sees")
    agva: Literal["hidden", "repo", "mean"] = Field(
        "hidden",
        description="attention over places: hidden: the audio term along hidden units; repo: along "
        "places, as released (needs agva_size = places); mean: none, the places' mean",
    )
    agva_hidden: Count = Field(512, description="hidden units of the attention")
    agva_size: Count = Field(49, description="size of the attention's inner vectors")
    width: Count = Field(256, description="dmsf: model width; the README's is that of the map")
    adapter: bool = Field(True, description="dmsf: adapters behind the frozen encoders")
    adapter_ratio: Count = Field(4, description="features per unit of the adapters' bottleneck")
    temporal: Literal["sns", "bilstm"] = Field("sns", description="dmsf: SNS, or a BiLSTM instead")
    mamba: bool = Field(True, description="SNS: a recurrent block before the attention")
    recurrent: Literal["mamba", "bilstm"] = Field(
        "mamba",
        description="SNS: what that block is: a state space, or a BiLSTM, as an earlier repository "
        "of the authors describes it",
    )
    gate: bool = Field(True, description="SNS: the gated self-attention")
    bidirectional: bool = Field(False, description="SNS: a second block, backwards in time")
    state: Count = Field(16, description="Mamba: size of the state")
    heads: Count = Field(8, description="attention heads (dmsf)")
    ffn: bool = Field(True, description="dmsf: feed-forward layers behind SNS and CIC")
    cic: bool = Field(True, description="dmsf: cross-modal correlation; false: v^C = v^S")
    dropout: Share = Field(0.2, description="dmsf: dropout")
    lstm: Count = Field(128, description="units per direction of the baselines' BiLSTMs")
    threshold: Share = Field(0.099, description="psp: similarities below this share are cut off")
    channel_attention: bool = Field(True, description="cmran: channel attention on the map")
    encoders: bool = Field(True, description="cmran: an encoder before the relation decoders")
    relation_heads: Count = Field(4, description="cmran: heads of the last attention")

    @model_validator(mode="after")
    def _something_temporal(self) -> Network:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is no multiple of {self.heads} heads")
        return self


class Encoder(Block):
    """The encoders that are trained along, where the front ends are pictures and spectra."""

    channels: Count = Field(64, description="channels of the map")
    audio: Count = Field(64, description="dimension of a second's sound")


class Losses(Block):
    """Weights of the losses."""

    pre_fusion: float = Field(0.5, ge=0, description="dmsf: cross-entropy of the branch before CIC")
    mutual: float = Field(1.0, ge=0, description="dmsf: mutual learning of both branches")
    temperature: Positive = Field(2.0, description="dmsf: temperature of mutual learning")
    ramp_epochs: Positive = Field(10, description="dmsf: epochs to mutual learning's full weight")
    similarity: float = Field(100.0, ge=0, description="psp: weight of the similarity loss")


class Optimiser(Block):
    """How the rate and the weights decay."""

    weight_decay: float = Field(1e-4, ge=0, description="decoupled; biases and norms have none")
    schedule: Literal["cosine", "steps"] = Field("cosine", description="of the learning rate")
    warmup: float = Field(5, ge=0, description="cosine: epochs of a linear start")
    milestones: list[Count] = Field([], description="steps: epochs after which the rate falls")
    factor: Positive = Field(0.1, description="steps: what it falls to, as a share")


class Settings(PaperSettings):
    """What a row of audio-visual event localization may change."""

    MODELS = ("network",)

    supervision: Literal["full", "weak"] = Field(
        "full", description="labels of segments, or of videos only (with background videos)"
    )
    visual: str = Field("ave_visual", description="the visual front end")
    audio: str = Field("ave_audio", description="the audio front end")
    batch: Count = Field(64, description="videos per batch")
    negatives: bool = Field(
        True,
        description="weak: train on background videos too; without, none is ever predicted",
    )
    weak_targets: Literal["tags", "shares"] = Field(
        "tags",
        description="weak: what a video's scores learn: which class it has; shares: how much of it "
        "each class and the background take, as PSP's released targets, which so tell how long an "
        "event is",
    )
    without_shared: bool = Field(
        False, description="leave out training rows whose video is also in validation or test"
    )
    network: Network = Field(default_factory=Network, description="the network")
    encoder: Encoder = Field(default_factory=Encoder, description="encoders trained along")
    losses: Losses = Field(default_factory=Losses, description="weights of the losses")
    optimiser: Optimiser = Field(default_factory=Optimiser, description="rate and weight decay")
    weak_pool: Literal["mean", "max"] = Field("mean", description="dmsf, weak: segments to video")
    ensemble: bool = Field(False, description="dmsf: predict by the mean of both branches")
    training: Training = Field(default_factory=Training, description="the trainer")

    @property
    def inputs(self) -> tuple[str, str]:
        return self.visual, self.audio

    def streams(self) -> list[Stream]:
        train = Subset("ave", "train", "!shared" if self.without_shared else None)
        subsets: tuple[Subset, ...] = (train,)
        labels: Labels = "frames"
        if self.supervision == "weak":
            # Shares of the video are counted from its segments.
            labels = "frames" if self.weak_targets == "shares" else "clips"
            if self.negatives:
                subsets = (train, Subset("ave", "negatives"))
        return [Stream("videos", subsets, self.inputs, self.batch, labels)]

    def held_out(self) -> list[HeldOut]:
        metrics = ("segments",)
        return [
            HeldOut("test", Subset("ave", "test"), self.inputs, metrics, unit="video"),
            HeldOut(
                "validation",
                Subset("ave", "validation"),
                self.inputs,
                metrics,
                selects=True,
                reports=False,
                unit="video",
            ),
        ]

    def selection(self) -> list[str]:
        return ["validation/network/segment_accuracy"]

    def grid(self, front_ends: Mapping[str, FrontEnd]) -> Grid:
        visual, audio = (front_ends[name] for name in self.inputs)
        if visual.segments != audio.segments:
            raise ValueError(
                f"{self.visual} has {visual.segments} segments, {self.audio} {audio.segments}"
            )
        pictures, spectra = visual.kind == "frames", audio.kind == "segment_logmel"
        if pictures != spectra:
            raise ValueError(f"{self.visual} and {self.audio}: train both encoders or none")
        places = (visual.pixels // 8) ** 2 if pictures else 49
        net = self.network
        if net.agva == "repo" and net.kind != "linear" and net.agva_size != places:
            raise ValueError(f"network.agva repo needs agva_size {places}, not {net.agva_size}")
        return Grid(visual.segments, 1.0)

    def classes(self, data: Data) -> list[str]:
        return list(data.ave.classes)
