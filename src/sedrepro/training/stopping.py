"""One writer per run folder, and an orderly stop when somebody asks for it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from .. import locks
from ..errors import SedreproError
from ..liveness import watch

TIME_IS_UP = signal.SIGURG
"""Sent to a cluster job shortly before its time limit (`slurm_extra` in profiles/slurm). Everything
else in the job, from the shell to Snakemake, ignores this signal unless told otherwise."""


class Interrupted(SedreproError):  # noqa: N818 (it is not an error)
    """The run was asked to stop; what it had is kept and the next start goes on from there."""


@contextlib.contextmanager
def exclusive(path: Path, patience: float = 300.0) -> Iterator[None]:
    """Hold the lock file. Wait while another process has it: it may be an orphan that is ending."""
    deadline = time.monotonic() + patience
    while not (handle := locks.take(path)):
        if time.monotonic() > deadline:
            holder = path.read_text().strip() or "?"
            raise SedreproError(
                f"{path.parent.parent}: process {holder} is training this run; "
                "wait for it or end it"
            )
        time.sleep(0.2)
    with handle:
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def requeue() -> None:
    """Put this job back into the cluster's queue, if it is a cluster's: that uses up no retry.

    If the scheduler refuses, the job fails and is retried.
    """
    job = os.environ.get("SLURM_JOB_ID")
    if job:
        with contextlib.suppress(OSError):
            subprocess.run(["scontrol", "requeue", job], check=False)


class Stop:
    """A request to stop: SIGTERM, SIGINT, the end of the time granted, or the death of the driver
    that started this job.

    Used as a context; `check()` raises `Interrupted` at the next safe place.
    """

    def __init__(self, poll: float = 0.5, grace: float = 60.0) -> None:
        self.reason: str | None = None
        self._requeue = False
        self._poll = poll
        self._grace = grace
        self._done = threading.Event()

    def __enter__(self) -> Stop:
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT, TIME_IS_UP):
                self._previous[number] = signal.signal(number, self._on_signal)
        watch(self._orphaned, self._done, self._poll)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, _: object) -> None:
        self.reason = "its time limit" if number == TIME_IS_UP else signal.Signals(number).name
        self._requeue = number == TIME_IS_UP

    def _orphaned(self) -> None:
        self.reason = "the end of its driver"
        # A step that never ends must not keep an orphan alive beside its successor.
        if not self._done.wait(self._grace):
            os._exit(143)

    def __bool__(self) -> bool:
        return self.reason is not None

    def check(self, run: object, where: str) -> None:
        if self.reason:
            if self._requeue:
                requeue()
            raise Interrupted(f"{run}: stopped by {self.reason} {where}; start again to go on")
