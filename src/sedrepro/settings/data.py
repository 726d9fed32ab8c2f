"""Where data comes from, corpus by corpus. Each field's description is its documentation."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from .blocks import Block, Count, Positive, Share
from .classes import AVE_CLASSES, DESED_CLASSES, FSD_CLASSES


def _distinct(names: list[str]) -> list[str]:
    if not names or not all(name.strip() for name in names):
        raise ValueError("there must be names, and none of them empty")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"each name may stand once, {', '.join(twice)} stands more often")
    return names


Names = Annotated[list[str], AfterValidator(_distinct)]


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
        4,
        description="most events in a soundscape: one of the class whose turn it is, the others of "
        "classes drawn uniformly",
    )


class WeakSplit(Block):
    """The weakly labelled set is cut in two: most train, the rest selects checkpoints."""

    fraction: Share = Field(0.9, description="share of the table's rows that trains")
    seed: int = Field(42, description="seed of the draw (pandas sample on the table's rows)")


class Corpus(Block):
    """A corpus of which nothing can be set but where it lies."""

    local: str | None = Field(None, description="an existing tree of this corpus, used read-only")


class Recordings(Corpus):
    """A corpus whose recordings a user may replace with recordings of their own."""

    own: bool = Field(
        False,
        description="true: the tree under `local` holds recordings of your own, and no score on "
        "them is compared with a published one; other classes or clips than the corpus's are "
        "noticed without it",
    )

    @model_validator(mode="after")
    def _own_tree(self) -> Recordings:
        if self.own and self.local is None:
            raise ValueError("`own: true` needs `local`, the tree that your recordings lie in")
        return self


class Desed(Recordings):
    """The DESED corpus."""

    synthetic: Literal["download", "mix"] = Field(
        "download", description="download: ready-made dcase_synth.zip; mix: from the sound bank"
    )
    classes: Names = Field(list(DESED_CLASSES), description="class names, in index order")
    weak_split: WeakSplit = Field(default_factory=WeakSplit, description="the cut of the weak set")
    strong_real_in_validation: Literal["dropped", "kept"] = Field(
        "dropped",
        description="the 35 clips of AudioSet-strong that are in the validation set too; the "
        "DCASE 2024 baseline trained on them",
    )
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
    classes: Names = Field(list(FSD_CLASSES), description="class names, in index order")

    @model_validator(mode="after")
    def _events_fit(self) -> SnrMix:
        starts = [*self.onsets, self.seconds]
        for onset, following in pairwise(starts):
            if onset + self.longest > following:
                raise ValueError(
                    f"an event at {onset} s may last {self.longest} s: it must end by {following} s"
                )
        return self


class Ave(Recordings):
    """AVE, the audio-visual event corpus."""

    features: bool = Field(True, description="use the released VGG-19 and VGGish features")
    videos: bool = Field(False, description="use the videos: for AudioCLIP, and to show frames")
    classes: Names = Field(list(AVE_CLASSES), description="event categories, in index order")


class Maestro(Recordings):
    """MAESTRO Real: recordings of minutes with soft labels, cut into windows."""

    window: Positive = Field(10.0, description="length of a window, seconds")
    train_hop: Positive = Field(1.0, description="seconds between training windows")
    validation_hop: Count = Field(
        5,
        description="whole seconds between validation windows; 1 until June 2024",
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
    hold_out: float = Field(
        72.0,
        ge=0,
        description="hours a job goes on waiting for a host that gives nothing; then it ends in an "
        "error and keeps what it has. Anything new starts the count again",
    )
    unreachable: Literal["fail", "absent"] = Field(
        "fail",
        description="a host that cannot be reached. fail: the network is down, wait for it; "
        "absent: it is closed to this machine, go on without what only it has",
    )
    mirrors: Literal["none", "listed", "all"] = Field(
        "listed",
        description="other people's copies (config/datasets.yaml). none: never; listed: of what "
        "the official host has no more; all: also instead of waiting for it",
    )
    cookies: str | None = Field(
        None,
        description="a YouTube account's cookies: a file, or the name of a browser that is logged "
        "in; a little faster, and videos with an age limit too. YouTube may close the account",
    )
    yt_dlp: str | None = Field(
        None,
        description="the Python of another installation of yt-dlp, where YouTube has outrun ours",
    )
    contact: str = Field(
        "https://arxiv.org/abs/2309.08355",
        description="what hosts are told of who asks; a page or an address of your own is better",
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
    desed_soundbank: Recordings = Field(
        default_factory=Recordings, description="DESED's sound bank"
    )
    maestro: Maestro = Field(default_factory=Maestro, description="MAESTRO Real")
    fsdkaggle2018: Recordings = Field(default_factory=Recordings, description="FSDKaggle2018")
    tau2019: Recordings = Field(
        default_factory=Recordings, description="TAU Urban Acoustic Scenes 2019"
    )
    tut2018: Recordings = Field(
        default_factory=Recordings, description="TUT Urban Acoustic Scenes 2018"
    )
    snr_mix: SnrMix = Field(
        default_factory=SnrMix, description="mixtures at fixed SNRs of fsdkaggle2018 and scenes"
    )
    ave: Ave = Field(default_factory=Ave, description="AVE, the audio-visual event corpus")
    weights: Corpus = Field(default_factory=Corpus, description="pre-trained weights")
    released: Corpus = Field(
        default_factory=Corpus, description="trained systems of others, and their detections"
    )
    fetch: Fetch = Field(default_factory=Fetch, description="how downloads behave")
    allow_partial: bool = Field(
        False,
        description="go on with the clips that are there although others are still arriving; "
        "every status, audit and table says so",
    )
