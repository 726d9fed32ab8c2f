"""Locks between processes; the kernel lets go of them when their holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import random
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def exclusive(path: str | Path) -> Iterator[None]:
    """Hold `path` (a file of no content) until the block ends; wait for whoever holds it."""
    with _opened(path) as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def slot(folder: str | Path, name: str, slots: int) -> Iterator[None]:
    """One of `slots` places for `name`, over all threads and processes that share `folder`."""
    numbers = random.sample(range(slots), slots)
    for number in numbers:
        with _opened(Path(folder) / f"{name}.{number}") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield
            return
    with exclusive(Path(folder) / f"{name}.{numbers[0]}"):
        yield


@contextlib.contextmanager
def _opened(path: str | Path) -> Iterator[int]:
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as handle:
        yield handle.fileno()
