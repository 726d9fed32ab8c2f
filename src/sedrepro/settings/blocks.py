"""The typed blocks settings are made of. Each field's description is its documentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .declared import FRONT_ENDS

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
ClassName = Annotated[str, "the name of a class"]
ClassNames = list[ClassName]
"""Names that are looked up among the classes of the data before anything is planned."""
Checkpoint = Literal["best", "last", "best_test"]


class Block(BaseModel):
    """A settings block: immutable, and a key nobody knows is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )


TOKENS = tuple(kind for kind, how in FRONT_ENDS.items() if how.of_waveforms)
"""Kinds of front ends that are frozen networks, named as the resource of their weights."""
MEL_KINDS = ("mel", "stft_logmel", "segment_logmel")


class FrontEnd(Block):
    """How a waveform becomes what a network reads, raw; normalising is the run's."""

    kind: Literal[
        "mel",
        "stft_logmel",
        "waveform",
        "vgg_visual",
        "vgg_audio",
        "audioclip_visual",
        "audioclip_audio",
        "frames",
        "segment_logmel",
        "beats",
        "atst_frame",
    ] = Field(
        "mel",
        description="mel: linear mel spectrum, centred frames; stft_logmel: natural log of a "
        "Slaney mel spectrum, frames inside the clip; waveform: samples, of "
        "which a run computes the mel spectrum of these parameters. Of each second of a video: "
        "vgg_*: the released AVE features; audioclip_*: features of the AudioCLIP towers; frames: "
        "its middle picture; segment_logmel: as stft_logmel. beats, atst_frame: the pooled "
        "tokens of the frozen transformer",
    )
    sample_rate: Count = Field(16000, description="Hz; audio is resampled and down-mixed to it")
    seconds: Positive = Field(10.0, description="clip length; shorter clips are padded with zeros")
    form: Literal["scaled", "float32"] = Field(
        "scaled",
        description="waveform: how samples are kept: scaled: in 16 bits, a quiet clip doubled as "
        "often as they allow; float32: as read, in twice the space",
    )
    n_fft: Count = Field(2048, description="samples in the Fourier transform (and its window)")
    hop: Count = Field(256, description="samples between spectrum frames")
    n_mels: Count = Field(128, description="mel bands")
    f_min: float = Field(0.0, ge=0, description="lowest frequency of the mel bands, Hz")
    f_max: Positive = Field(8000.0, description="highest frequency of the mel bands, Hz")
    power: Positive = Field(1.0, description="1: magnitudes, 2: powers")
    channels: Count = Field(512, description="features per place or second (vgg_*, audioclip_*)")
    pixels: Count = Field(224, description="width and height of a picture (frames, audioclip_*)")
    per_second: Count = Field(4, description="pictures a second's features average")
    waveform: str = Field("wave16k", description="the front end they read (beats, atst_frame)")
    steps: Count = Field(156, description="frames the tokens are pooled to (beats, atst_frame)")
    pooling: Literal["flat", "bands"] = Field(
        "flat",
        description="average tokens over their flat index, as the DCASE 2024 baseline, or over "
        "frequency bands first (beats)",
    )

    @property
    def samples(self) -> int:
        return round(self.seconds * self.sample_rate)

    @property
    def frames(self) -> int:
        """Spectrum frames per clip: centred ones, or only those inside it (or inside a second)."""
        length = self.sample_rate if self.kind == "segment_logmel" else self.samples
        inside = length - self.n_fft if self.kind.endswith("logmel") else length
        return 1 + inside // self.hop

    @property
    def segments(self) -> int:
        """Seconds of a video, each with its features."""
        return round(self.seconds)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one stored clip: mel bands × frames, samples, or seconds × what each has."""
        if self.kind == "waveform":
            return (self.samples + (self.form == "scaled"),)  # how often it was doubled comes last
        if self.kind in TOKENS:
            return (self.steps, self.channels)
        per_second = {
            "vgg_visual": (7, 7, self.channels),
            "vgg_audio": (self.channels,),
            "audioclip_visual": (7, 7, self.channels),
            "audioclip_audio": (self.channels,),
            "frames": (3, self.pixels, self.pixels),
            "segment_logmel": (self.n_mels, self.frames),
        }
        if self.kind in per_second:
            return (self.segments, *per_second[self.kind])
        return (self.n_mels, self.frames)

    @model_validator(mode="after")
    def _below_nyquist(self) -> FrontEnd:
        if self.kind in MEL_KINDS and not self.f_min < self.f_max <= self.sample_rate / 2:
            raise ValueError(
                f"f_min < f_max <= sample_rate / 2 must hold, not {self.f_min} < {self.f_max} <= "
                f"{self.sample_rate / 2}"
            )
        return self


class Detecting(Block):
    """How the scores of one kind become events at one operating point."""

    threshold: Share = Field(
        0.5, description="operating point of the F1 scores (score > threshold)"
    )
    median: Count | Annotated[dict[str, Count], Field(min_length=1)] = Field(
        7, description="median filter length in frames: one for all classes, or one per class"
    )
    trim: bool = Field(
        True,
        description="events end where their clip ends; false: they may reach into its padding, "
        "as in the DCASE recipes",
    )

    def windows(self, classes: list[str]) -> list[int]:
        """The median length of each class; classes the setting does not name get its average."""
        if isinstance(self.median, int):
            return [self.median] * len(classes)
        fallback = round(sum(self.median.values()) / len(self.median))
        return [self.median.get(name, fallback) for name in classes]


class Training(Block):
    """What the one trainer does, whatever the paper."""

    epochs: Count = Field(200, description="training epochs")
    steps_per_epoch: Count | None = Field(
        None, description="optimiser steps per epoch; null: until the shortest stream is used up"
    )
    learning_rate: Positive = Field(1e-3, description="the optimiser's base rate")
    clip_norm: float | None = Field(
        None, gt=0, description="largest gradient norm; null: no clipping"
    )
    validate_every: Count = Field(1, description="epochs between validations")
    checkpoint_every: Count = Field(1, description="epochs between resumable checkpoints")
    score_batch: Count = Field(24, description="clips per batch when scoring")
    keep: list[Checkpoint] = Field(
        ["best", "last"],
        description="which checkpoints are scored and reported; the first is the headline. "
        "best_test is chosen on the reported set itself: only to compare with papers that did so",
    )
    select_decoding: Detecting = Field(
        default_factory=Detecting,
        description="how scores become events where checkpoints are chosen by F1 scores; what is "
        "reported is decoded by `decoding`, which no training depends on",
    )


class Boxes(Block):
    """How frame scores become boxes of one score each, instead of being median filtered.

    Every combination of the three lists is tried, and each class takes the one with its best
    PSDS 1. The values are those the method's authors try.
    """

    tuned_on: str = Field(
        "synth_validation", description="the held-out set they are tuned on; not a reported one"
    )
    step: list[Positive] = Field(
        [0.32, 0.48, 0.64], min_length=1, description="lengths of the step filter, s"
    )
    merge_abs: list[Positive] = Field(
        [0.15, 0.2, 0.3],
        min_length=1,
        description="a gap joins its neighbours if it lies no more than this below their peak, and",
    )
    merge_rel: list[Positive] = Field(
        [1.5, 2.0, 3.0],
        min_length=1,
        description="if their peak is no more than so many times the gap",
    )

    @property
    def grid(self) -> tuple[list[float], list[float], list[float]]:
        return self.step, self.merge_abs, self.merge_rel


class Decoding(Detecting):
    """How frame scores become events."""

    scores: str = Field("frame", description="which of a method's frame scores are decoded")
    gate: Share = Field(
        0.0,
        description="tagging papers: frame scores count only where the clip's score exceeds this",
    )
    operating_points: Count = Field(50, description="thresholds of the PSDS by psds_eval")
    boxes: Boxes | None = Field(
        None,
        description="sound event bounding boxes in the place of the medians (docs/boxes.md), of "
        "sets scored as sound events; the medians stay what they are compared with",
    )
    event_free: Literal["decoded", "duration", "omitted"] = Field(
        "decoded",
        description="clips without any event (15 of DESED's 1,168 validation clips): decoded like "
        "all others; duration: nothing is detected in them but their length counts, as where a "
        "recipe's data set drops them and psds_eval is told of them; omitted: left out and not "
        "expected. Of sets scored as sound events",
    )
