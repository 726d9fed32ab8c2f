"""YouTube as it behaves over days, at yt-dlp's interface, in a time of its own."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yt_dlp

from sedrepro.sources import gate
from sedrepro.sources.policies import HOUR

WORDS = {
    "removed": "Video unavailable. This video has been removed by the uploader",
    "private": "Private video. Sign in if you've been granted access to this video",
    "terminated": "Video unavailable. This video is no longer available because the YouTube "
    "account associated with this video has been terminated.",
    "vague": "Video unavailable",
    "age": "Sign in to confirm your age. This video may be inappropriate for some users.",
    "kids": "This video is not available",
    "bot": "Sign in to confirm you’re not a bot. Use --cookies-from-browser or --cookies",
    "limit": "This content isn't available, try again later. The current session has been "
    "rate-limited by YouTube for up to an hour.",
    "closed": "Requested format is not available. Use --list-formats",
    "quiet": "Video unavailable",  # as of a video that is gone, but of every video
    "offline": "Unable to download API page: [Errno -3] Temporary failure in name resolution",
    "slow": "unable to download video data: The read operation timed out",
    "full": "unable to write data: [Errno 28] No space left on device",
}
GARBAGE = b"cut off"
STUBBORN = ("kids", "slow", "closed", "limit")
"""What may be said of one video for ever, and of others for a while."""
GONE = ("removed", "private", "terminated", "vague", "age")


class KilledError(BaseException):
    """The job ends here, whatever it is doing."""


class Time(gate.Clock):
    """A clock that only waiting moves; what it shows may be wrong, what it is is not."""

    def __init__(self) -> None:
        self.true = 1_700_000_000.0
        self.wrong = 0.0
        self.kills: list[float] = []
        self.jumps: list[float] = []
        """When the clock was set to another time."""
        self.fills: list[float] = []
        """From when on the disk is full; whoever starts the job again has made room."""
        self._lock = threading.Lock()

    def now(self) -> float:
        return self.true + self.wrong

    def steady(self) -> float:
        return self.true

    def jump(self, wrong: float) -> None:
        """A reboot: the clock is wrong by so much from now on."""
        if wrong != self.wrong:
            self.jumps.append(self.true)
        self.wrong = wrong

    @property
    def full(self) -> bool:
        return bool(self.fills) and self.true >= self.fills[0]

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        with self._lock:
            self.true += seconds
            if self.kills and self.true >= self.kills[0]:
                self.true = self.kills.pop(0)
                raise KilledError


@dataclass
class Tube:
    """YouTube: what each video is, and what befalls the host from when to when (true time)."""

    time: Time
    seed: int = 0
    fates: dict[str, str] = field(default_factory=dict)
    troubles: list[tuple[float, float, str]] = field(default_factory=list)
    budget: int = 300
    flaky: float = 0.0
    """The share of answers that come too slowly or broken."""
    asked: list[float] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)

    def answer(self, video: str, folder: Path) -> None:
        """Deliver a video's sound into `folder`, or say why not."""
        begun = self.time.true
        self.asked.append(begun)
        self.videos.append(video)
        self.time.sleep(self.draw.uniform(1.0, 4.0))
        word = self.trouble(begun) or self._limit(begun) or self.fates.get(video, "")
        if not word and self.draw.random() < self.flaky:
            word = self.draw.choice(["slow", "garbage"])
        if not word and self.time.full and self.draw.random() < 0.5:
            word = "full"  # of the disk that yt-dlp writes to; else that of the clips is
        if word in ("bot", "limit"):
            self.refused.append(begun)
        if word in WORDS:
            raise yt_dlp.utils.DownloadError(f"ERROR: [youtube] {video}: {WORDS[word]}")
        (folder / "audio.m4a").write_bytes(GARBAGE if word == "garbage" else b"sound")

    def trouble(self, moment: float) -> str:
        """What befalls the host at a moment."""
        return next((word for begin, end, word in self.troubles if begin <= moment < end), "")

    def _limit(self, moment: float) -> str:
        return "limit" if self.within_an_hour(moment) > self.budget else ""

    def within_an_hour(self, moment: float) -> int:
        """Requests in the hour that ends at `moment`."""
        return sum(moment - HOUR < other <= moment for other in self.asked[-self.budget - 2 :])

    def most_in_an_hour(self) -> int:
        """The most requests of any hour."""
        most = first = 0
        for last, moment in enumerate(self.asked):
            while self.asked[first] <= moment - HOUR:
                first += 1
            most = max(most, last - first + 1)
        return most

    def downloader(self) -> type:
        """What stands in yt-dlp's place."""
        tube = self

        class Downloader:
            def __init__(self, options: dict) -> None:
                self.folder = Path(options["outtmpl"]).parent

            def __enter__(self) -> Downloader:
                return self

            def __exit__(self, *_: object) -> None:
                return None

            def extract_info(self, url: str, download: bool) -> dict:
                assert download
                tube.answer(url.rpartition("=")[2], self.folder)
                return {"duration": 10}

        return Downloader


def names(count: int, first: int = 0) -> list[str]:
    """Clips of as many videos."""
    return [f"Y{number:011d}_0.000_10.000.wav" for number in range(first, first + count)]


def videos(clips: list[str]) -> list[str]:
    """Their videos."""
    return [name[1:12] for name in clips]


def history(time: Time, draw: random.Random, hours: float) -> list[tuple[float, float, str]]:
    """Random troubles over so many hours, each kind in turn, none at the same time as another."""
    found = []
    moment = time.true + draw.uniform(0.1, 0.2) * hours * HOUR
    kinds: list[str] = []
    while moment < time.true + hours * HOUR:
        kinds = kinds or draw.sample(["bot", "closed", "quiet", "offline"], 4)
        word = kinds.pop()
        longest = {"bot": 3.0, "closed": 8.0, "quiet": 8.0, "offline": 5.0}[word]
        end = moment + draw.uniform(0.1, longest) * HOUR
        found.append((moment, end, word))
        moment = end + draw.uniform(0.1, 0.4) * hours * HOUR
    return found


def hours_of(troubles: list[tuple[float, float, str]]) -> float:
    """Seconds of trouble in all."""
    return sum(end - begin for begin, end, _ in troubles)


def fated(clips: list[str], draw: random.Random, share: float = 0.12) -> dict[str, str]:
    """Some videos that are gone, each in its own way, and one of each kind that is never given."""
    gone = {video: draw.choice(GONE) for video in videos(clips) if draw.random() < share}
    stubborn = draw.sample(videos(clips), len(STUBBORN))
    return gone | dict(zip(stubborn, STUBBORN, strict=True))


def probes_after_refusals(tube: Tube) -> Iterator[int]:
    """How many requests follow each refusal within the hour it should be left alone."""
    for moment in tube.refused:
        yield sum(moment < other < moment + HOUR - 5 for other in tube.asked)
