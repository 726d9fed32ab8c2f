"""YouTube as yt-dlp sees it: one video's sound, or what its words mean.

Only what is said of a video for good counts as final. Much else is said of videos that are there:
to guests, to the young, to one country, to one of the clients yt-dlp poses as, or to all of these
while YouTube and yt-dlp are out of step.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from ..errors import SedreproError
from ..settings.data import Fetch
from .gate import tell

HOST = "www.youtube.com"

# yt-dlp's words, in the order they are looked for: YouTube puts "Video unavailable" before many of
# them, and a limit may also speak of signing in.
_STATES = (
    (
        "refused",
        r"not a bot|HTTP Error 429|Too Many Requests|rate.?limit|try again later|captcha"
        r"|likely being blocked",
    ),
    ("removed", r"removed for violating|blocked it on copyright"),
    ("region", r"in your country|from your location|geo.?restrict"),
    (
        "age",
        r"confirm your age|content check|age.?restricted|inappropriate for some users"
        r"|age.verification",
    ),
    ("private", r"private video|video is private|members.only|join this channel|requires payment"),
    (
        "removed",
        r"been removed|removed by|was removed|been terminated|been closed|account associated"
        r"|no longer available|does not exist|Incomplete YouTube ID|copyright claim",
    ),
    (
        "offline",
        r"timed out|Connection|Temporary failure|Name or service|getaddrinfo|Network is unreachable"
        r"|No address associated|No route to host|HTTP Error 5\d\d|IncompleteRead|Read error|SSL"
        r"|bytes read",
    ),
    # What yt-dlp says of all videos when YouTube has outrun it, and of some when it lacks a
    # JavaScript runtime.
    (
        "client",
        r"not available on this app|Playback on other websites|made for kids|HTTP Error 403"
        r"|Requested format is not available|Only images are available|Failed to extract|DRM"
        r"|no audio was delivered|player response",
    ),
    (
        "unavailable",
        r"unavailable|isn.t available anymore|Premieres in|not available|HTTP Error 4(04|10)",
    ),
)


def classify(message: str, scripted: bool = True) -> str:
    """The state a message of yt-dlp means; `scripted`: whether it had a JavaScript runtime.

    Without one yt-dlp says of videos made for kids that they are not available.
    """
    for state, words in _STATES:
        if re.search(words, message, re.IGNORECASE):
            return "client" if state == "unavailable" and not scripted else state
    return "unknown"


class Player(Protocol):
    """What fetches a video's sound."""

    scripted: bool

    def fetch(self, video: str, folder: Path) -> tuple[Path, float | None]:
        """The sound as YouTube has it, and the video's length; a `LookupError` says why not."""


def player(settings: Fetch, say: Callable[[str], None] = tell) -> Player:
    """Our own yt-dlp, or that of another installation; one line tells what it lacks."""
    _check_cookies(settings.cookies)
    made = Program(settings, say) if settings.yt_dlp else Library(settings, say)
    if not made.scripted:
        say(
            "yt-dlp has no JavaScript runtime (deno): YouTube keeps many videos from it; `make` "
            "installs one"
        )
    return made


def _check_cookies(cookies: str | None) -> None:
    """A wrong name is one line now, not the answer to every video."""
    from yt_dlp.cookies import SUPPORTED_BROWSERS

    if not cookies or Path(cookies).expanduser().is_file():
        return
    if re.split(r"[+:]", cookies)[0].lower() not in SUPPORTED_BROWSERS:
        known = ", ".join(sorted(SUPPORTED_BROWSERS))
        raise SedreproError(
            f"data.fetch.cookies: {cookies}: no such file, and no browser of {known}"
        )


class Library:
    """The yt-dlp of this environment."""

    def __init__(self, settings: Fetch, say: Callable[[str], None] = tell) -> None:
        self.settings = settings
        self.deno = runtime(Path(sys.executable).parent)
        self.scripted = self.deno is not None
        self._words = _Words(say)

    def fetch(self, video: str, folder: Path) -> tuple[Path, float | None]:
        import yt_dlp

        try:
            with yt_dlp.YoutubeDL(self._options(folder)) as downloader:
                info = downloader.extract_info(f"https://{HOST}/watch?v={video}", download=True)
        except yt_dlp.utils.YoutubeDLError as error:
            raise _trouble(str(error)) from None
        return _delivered(folder), (info or {}).get("duration")

    def _options(self, folder: Path) -> dict[str, Any]:
        options: dict[str, Any] = {
            "format": "bestaudio/best",
            "outtmpl": str(folder / "audio.%(ext)s"),
            "noplaylist": True,
            "quiet": True,
            "noprogress": True,
            "logger": self._words,
            "fixup": "never",  # would need the ffmpeg program
            "cachedir": False,
            "retries": 2,
            "socket_timeout": self.settings.timeout,
        }
        if self.deno:
            options["js_runtimes"] = {"deno": {"path": self.deno}}
        cookies = self.settings.cookies
        if cookies and Path(cookies).expanduser().is_file():
            options["cookiefile"] = str(Path(cookies).expanduser())
        elif cookies:
            options["cookiesfrombrowser"] = (cookies,)
        return options


class Program:
    """Another installation's yt-dlp, by its interpreter."""

    def __init__(self, settings: Fetch, say: Callable[[str], None] = tell) -> None:
        self.settings = settings
        self.interpreter = Path(str(settings.yt_dlp)).expanduser()
        self._words = _Words(say)
        asked = [str(self.interpreter), "-m", "yt_dlp", "--version"]
        try:
            found = subprocess.run(asked, capture_output=True, text=True, check=False)
        except OSError as error:
            raise SedreproError(
                f"data.fetch.yt_dlp: {self.interpreter}: {error.strerror}; name a Python that has "
                "yt-dlp"
            ) from None
        if found.returncode:
            said = found.stderr.strip().rpartition("\n")[2]
            raise SedreproError(
                f"data.fetch.yt_dlp: {self.interpreter}: it has no yt-dlp that runs ({said})"
            )
        self.deno = runtime(self.interpreter.parent)
        self.scripted = self.deno is not None

    def fetch(self, video: str, folder: Path) -> tuple[Path, float | None]:
        command = [
            *(str(self.interpreter), "-m", "yt_dlp", "--format", "bestaudio/best"),
            *("--output", str(folder / "audio.%(ext)s"), "--no-playlist", "--no-progress"),
            *("--fixup", "never", "--no-cache-dir", "--retries", "2"),
            *("--socket-timeout", str(self.settings.timeout)),
            *("--no-simulate", "--print", "after_move:duration"),
        ]
        if self.deno:
            command += ["--js-runtimes", f"deno:{self.deno}"]
        cookies = self.settings.cookies
        if cookies and Path(cookies).expanduser().is_file():
            command += ["--cookies", str(Path(cookies).expanduser())]
        elif cookies:
            command += ["--cookies-from-browser", cookies]
        try:
            done = subprocess.run(
                [*command, "--", f"https://{HOST}/watch?v={video}"],
                capture_output=True,
                text=True,
                check=False,
            )
        except OSError as error:
            raise LookupError(f"{self.interpreter}: {error.strerror}") from None
        for line in done.stderr.splitlines():
            if line.startswith("WARNING: "):
                self._words.warning(line.removeprefix("WARNING: "))
        if done.returncode:
            raise _trouble(done.stderr.strip()[-1000:] or "it ended without a word")
        length = done.stdout.strip()
        return _delivered(folder), float(length) if re.fullmatch(r"\d+(\.\d+)?", length) else None


def _trouble(message: str) -> Exception:
    """What yt-dlp's words are about: a video, or the disk it writes to."""
    if re.search(r"No space left on device|Disk quota exceeded", message):
        where = tempfile.gettempdir()
        remedy = "make room, or set TMPDIR to another folder, and start again"
        return SedreproError(f"{where}: the disk is full; {remedy}")
    return LookupError(message)


def _delivered(folder: Path) -> Path:
    found = [path for path in folder.iterdir() if path.suffix != ".part"]
    if not found:
        raise LookupError("no audio was delivered")
    return found[0]


def runtime(programs: Path) -> str | None:
    """The JavaScript runtime: beside the interpreter, where its wheel puts it, or on the path."""
    beside = programs / "deno"
    return str(beside) if beside.exists() else shutil.which("deno")


class _Words:
    """yt-dlp's warnings, each once; its errors reach us as exceptions."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._said: set[str] = set()
        self._say = say

    def warning(self, message: str) -> None:
        # Without the video's id a warning is the same for all videos.
        kind = re.sub(r"\[youtube\] [\w-]{11}: ", "", message)
        if kind not in self._said:
            self._said.add(kind)
            self._say(f"yt-dlp: {' '.join(message.split())[:300]}")

    def debug(self, message: str) -> None: ...

    info = error = debug
