"""Locks between processes; the kernel lets go of them when their holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import random
from collections.abc import Iterator
from pathlib import Path
from typing import IO


def take(path: str | Path) -> IO[str] | None:
    """The lock file `path`, held until it is closed; None while somebody else holds it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = open(path, "a+")  # noqa: SIM115 (closed by the caller)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        return None
    except OSError:
        handle.close()
        raise
    return handle


@contextlib.contextmanager
def exclusive(path: str | Path) -> Iterator[None]:
    """Hold `path` (a file of no content) until the block ends; wait for whoever holds it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def slot(folder: str | Path, name: str, slots: int) -> Iterator[None]:
    """One of `slots` places for `name`, over all threads and processes that share `folder`."""
    numbers = random.sample(range(slots), slots)
    for number in numbers:
        lock = take(Path(folder) / f"{name}.{number}")
        if lock:
            with lock:
                yield
            return
    with exclusive(Path(folder) / f"{name}.{numbers[0]}"):
        yield
