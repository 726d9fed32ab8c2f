"""How far a job is: one small record per job, beside its log, which `sedrepro status` reads.

A job's work reports to `current()` and does not know who listens. Outside a job nobody does.
"""

from __future__ import annotations

import contextlib
import platform
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from .errors import SedreproError
from .files import read_json, write_json
from .liveness import alive, identity

EVERY = 2.0
"""Seconds between two records of one job."""
TOLD = 60.0
"""Seconds between two lines on the terminal of whoever started the job."""
SILENCE = 900.0
"""Seconds without a record after which a job on another machine counts as ended."""

Item = TypeVar("Item")


def record_of(log: str | Path) -> Path:
    """Where the record of the job with this log lies."""
    return Path(log).with_suffix(".progress.json")


def duration(seconds: float) -> str:
    """For people: 45 s, 12.5 min, 3.2 h, 4.1 days."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


class Progress:
    """What one job has done and what is left of it."""

    def __init__(self, path: Path | None, job: str = "") -> None:
        self.path = path
        self.job = job
        self._begin = time.monotonic()
        self._due = 0.0
        self._told = self._begin
        self._total = 0.0
        self._unit = ""
        self._amounts: dict[str, float] = {}
        self._first: tuple[float, float] | None = None
        self._last: tuple[float, str, float | None] = (0.0, "", None)
        self._lock = threading.Lock()

    def expect(self, total: float, unit: str) -> None:
        """Say how much there is to do."""
        self._total = total
        self._unit = unit
        self._amounts = {}

    def note(self, amount: float, part: str = "") -> None:
        """Say how much of it is done; where several threads work, each speaks for its part."""
        with self._lock:
            self._amounts[part] = amount
            have = sum(self._amounts.values())
        if self._total > 0:
            self(min(1.0, have / self._total), f"{have:,.0f} of {self._total:,.0f} {self._unit}")

    def over(self, items: Iterable[Item], total: int, unit: str) -> Iterator[Item]:
        """The items, counted as they are done."""
        self.expect(total, unit)
        for count, item in enumerate(items):
            self.note(count)
            yield item

    def __call__(
        self, done: float, said: str = "", *, left: float | None = None, force: bool = False
    ) -> None:
        """Write the record, unless one was written just now.

        `done` is a share, 0 to 1. `left` is the seconds that are left, where the job knows better
        than its speed tells.
        """
        now = time.monotonic()
        if self.path is None or not (force or now >= self._due):
            return
        self._due = now + EVERY
        self._first = (now, done) if self._first is None else self._first
        seconds = now - self._begin
        left = self.left(done) if left is None else left
        self._write(done, said, seconds, left)
        self._tell(now, done, said, left)

    def left(self, done: float) -> float | None:
        """Seconds left, by the speed since this job first told of itself: starting is no part."""
        if self._first is None or done <= self._first[1]:
            return None
        began, had = self._first
        return (time.monotonic() - began) * (1 - done) / (done - had)

    def begin(self, done: float) -> None:
        """The job has begun; an earlier start of it had come so far."""
        self._write(done, "", 0.0, None)

    def end(self, *, through: bool) -> None:
        """The job ends. If it is through, how long it took tells how long those like it take."""
        if through:
            self._last = (1.0, "", None)
        done, said, left = self._last
        seconds = time.monotonic() - self._begin
        self._write(done, said, seconds, left, running=False, ended=through)

    def _write(
        self,
        done: float,
        said: str,
        seconds: float,
        left: float | None,
        *,
        running: bool = True,
        ended: bool = False,
    ) -> None:
        self._last = (done, said, left)
        if self.path is None:
            return
        found = {
            "job": self.job,
            "process": identity(),
            "host": platform.node(),
            "done": round(done, 4),
            "said": said,
            "seconds": round(seconds, 1),
            "left": None if left is None else round(left, 1),
            "running": running,
            "ended": ended,
            "time": time.time(),
        }
        # A record that cannot be written must not end the work that it tells of.
        with self._lock, contextlib.suppress(OSError, SedreproError):
            write_json(self.path, found)

    def _tell(self, now: float, done: float, said: str, left: float | None) -> None:
        """A whole line on a terminal: jobs that run side by side do not write into each other's."""
        terminal = sys.__stderr__
        if now - self._told < TOLD or terminal is None or not terminal.isatty():
            return
        self._told = now
        rest = "" if left is None else f", about {duration(left)} left"
        print(f"{self.job}: {done:.0%}, {said}{rest}", file=terminal, flush=True)


_NOBODY = Progress(None)
_current = _NOBODY


def current() -> Progress:
    """The progress of the job that this process is."""
    return _current


@contextlib.contextmanager
def reporting(log: str | Path, job: str) -> Iterator[Progress]:
    """What is done inside is the work of a job with this log."""
    global _current
    before = _current
    _current = Progress(record_of(log), job)
    try:
        earlier = read(log)
        _current.begin(0.0 if earlier.get("ended") else earlier.get("done", 0.0))
        yield _current
    except BaseException:
        _current.end(through=False)
        raise
    else:
        _current.end(through=True)
    finally:
        _current = before


def read(log: str | Path) -> dict[str, Any]:
    """The record of the job with this log; nothing if there is none that can be read."""
    try:
        found = read_json(record_of(log))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def is_running(found: dict[str, Any]) -> bool:
    """Whether the process that wrote a record is alive; elsewhere, whether it wrote lately."""
    if not found or not found["running"]:
        return False
    if found["host"] != platform.node():
        return time.time() - found["time"] < SILENCE
    return alive(found["process"])


def elapsed(found: dict[str, Any]) -> float:
    """Seconds that a running job has taken until now."""
    return float(found["seconds"]) + max(0.0, time.time() - found["time"])


def seconds_left(found: dict[str, Any]) -> float | None:
    """Seconds that a job still takes: a running one from now on, one that was stopped in all."""
    if found.get("left") is None:
        return None
    since = time.time() - found["time"] if is_running(found) else 0.0
    return max(0.0, found["left"] - since)
