"""Who is alive: a process that told its identity, and the driver that started this job."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

DRIVER = "SEDREPRO_DRIVER"
"""Environment variable by which a driver tells its jobs who it is: <pid>:<start time>."""


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
