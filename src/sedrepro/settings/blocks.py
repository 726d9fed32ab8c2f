"""The typed blocks settings are made of. Each field's description is its documentation."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

DESED_CLASSES = (
    "Alarm_bell_ringing",
    "Blender",
    "Cat",
    "Dishes",
    "Dog",
    "Electric_shaver_toothbrush",
    "Frying",
    "Running_water",
    "Speech",
    "Vacuum_cleaner",
)

MAESTRO_CLASSES = (
    "cutlery and dishes",
    "furniture dragging",
    "people talking",
    "children voices",
    "coffee machine",
    "footsteps",
    "large_vehicle",
    "car",
    "brakes_squeaking",
    "cash register beeping",
    "announcement",
    "shopping cart",
    "metro leaving",
    "metro approaching",
    "door opens/closes",
    "wind_blowing",
    "birds_singing",
)

FSD_CLASSES = (
    "Acoustic_guitar",
    "Applause",
    "Bark",
    "Bass_drum",
    "Burping_or_eructation",
    "Bus",
    "Cello",
    "Chime",
    "Clarinet",
    "Computer_keyboard",
    "Cough",
    "Cowbell",
    "Double_bass",
    "Drawer_open_or_close",
    "Electric_piano",
    "Fart",
    "Finger_snapping",
    "Fireworks",
    "Flute",
    "Glockenspiel",
    "Gong",
    "Gunshot_or_gunfire",
    "Harmonica",
    "Hi-hat",
    "Keys_jangling",
    "Knock",
    "Laughter",
    "Meow",
    "Microwave_oven",
    "Oboe",
    "Saxophone",
    "Scissors",
    "Shatter",
    "Snare_drum",
    "Squeak",
    "Tambourine",
    "Tearing",
    "Telephone",
    "Trumpet",
    "Violin_or_fiddle",
    "Writing",
)


AVE_CLASSES = (
    "Church bell",
    "Male speech, man speaking",
    "Bark",
    "Fixed-wing aircraft, airplane",
    "Race car, auto racing",
    "Female speech, woman speaking",
    "Helicopter",
    "Violin, fiddle",
    "Flute",
    "Ukulele",
    "Frying (food)",
    "Truck",
    "Shofar",
    "Motorcycle",
    "Acoustic guitar",
    "Train horn",
    "Clock",
    "Banjo",
    "Goat",
    "Baby cry, infant cry",
    "Bus",
    "Chainsaw",
    "Cat",
    "Horse",
    "Toilet flush",
    "Rodents, rats, mice",
    "Accordion",
    "Mandolin",
)


class Block(BaseModel):
    """A settings block: immutable, and a key nobody knows is an error."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, populate_by_name=True, allow_inf_nan=False
    )


MEL_KINDS = ("mel", "stft_logmel", "segment_logmel")


class FrontEnd(Block):
    """How a waveform becomes what a network reads, raw; normalising is the run's."""

    kind: Literal[
        "mel", "stft_logmel", "waveform",
        "vgg_visual", "vgg_audio", "audioclip_visual", "audioclip_audio", "frames", "segment_logmel",
    ] = Field(
        "mel",
        description="mel: linear mel spectrum, centred frames; stft_logmel: natural log of a "
        "Slaney mel spectrum, frames inside the clip; waveform: 16-bit samples. Of each second of "
        "a video: vgg_*: the released AVE features; audioclip_*: features of the AudioCLIP towers; "
        "frames: its middle picture; segment_logmel: as stft_logmel",
    )  # fmt: skip
    sample_rate: Count = Field(16000, description="Hz; audio is resampled and down-mixed to it")
    seconds: Positive = Field(10.0, description="clip length; shorter clips are padded with zeros")
    n_fft: Count = Field(2048, description="samples in the Fourier transform (and its window)")
    hop: Count = Field(256, description="samples between spectrum frames")
    n_mels: Count = Field(128, description="mel bands")
    f_min: float = Field(0.0, ge=0, description="lowest frequency of the mel bands, Hz")
    f_max: Positive = Field(8000.0, description="highest frequency of the mel bands, Hz")
    power: Positive = Field(1.0, description="1: magnitudes, 2: powers")
    channels: Count = Field(512, description="features per place or second (vgg_*, audioclip_*)")
    pixels: Count = Field(224, description="width and height of a picture (frames, audioclip_*)")
    per_second: Count = Field(4, description="pictures a second's features average")
    checkpoint: str = Field("", description="weights of the towers, in raw/weights (audioclip_*)")

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
            return (self.samples,)
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
    keep: list[Literal["best", "last"]] = Field(
        ["best", "last"],
        description="which checkpoints are scored and reported; the first is the headline",
    )


class Decoding(Block):
    """How frame scores become events."""

    threshold: Share = Field(
        0.5, description="operating point of the F1 scores (score > threshold)"
    )
    median: Count | dict[str, Count] = Field(
        7, description="median filter length in frames: one for all classes, or one per class"
    )
    scores: str = Field("frame", description="which of a method's frame scores are decoded")
    gate: Share = Field(
        0.0,
        description="tagging papers: frame scores count only where the clip's score exceeds this",
    )
    operating_points: Count = Field(50, description="thresholds of the PSDS by psds_eval")
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


class Soundscapes(Block):
    """How DESED's synthetic soundscapes are mixed from a sound bank (scaper through desed)."""

    clips: dict[str, Count] = Field(
        {"synth_train": 10000, "synth_validation": 2500}, description="soundscapes per subset"
    )
    shards: Count = Field(
        16, description="jobs a subset is cut into; the audio does not depend on it"
    )
    seed: int = Field(2021, description="seed of the mixing recipe")
    seconds: Positive = Field(10.0, description="length of a soundscape")
    sample_rate: Count = Field(16000, description="Hz")
    ref_db: float = Field(-50.0, description="loudness of the background, LUFS")
    snr: tuple[float, float] = Field((6.0, 30.0), description="event over background, dB, uniform")
    pitch_shift: tuple[float, float] = Field((-3.0, 3.0), description="semitones, uniform")
    reverb: Share = Field(0.1, description="scaper's reverb")
    onset: tuple[float, float, float, float] = Field(
        (5.0, 2.0, 0.25, 10.0), description="truncated normal onset: mean, deviation, min, max (s)"
    )
    max_events: Count = Field(
        4, description="most events in a soundscape when none are given by table"
    )


class WeakSplit(Block):
    """The weakly labelled set is cut in two: most train, the rest selects checkpoints."""

    fraction: Share = Field(0.9, description="share of the table's rows that trains")
    seed: int = Field(42, description="seed of the draw (pandas sample on the table's rows)")


class Desed(Block):
    """The DESED corpus."""

    local: str | None = Field(None, description="an existing DESED tree, used read-only")
    synthetic: Literal["download", "mix"] = Field(
        "download", description="download: ready-made dcase_synth.zip; mix: from the sound bank"
    )
    classes: list[str] = Field(list(DESED_CLASSES), description="class names, in index order")
    weak_split: WeakSplit = Field(default_factory=WeakSplit, description="the cut of the weak set")
    soundscapes: Soundscapes = Field(
        default_factory=Soundscapes, description="the recipe of `synthetic: mix`"
    )


class SnrMix(Block):
    """Events of FSDKaggle2018 over urban scenes at fixed SNRs; the defaults are the authors'."""

    scenes: Literal["tau2019", "tut2018"] = Field(
        "tau2019", description="scenes: TAU 2019 (the authors) or TUT 2018 (the recipe's origin)"
    )
    recipe: Literal["authors", "fixed"] = Field(
        "authors",
        description="authors: every repeat of the event list is its last shuffle, as in their "
        "code; fixed: each repeat keeps its own",
    )
    seed: int = Field(1234, ge=0, description="seed of the folds and of the draws")
    clips_per_fold: Count = Field(2000, description="mixtures in each of the four folds")
    seconds: Positive = Field(10.0, description="length of a mixture")
    onsets: list[Annotated[float, Field(ge=0)]] = Field(
        [0.5, 3.0, 5.5], min_length=1, description="when the events begin, seconds"
    )
    longest: Positive = Field(2.0, description="events are cut to this length, seconds")
    classes: list[str] = Field(list(FSD_CLASSES), description="class names, in index order")

    @model_validator(mode="after")
    def _events_fit(self) -> SnrMix:
        starts = [*self.onsets, self.seconds]
        for onset, following in pairwise(starts):
            if onset + self.longest > following:
                raise ValueError(
                    f"an event at {onset} s may last {self.longest} s: it must end by {following} s"
                )
        return self


class Ave(Block):
    """AVE, the audio-visual event corpus."""

    local: str | None = Field(None, description="an existing tree of this corpus, used read-only")
    features: bool = Field(True, description="use the released VGG-19 and VGGish features")
    videos: bool = Field(False, description="use the videos: for AudioCLIP, and to show frames")
    classes: list[str] = Field(list(AVE_CLASSES), description="event categories, in index order")


class Corpus(Block):
    """A corpus of which nothing can be set but where it lies."""

    local: str | None = Field(None, description="an existing tree of this corpus, used read-only")


class Maestro(Corpus):
    """MAESTRO Real: recordings of minutes with soft labels, cut into windows."""

    classes: list[str] = Field(list(MAESTRO_CLASSES), description="class names, in index order")
    window: Positive = Field(10.0, description="length of a window, seconds")
    train_hop: Positive = Field(1.0, description="seconds between training windows")
    validation_hop: Positive = Field(
        5.0, description="seconds between validation windows; 1 until June 2024"
    )
    split_fraction: Share = Field(
        0.9, description="share of each scene's training recordings that trains"
    )
    split_seed: int = Field(42, description="seed of that cut (shuffled scene by scene)")


class Fetch(Block):
    """How downloads behave; nothing here changes a result."""

    connections: Count = Field(4, description="connections per host, over all jobs of the machine")
    attempts: Count = Field(6, description="attempts per address without progress before giving up")
    wait: float = Field(
        2.0, ge=0, description="seconds before the second attempt; doubles, with jitter, up to 300"
    )
    timeout: Positive = Field(
        60.0, description="seconds without a byte before a server has stalled"
    )
    pause: float = Field(1.0, ge=0, description="seconds between two clips of one YouTube worker")
    workers: Count = Field(2, description="YouTube clips fetched at a time by one job")
    patience: Count = Field(
        3, description="jobs a quota or rate limit may fail before what is missing counts as absent"
    )


class Look(Block):
    """The miniature's look-alike data: how much is rendered in place of downloads."""

    seed: int = Field(7, description="seed of the sound models")
    seconds: Positive = Field(10.0, description="nominal clip length of the rendered recordings")
    foregrounds: Count = Field(16, description="sound-bank recordings per class for training")
    backgrounds: Count = Field(6, description="sound-bank backgrounds for training")
    clips: dict[str, int] = Field(
        default_factory=dict, description="recordings rendered per subset (weak, validation, …)"
    )
    maestro: tuple[Count, Count] = Field(
        (4, 2), description="recordings of each scene of MAESTRO: training, validation"
    )
    maestro_seconds: Positive = Field(20.0, description="their length, seconds")
    fsd_files: Count = Field(16, description="recordings per class of FSDKaggle2018")
    scenes: Count = Field(100, description="scene recordings (as long as the mixtures)")
    videos: dict[str, int] = Field(
        default_factory=dict, description="videos of AVE: train, validation, test, negatives"
    )


class Data(Block):
    """Where raw audio comes from and where prepared data goes."""

    folder: str = Field("data", description="folder of everything downloaded and prepared")
    origin: Literal["download", "render"] = Field(
        "download", description="download: the real archives; render: the miniature's look-alikes"
    )
    look: Look = Field(default_factory=Look, description="what `origin: render` renders")
    desed: Desed = Field(default_factory=Desed, description="the DESED corpus")
    desed_soundbank: Corpus = Field(default_factory=Corpus, description="DESED's sound bank")
    maestro: Maestro = Field(default_factory=Maestro, description="MAESTRO Real")
    fsdkaggle2018: Corpus = Field(default_factory=Corpus, description="FSDKaggle2018")
    tau2019: Corpus = Field(default_factory=Corpus, description="TAU Urban Acoustic Scenes 2019")
    tut2018: Corpus = Field(default_factory=Corpus, description="TUT Urban Acoustic Scenes 2018")
    snr_mix: SnrMix = Field(
        default_factory=SnrMix, description="mixtures at fixed SNRs of fsdkaggle2018 and scenes"
    )
    ave: Ave = Field(default_factory=Ave, description="AVE, the audio-visual event corpus")
    weights: Corpus = Field(default_factory=Corpus, description="pre-trained weights")
    fetch: Fetch = Field(default_factory=Fetch, description="how downloads behave")
