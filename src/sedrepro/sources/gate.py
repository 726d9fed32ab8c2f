"""The gate of a host: all jobs of a machine ask it at its policy's pace, and wait together.

Whoever asks holds one of the host's places until the next request may begin, so no clock has to be
trusted for the pace. A refusal builds a wall that everybody sees; when its time is over, a single
request finds out whether it has gone.
"""

from __future__ import annotations

import contextlib
import hashlib
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from .. import locks
from ..files import read_json, write_json
from .policies import DAY, Policy

Given = TypeVar("Given")

NAP = 60.0
"""Seconds after which whoever waits looks whether the computer was asleep."""
LEAST = 10.0
"""Seconds a refusal is heeded at the least."""


class GoneError(Exception):
    """This address will not give the file, however often it is asked."""


class WrongError(GoneError):
    """The address gave something else than the file."""


class TransientError(Exception):
    """It may work later; `after` is how long the server asked to wait (seconds)."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class UnreachableError(TransientError):
    """No connection came about: no network, or the host is down."""


class RefusedError(TransientError):
    """The host gives nothing for a while, whatever it is asked."""


class Clock:
    """The time, and waiting; tests have one of their own."""

    def now(self) -> float:
        return time.time()

    def steady(self) -> float:
        """Seconds that nobody sets; they tell how much later something is, not when."""
        return _since_boot()

    def sleep(self, seconds: float) -> None:
        """Wait; the time that a computer is asleep itself counts."""
        end = _since_boot() + seconds
        while (left := end - _since_boot()) > 0:
            time.sleep(min(left, NAP))


def _since_boot() -> float:
    """Seconds that nobody sets, and that go on in a computer's sleep where it tells them."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def moment(seconds: float) -> str:
    """A time of the clock, for people."""
    return time.strftime("%d %b %H:%M", time.localtime(seconds))


def tell(line: str) -> None:
    """A line for the log, and for the terminal of whoever started the job."""
    stamped = f"{moment(time.time())}  {line}"
    print(stamped, flush=True)
    terminal = sys.__stderr__
    if terminal and terminal is not sys.stderr and terminal.isatty():
        print(stamped, file=terminal, flush=True)


class Wall:
    """A refusal that all jobs see: nobody asks until its time is over, and then one does."""

    def __init__(self, path: Path, policy: Policy, clock: Clock) -> None:
        self.path = path
        self.policy = policy
        self.clock = clock
        self._building = threading.Lock()

    @property
    def stands(self) -> bool:
        """Whether there was a refusal, and nobody has found out yet that it is over."""
        return self.path.exists()

    def left(self) -> float:
        """Seconds until somebody may ask again; 0 where it may be now."""
        begun, seconds, _ = self._read()
        # After a reboot the clock may be anything: never wait longer than the wall is long.
        return max(0.0, min(seconds, begun + seconds - self.clock.now()))

    def build(self, seconds: float | None, why: str) -> None:
        """Nobody asks for so many seconds (None: as long as the policy says)."""
        with self._building:  # several threads may be refused at once
            _, _, refusals = self._read()
            refusals += self.left() == 0
            if seconds is None:
                seconds = self.policy.wall
            # A host that refuses and says "now" would be asked without end.
            growing = min(self.policy.wall, LEAST * 2 ** min(refusals - 1, 16))
            seconds = min(DAY, max(growing, seconds))
            found = {"name": self.policy.name, "begun": self.clock.now(), "seconds": seconds}
            write_json(self.path, {**found, "refusals": refusals, "why": why})

    def fall(self) -> None:
        self.path.unlink(missing_ok=True)

    def _read(self) -> tuple[float, float, int]:
        """When it was built, how long it stands, and how many refusals in a row there were."""
        try:
            wall = read_json(self.path)
            return float(wall["begun"]), float(wall["seconds"]), int(wall.get("refusals", 0))
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0, 0.0, 0


WALL = ".wall.json"
"""How the names of walls end."""


def walls(folder: Path) -> dict[str, float]:
    """Whose walls stand beside these downloads, and until when."""
    found: dict[str, float] = {}
    for path in sorted(folder.glob(f"*{WALL}")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            wall = read_json(path)
            until, name = float(wall["begun"]) + float(wall["seconds"]), str(wall["name"])
            if until > time.time():
                found[name] = max(until, found.get(name, 0.0))
    return found


class Gate:
    """One host, for every job and thread that shares `folder`."""

    def __init__(
        self, host: str, policy: Policy, folder: Path, clock: Clock, connections: int
    ) -> None:
        self.host = host
        self.policy = policy
        self.folder = folder
        self.clock = clock
        self.places = min(policy.connections or connections, connections)
        self._walls: dict[str, Wall] = {}
        self._first = True

    def ask(self, attempt: Callable[[Callable[[], None]], Given], address: str = "") -> Given:
        """The result of `attempt`, which is begun when the host may be asked for this address.

        It may call what it is given as soon as the host has answered: the wall is gone.
        """
        wall = self.wall(address)
        with self._turn():
            while wall.stands:
                with contextlib.ExitStack() as alone:
                    alone.enter_context(locks.exclusive(self.folder / f"{self.host}.probe"))
                    if not wall.stands:
                        continue  # while we waited for our turn, another found it open
                    self._sit_out(wall)
                    return self._once(attempt, wall, alone.close)
            return self._once(attempt, wall, lambda: None)

    def wall(self, address: str = "") -> Wall:
        """What a refusal builds: before the host, or before one file of it."""
        of = ""
        if self.policy.per_file and address:
            of = f".{hashlib.sha256(address.encode()).hexdigest()[:12]}"
        path = self.folder / f"{self.host}{of}{WALL}"
        return self._walls.setdefault(of, Wall(path, self.policy, self.clock))

    def _once(
        self,
        attempt: Callable[[Callable[[], None]], Given],
        wall: Wall,
        release: Callable[[], None],
    ) -> Given:
        answered: list[bool] = []

        def admitted() -> None:
            if not answered:
                answered.append(True)
                wall.fall()
                release()

        try:
            given = attempt(admitted)
        except RefusedError as refusal:
            wall.build(refusal.after, str(refusal))
            raise
        except GoneError:
            admitted()
            raise
        admitted()
        return given

    def _sit_out(self, wall: Wall) -> None:
        if left := wall.left():
            until = moment(self.clock.now() + left)
            tell(f"{self.policy.name} refuses; it is left alone until {until}, then asked once")
            self.clock.sleep(left)

    @contextlib.contextmanager
    def _turn(self) -> Iterator[None]:
        """A place among those who ask, kept until the next request may begin."""
        interval = self.policy.interval * self.places
        asked_before = self._first and any(self.folder.glob(f"{self.host}.[0-9]*"))
        with locks.slot(self.folder, self.host, self.places):
            if asked_before and interval:
                self.clock.sleep(interval)  # whoever had the place may have been killed in it
            self._first = False
            begun = self.clock.now()
            try:
                yield
            except (GoneError, TransientError):  # not of Ctrl-C: the next job waits before it asks
                self._rest(begun, interval)
                raise
            self._rest(begun, interval)

    def _rest(self, begun: float, interval: float) -> None:
        spent = max(0.0, self.clock.now() - begun)
        pause = max(interval - spent, random.uniform(*self.policy.pause))
        if pause > 0:
            self.clock.sleep(pause)
