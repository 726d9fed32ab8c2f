"""Is this file the one we mean? What is known of it, what it measures, and what is remembered."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import locks
from ..errors import SedreproError
from ..files import read_json, write_json
from .registry import File

BY_HAND, NOBODY = "by hand", "nobody"
"""Whence a file came that a person placed; who vouches for one that is measured first here."""
PAGE = 256
"""Bytes that tell a web page from a file."""

LOCK = "datasets.lock.json"


@dataclass(frozen=True)
class Expected:
    """What a file must measure; None where nobody knows. `by` is who says so."""

    bytes: int | None
    md5: str | None
    sha256: str | None
    by: str

    @property
    def pinned(self) -> bool:
        return bool(self.md5 or self.sha256)

    def __str__(self) -> str:
        if self.sha256:
            return f"sha256 {self.sha256}"
        return f"md5 {self.md5}" if self.md5 else "checksum unknown"


def expected(file: File, locked: dict[str, Any], record: dict[str, Any]) -> Expected:
    """The registry's word first, then the lock file's, then that of the host's own record."""
    known = [
        ("registry", {"bytes": file.bytes, "md5": file.md5, "sha256": file.sha256}),
        ("lock file", locked),
        ("host's record", record),
    ]

    def first(key: str) -> Any:
        return next((source[key] for _, source in known if source.get(key)), None)

    by = next((who for who, source in known if source.get("md5") or source.get("sha256")), NOBODY)
    return Expected(first("bytes"), first("md5"), first("sha256"), by)


def measure(path: Path) -> dict[str, Any]:
    """Bytes, md5 and sha256, in one reading."""
    md5, sha256, size = hashlib.md5(usedforsecurity=False), hashlib.sha256(), 0
    with open(path, "rb") as handle:
        while block := handle.read(1 << 20):
            md5.update(block)
            sha256.update(block)
            size += len(block)
    return {"bytes": size, "md5": md5.hexdigest(), "sha256": sha256.hexdigest()}


def fault(path: Path, wanted: Expected, measured: dict[str, Any]) -> str | None:
    """What is wrong with a complete file, or None."""
    for key in ("bytes", "md5", "sha256"):
        value = getattr(wanted, key)
        if value is not None and measured[key] != value:
            return f"{key} is {measured[key]}, not {value} ({wanted.by})"
    if measured["bytes"] == 0:
        return "it is empty"
    if not wanted.pinned and _is_page(path):
        return "it is a web page, not the file"
    return None


def set_aside(path: Path) -> Path:
    """Rename a wrong file to a name that is free and says so."""
    number = 0
    while True:
        aside = path.with_name(f"{path.name}.wrong" + (f"-{number}" if number else ""))
        if not aside.exists():
            path.rename(aside)
            return aside
        number += 1


class Lock:
    """data/<scale>/datasets.lock.json: what the first complete download of each file measured."""

    def __init__(self, data_folder: str) -> None:
        self.path = Path(data_folder) / LOCK

    def entry(self, key: str) -> dict[str, Any]:
        return self._read().get(key, {})

    def freeze(self, key: str, measured: dict[str, Any], origin: str, checked: str) -> None:
        """Remember a file that was found good; what is remembered already stays."""
        with locks.exclusive(self.path.with_name(f".{LOCK}.lock")):
            entries = self._read()
            if key not in entries:
                entries[key] = {**measured, "from": origin, "checked_against": checked}
                write_json(self.path, dict(sorted(entries.items())))

    def _read(self) -> dict[str, Any]:
        try:
            return read_json(self.path)
        except FileNotFoundError:
            return {}
        except ValueError:
            raise SedreproError(
                f"{self.path}: not valid JSON; delete it to measure the files anew"
            ) from None


def is_page(start: bytes) -> bool:
    """Whether these first bytes are a web page's, as hosts send it when something is wrong."""
    return start[:PAGE].lstrip().lower().startswith((b"<!doctype html", b"<html"))


def _is_page(path: Path) -> bool:
    with open(path, "rb") as handle:
        return is_page(handle.read(PAGE))
