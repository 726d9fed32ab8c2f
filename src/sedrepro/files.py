"""Files that are whole or absent: write under a temporary name, flush, rename."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from .errors import SedreproError

ERROR = "error: "
"""Before a job's error, which is the last line of its log."""


@contextlib.contextmanager
def full_disk(place: str | Path) -> Iterator[None]:
    """A full disk in one clear line; what was written before is kept for the next start."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SedreproError(f"{place}: the disk is full; make room and start again") from None
        raise


@contextlib.contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; rename it to `path` only if the block succeeds."""
    path = Path(path)
    with full_disk(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            yield temporary
            with open(temporary, "rb") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove what killed writers of `path` left behind."""
    prefix = f".{path.name}."
    for name in _left_in(os.path.abspath(path.parent)):
        pid = name.removeprefix(prefix).removesuffix(".tmp")
        if name == f"{prefix}{pid}.tmp" and pid.isdigit() and not _alive(int(pid)):
            (path.parent / name).unlink(missing_ok=True)


@cache
def _left_in(folder: str) -> list[str]:
    """The temporary files in a folder when this process first writes there.

    To list it each time would take the longer the more files are written to it.
    """
    return [name for name in os.listdir(folder) if name.startswith(".") and name.endswith(".tmp")]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


class Disk(io.FileIO):
    """A file for libraries that cannot bear a write error, which it keeps until it is asked.

    HDF5 cannot close a file whose disk is full: it would bring the process down at its end. Torch
    says that the archive is inconsistent.
    """

    _error: OSError | None = None

    def write(self, values: Any) -> int:
        view = memoryview(values).cast("B")
        written = 0
        while written < len(view) and self._error is None:
            try:
                written += super().write(view[written:])
            except OSError as error:
                self._error = error
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self._error = error
            return size or 0

    def check(self) -> None:
        if self._error is not None:
            raise self._error


@contextlib.contextmanager
def open_atomic(path: str | Path) -> Iterator[Disk]:
    """A new file to write to, which appears as `path` when all of it could be written."""
    with atomic(path) as temporary, Disk(temporary, "w+") as disk:
        yield disk
        disk.check()


def write_text(path: str | Path, text: str) -> None:
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: str | Path) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def last_error(path: str | Path) -> str:
    """The error in which a job ended, from its log; nothing if it did not."""
    line = last_words(path)
    return line.removeprefix(ERROR) if line.startswith(ERROR) else ""


def last_words(path: str | Path) -> str:
    """The last line of a log that says something; a job's error is its last."""
    try:
        lines = Path(path).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def digest(value: Any) -> str:
    """A short content key of anything JSON can express; equal values have equal keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def tree_stamp(folder: str | Path) -> str:
    """A key of every file's name, size and date below a folder: it changes with what lies there,
    and is known without reading any of it."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(place, name)
            with contextlib.suppress(OSError):  # gone meanwhile
                there = os.stat(path)
                inner = os.path.relpath(path, folder)
                found.append([inner, there.st_size, there.st_mtime_ns])
    return digest(sorted(found))


SAMPLE = 4096


def fingerprint(path: str | Path) -> str:
    """A key of a large file by its size and what stands at its beginning, middle and end.

    Enough to tell one recording from another without reading all of a corpus; a change of a few
    samples elsewhere is not seen. A file that is not there has none.
    """
    try:
        with open(path, "rb") as handle:
            size = os.fstat(handle.fileno()).st_size
            key = hashlib.blake2b(str(size).encode(), digest_size=16)
            for place in (0, size // 2, max(0, size - SAMPLE)):
                handle.seek(place)
                key.update(handle.read(SAMPLE))
    except FileNotFoundError:
        return ""
    return key.hexdigest()


def file_digest(path: str | Path) -> str:
    """The content key of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
