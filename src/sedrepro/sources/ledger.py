"""What became of each clip, a line per attempt, so that a download of days survives anything."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from .policies import DAY, HOUR

CLIPS = "clips.tsv"
"""The ledger's name beside the downloads."""
COLUMNS = ("file", "state", "seconds", "origin", "time", "reason")
FINAL = ("removed", "private", "short", "silent")
"""There is no such clip any more, or never was."""
CONFIRMED = 6 * HOUR
PATIENCE = {
    "unavailable": CONFIRMED,
    "age": CONFIRMED,
    "region": CONFIRMED,
    "broken": CONFIRMED,
    "withheld": DAY,
}
"""Also said of clips that can be had with other means; believed when said again so much later.
While YouTube gives nothing to anybody, what it says does not count at all."""
UNCLEAR = ("client", "unknown")
"""May be a trouble of yt-dlp or of the clip; the latter is *withheld*, once others were given."""
WORDS = {
    "removed": "removed from YouTube",
    "private": "private",
    "short": "beyond the end of the video",
    "silent": "without sound",
    "unavailable": "not available",
    "age": "only shown to adults who are logged in",
    "region": "not shown in this country",
    "broken": "cannot be decoded",
    "withheld": "not given while others were",
    "refused": "refused by YouTube",
    "offline": "no connection",
    "client": "not given to this version of yt-dlp",
    "unknown": "an answer never seen before",
    "": "not asked for yet",
}


@dataclass(frozen=True)
class Try:
    """How the last attempt at a clip went; `seconds` is what was found of it."""

    state: str
    seconds: float = 0.0
    reason: str = ""
    origin: str = ""
    """Whence the clip came; where it did not come, everybody who was asked."""
    when: float = 0.0
    since: float = 0.0
    """When this was said for the first time, of all times it was said in a row."""

    @property
    def settled(self) -> bool:
        """Whether nothing better is to be expected of asking again now."""
        if self.state == "ok" or self.state in FINAL:
            return True
        return self.when - self.since >= PATIENCE.get(self.state, math.inf)


class Ledger:
    """clips.tsv beside the downloads: a line of COLUMNS for each attempt, and no heading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._tries: dict[str, Try] = {}
        self._withheld: dict[str, float] = {}
        self._lock = threading.Lock()
        if path.exists():
            for line in path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]:
                self._read(line)

    def of(self, file: str) -> Try:
        """The last attempt at a clip."""
        return self._tries.get(file, Try(""))

    def settled(self) -> tuple[int, int]:
        """How many clips are there, and how many are gone."""
        there = sum(last.state == "ok" for last in self._tries.values())
        return there, sum(last.settled for last in self._tries.values()) - there

    def note(self, file: str, outcome: Try) -> None:
        """Write an attempt down."""
        reason = " ".join(outcome.reason.split())[:200]
        fields = (file, outcome.state, f"{outcome.seconds:.3f}", outcome.origin)
        line = "\t".join([*fields, f"{outcome.when:.0f}", reason])
        with self._lock:
            self._out.write(f"{line}\n".encode())
            self._read(line)

    def count(self, files: Iterable[str]) -> str:
        """How many of these clips ended how, in words."""
        states = Counter(self.of(file).state for file in files)
        return ", ".join(f"{n:,} {WORDS.get(state, state)}" for state, n in sorted(states.items()))

    def __enter__(self) -> Ledger:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._out = open(self.path, "ab", buffering=0)
        if self._out.tell() and not self.path.read_bytes().endswith(b"\n"):
            self._out.write(b"\n")  # the last line was cut off; it is no attempt
        return self

    def __exit__(self, *_: object) -> None:
        self._out.close()

    def _read(self, line: str) -> None:
        fields = line.split("\t")
        if len(fields) != len(COLUMNS):
            return
        file, state, seconds, origin, when, reason = fields
        try:
            attempt = Try(state, float(seconds), reason, origin, float(when), float(when))
        except ValueError:
            return
        before = self.of(file)
        since = before.since if before.state == state else attempt.when
        # Each attempt at a clip that is withheld is noted as it went, and then as that.
        if state == "withheld":
            since = self._withheld.setdefault(file, attempt.when)
        elif state not in (*UNCLEAR, "refused", "offline"):
            self._withheld.pop(file, None)
        if since <= attempt.when:
            attempt = replace(attempt, since=since)
        elif state == "withheld":
            self._withheld[file] = attempt.when
        self._tries[file] = attempt
