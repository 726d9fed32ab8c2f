"""One writer per run folder, no orphans, and an orderly stop when somebody asks for it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import SedreproError

DRIVER = "SEDREPRO_DRIVER"
"""Environment variable by which a driver tells its jobs who it is: <pid>:<start time>."""

TIME_IS_UP = signal.SIGURG
"""Sent to a cluster job shortly before its time limit (`slurm_extra` in profiles/slurm). Everything
else in the job, from the shell to Snakemake, ignores this signal unless told otherwise."""


class Interrupted(SedreproError):  # noqa: N818 (it is not an error)
    """The run was asked to stop; what it had is kept and the next start goes on from there."""


@contextlib.contextmanager
def exclusive(path: Path, patience: float = 300.0) -> Iterator[None]:
    """Hold the lock file; wait while another process (an orphan that is ending) still has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + patience
    with open(path, "a+") as handle:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    handle.seek(0)
                    raise SedreproError(
                        f"{path.parent.parent}: process {handle.read().strip() or '?'} is training "
                        "this run; wait for it or end it"
                    ) from None
                time.sleep(0.2)
        handle.seek(0)
        handle.truncate()
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def started(pid: int) -> str | None:
    """When a process started (clock ticks since boot), or None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (OSError, IndexError):
        return None


def identity() -> str:
    """This process as a driver: what its jobs watch."""
    return f"{os.getpid()}:{started(os.getpid()) or ''}"


def alive(process: str) -> bool:
    """Whether a process that told its `identity` is still there, not another with its number."""
    pid, _, start = process.partition(":")
    return started(int(pid)) == start


def orphaned() -> Callable[[], bool]:
    """Tells, whenever it is asked, whether those who started this job have died: the driver, or
    the process between the two. Without a driver nobody is watched."""
    driver, parent = os.environ.get(DRIVER, ""), os.getppid()
    pid, _, start = driver.partition(":")
    if not (pid.isdigit() and start):
        return lambda: False
    return lambda: not alive(driver) or os.getppid() != parent


def watch(lost: Callable[[], None], done: threading.Event, poll: float = 0.5) -> None:
    """Call `lost` in a thread of its own as soon as this job is an orphan, unless `done` is set."""
    orphan = orphaned()

    def look() -> None:
        while not orphan():
            if done.wait(poll):
                return
        lost()

    threading.Thread(target=look, daemon=True).start()


@contextlib.contextmanager
def ending_with_driver() -> Iterator[None]:
    """End this process at once when its driver dies.

    An orphan would write the same files as its successor. What it has not finished it loses: files
    appear when they are whole.
    """
    done = threading.Event()
    watch(lambda: os._exit(143), done)
    try:
        yield
    finally:
        done.set()


def requeue() -> None:
    """Back into the queue of the cluster, if this is one's job: not a failure that uses up a retry.

    What the scheduler makes of it is its own; if it refuses, the job fails and is retried.
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
        self._poll, self._grace = poll, grace
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
