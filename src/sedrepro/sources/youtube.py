"""Clips that are only on YouTube: each has a state of its own; all goes on with what was found.

yt-dlp fetches the best audio as it is, PyAV cuts it (its wheel brings ffmpeg's libraries; no
`ffmpeg` program is needed). The ledger beside the downloads has a line per tried clip, so a job
that ends at any moment goes on where it was: permanent losses are not asked for again.
"""

from __future__ import annotations

import csv
import re
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SedreproError
from ..files import atomic, full_disk
from ..settings.data import Fetch
from . import locks
from .http import LONGEST_WAIT, check_space

if TYPE_CHECKING:
    from .fetch import Fetching, Outcome

HOST = "www.youtube.com"
RATE = 44100
SHORTEST = 1.0  # seconds; a clip of which less is left is lost
BYTES_PER_CLIP = 10 * RATE * 2
WALL = 8  # refusals in a row after which YouTube is left alone
PERMANENT = ("ok", "unavailable", "private", "age-gated", "short")

_NAME = re.compile(r"^Y?(?P<video>[\w-]{11})_(?P<start>\d+(\.\d+)?)_(?P<end>\d+(\.\d+)?)\.wav$")
# yt-dlp's words, in the order they are looked for: a rate limit may also speak of signing in.
_STATES = (
    ("rate-limited", r"not a bot|HTTP Error 429|Too Many Requests|rate.?limit|try again later"),
    ("age-gated", r"confirm your age|age.?restricted|inappropriate for some users"),
    ("private", r"private video|video is private|members.only|join this channel"),
    (
        "offline",
        r"timed out|Connection|Temporary failure|Name or service|getaddrinfo|Network is unreachable"
        r"|No address associated|No route to host|HTTP Error 5\d\d|IncompleteRead|Read error|SSL",
    ),
    # A yt-dlp that YouTube has outrun says this of every video.
    ("unknown", r"Requested format is not available|Only images are available"),
    (
        "unavailable",
        r"unavailable|not available|been removed|removed by|terminated|no longer|does not exist"
        r"|copyright|blocked|Incomplete YouTube ID|This live event|HTTP Error 4(04|10)|no audio",
    ),
)


@dataclass(frozen=True)
class Clip:
    """Seconds `start` to `end` of a video."""

    file: str
    video: str
    start: float
    end: float


@dataclass(frozen=True)
class Try:
    """How the last attempt at a clip went; `seconds` is what was found of it."""

    state: str
    seconds: float = 0.0
    reason: str = ""


def parse(file: str) -> Clip:
    """The clip a file name stands for: [Y]<11 characters>_<start>_<end>.wav."""
    match = _NAME.match(file)
    if match is None:
        raise SedreproError(f"{file!r}: clip names look like Y<video id>_<start>_<end>.wav")
    return Clip(file, match["video"], float(match["start"]), float(match["end"]))


def listed(table: Path) -> list[Clip]:
    """The clips a table names, each once, in its order."""
    with open(table, encoding="utf-8", newline="") as handle:
        rows = csv.DictReader(handle, delimiter="\t")
        if "filename" not in (rows.fieldnames or []):
            raise SedreproError(f"{table}: column 'filename' is missing")
        return [parse(name) for name in dict.fromkeys(row["filename"] for row in rows)]


def classify(message: str) -> str:
    """The state a message of yt-dlp means; what nobody has seen before is worth another try."""
    for state, words in _STATES:
        if re.search(words, message, re.IGNORECASE):
            return state
    return "unknown"


def collect(fetching: Fetching) -> Outcome:
    """Fetch what is still missing of a resource's clips; say how many there are."""
    from .fetch import Outcome

    clips = fetching.resource.clips
    assert clips is not None
    table, folder = fetching.raw / clips.table, fetching.raw / clips.folder
    if not table.exists():
        needed = ", ".join(fetching.resource.after) or fetching.name
        return Outcome(clips.folder, "absent", f"the list {table} is not there; see {needed}")
    every = listed(table)
    ledger = Ledger(fetching.downloads / "clips.tsv")
    missing = [clip for clip in every if not (folder / clip.file).exists()]
    wanted = [clip for clip in missing if ledger.state(clip.file) not in PERMANENT[1:]]
    check_space(folder, len(wanted) * BYTES_PER_CLIP)
    with full_disk(folder):
        left = _fetch_all(wanted, folder, ledger, fetching)
    sizes = [p.stat().st_size for clip in every if (p := folder / clip.file).exists()]
    reason = _summary(every, folder, ledger)
    if left:
        offline = any(ledger.state(clip.file) == "offline" for clip in left)
        closed = offline and fetching.settings.unreachable == "absent"
        if not closed and (offline or not fetching.impatient):
            reason = (
                f"{len(left)} of {len(every)} clips are still to be fetched from YouTube "
                f"({ledger.reason(left[0].file) or 'not tried'}); what was fetched is kept; "
                f"clips put by hand into {folder} count"
            )
            return Outcome(clips.folder, "failed", reason)
    state = "ok" if len(sizes) == len(every) else "partial" if sizes else "absent"
    return Outcome(clips.folder, state, reason, len(sizes), sum(sizes))


def _summary(every: list[Clip], folder: Path, ledger: Ledger) -> str:
    lost = Counter(
        ledger.state(clip.file) or "not tried"
        for clip in every
        if not (folder / clip.file).exists()
    )
    if not lost:
        return ""
    reasons = ", ".join(f"{count} {state}" for state, count in sorted(lost.items()))
    return f"{len(every) - lost.total()} of {len(every)} clips are there ({reasons})"


def _fetch_all(wanted: list[Clip], folder: Path, ledger: Ledger, fetching: Fetching) -> list[Clip]:
    """Try every clip; the result is those that may still be had later."""
    from tqdm import tqdm

    stop, refusals, settings = threading.Event(), 0, fetching.settings

    def work(clip: Clip) -> tuple[Clip, Try | None]:
        if stop.is_set():
            return clip, None
        with locks.slot(fetching.session.slots, HOST, settings.workers):
            outcome = fetch_clip(clip, folder / clip.file, settings)
            refused = outcome.state == "rate-limited"
            backing_off = settings.wait * 2**refusals if refused else 0.0
            stop.wait(min(LONGEST_WAIT, settings.pause + backing_off))
        return clip, outcome

    left = []
    with ThreadPoolExecutor(settings.workers) as pool, ledger:
        try:
            for clip, outcome in tqdm(pool.map(work, wanted), total=len(wanted), disable=None):
                if outcome is not None:
                    ledger.note(clip.file, outcome)
                    refusals = 0 if outcome.state in PERMANENT else refusals + 1
                    if refusals >= WALL:
                        stop.set()
                if outcome is None or outcome.state not in PERMANENT:
                    left.append(clip)
        except BaseException:
            stop.set()
            raise
    return left


def fetch_clip(clip: Clip, target: Path, settings: Fetch) -> Try:
    """One clip, whole under its name or not at all."""
    from .. import audio

    if target.exists():
        return Try("ok", audio.seconds(target))
    with tempfile.TemporaryDirectory(prefix="sedrepro-clip-") as folder:
        try:
            recording = _download(clip.video, Path(folder), settings)
        except LookupError as error:
            return Try(classify(str(error)), 0.0, " ".join(str(error).split())[:200])
        try:
            samples = cut(recording, clip.start, clip.end)
        except ValueError as error:
            return Try("unavailable", 0.0, str(error))
    seconds = len(samples) / RATE
    if seconds < min(SHORTEST, clip.end - clip.start):
        return Try("short", seconds, f"only {seconds:.2f} s of the clip are left")
    with atomic(target) as temporary:
        audio.write(temporary, samples, RATE)
    return Try("ok", seconds)


class _Silent:
    """yt-dlp's words reach us as exceptions; it must not write into the job's log as well."""

    def debug(self, message: str) -> None: ...

    info = warning = error = debug


def _download(video: str, folder: Path, settings: Fetch) -> Path:
    """The audio of a video, in whatever container YouTube has it; `LookupError` says why not."""
    import yt_dlp

    options = {
        "format": "bestaudio/best",
        "outtmpl": str(folder / "audio.%(ext)s"),
        "noplaylist": True,
        "quiet": True,
        "noprogress": True,
        "logger": _Silent(),
        "fixup": "never",  # would need the ffmpeg program
        "cachedir": False,
        "retries": 2,
        "socket_timeout": settings.timeout,
    }
    try:
        with yt_dlp.YoutubeDL(options) as downloader:
            downloader.download([f"https://{HOST}/watch?v={video}"])
    except yt_dlp.utils.YoutubeDLError as error:
        raise LookupError(str(error)) from None
    found = [path for path in folder.iterdir() if path.suffix != ".part"]
    if not found:
        raise LookupError("no audio was delivered")
    return found[0]


def cut(recording: Path, start: float, end: float):
    """Seconds `start` to `end` (or to where the recording ends) as mono float32 at 44.1 kHz."""
    import av
    import numpy as np
    import soxr

    try:
        with av.open(str(recording)) as container:
            if not container.streams.audio:
                raise ValueError("the video has no audio")
            rate, pieces = _decode(container, start, end)
    except av.error.FFmpegError as error:
        raise ValueError(f"the audio cannot be decoded ({error})") from None
    if not pieces:
        return np.zeros(0, dtype=np.float32)
    mono = np.concatenate(pieces)
    if rate != RATE:
        mono = soxr.resample(mono, rate, RATE, quality="HQ")
    return mono[: round((end - start) * RATE)].astype(np.float32)


def _decode(container, start: float, end: float) -> tuple[int, list]:
    """Native rate and the mono samples between `start` and `end`, in pieces."""
    import av
    import numpy as np

    stream = container.streams.audio[0]
    rate, pieces, begin = stream.rate, [], 0.0
    if start > 2:
        container.seek(int((start - 1) / stream.time_base), stream=stream)
    planar = av.AudioResampler(format="fltp")
    for decoded in container.decode(stream):
        rate = decoded.sample_rate
        begin = begin if decoded.time is None else decoded.time
        if begin >= end:
            break
        samples = np.concatenate([f.to_ndarray() for f in planar.resample(decoded)], axis=1)
        first = max(0, round((start - begin) * rate))
        last = min(samples.shape[1], round((end - begin) * rate))
        if first < last:
            pieces.append(samples[:, first:last].mean(axis=0))
        begin += samples.shape[1] / rate
    return rate, pieces


class Ledger:
    """One line per attempt: clip, state, seconds, reason. The last line of a clip counts."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tries: dict[str, Try] = {}
        self._lock = threading.Lock()
        if path.exists():
            self._tries.update(self._lines())

    def state(self, file: str) -> str:
        return self._tries[file].state if file in self._tries else ""

    def reason(self, file: str) -> str:
        found = self._tries.get(file)
        return f"{found.state}: {found.reason}" if found else ""

    def note(self, file: str, outcome: Try) -> None:
        reason = " ".join(outcome.reason.split())
        line = f"{file}\t{outcome.state}\t{outcome.seconds:.3f}\t{reason}\n"
        with self._lock:
            self._tries[file] = outcome
            self._out.write(line.encode())

    def __enter__(self) -> Ledger:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._out = open(self.path, "ab", buffering=0)
        if self._out.tell() and not self.path.read_bytes().endswith(b"\n"):
            self._out.write(b"\n")  # the last line was cut off; it is no attempt
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()

    def _lines(self) -> Iterator[tuple[str, Try]]:
        for line in self.path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
            parts = line.split("\t")
            if len(parts) == 4:
                yield parts[0], Try(parts[1], float(parts[2]), parts[3])
