"""config/papers/<paper>/published.csv: numbers of others, one a line, by the cell they stand in."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

from ..errors import SedreproError
from .explain import neighbour

KEYS = ("table", "row", "condition", "set", "model", "metric", "implementation")
COLUMNS = (*KEYS, "published", "published_std", "source", "status")


@dataclass(frozen=True)
class Line:
    """One line: its place in the file, and what it says."""

    number: int
    values: dict[str, str]

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(self.values[name] for name in KEYS)


def path(root: str | Path, paper: str) -> Path:
    return Path(root) / "config" / "papers" / paper / "published.csv"


def read(root: str | Path, paper: str) -> list[Line]:
    """The lines of a paper's file; no file, no lines."""
    file = path(root, paper)
    label = f"config/papers/{paper}/published.csv"
    try:
        with open(file, encoding="utf-8", newline="") as handle:
            reader = csv.DictReader(handle)
            lines = [
                Line(reader.line_num, {key: value or "" for key, value in row.items() if key})
                for row in reader
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    found = reader.fieldnames or []
    for column in found:
        if column not in COLUMNS:
            raise SedreproError(
                f"{label}: unknown column {column!r}{neighbour(column, COLUMNS)}; columns are "
                f"{', '.join(COLUMNS)}"
            )
    for column in COLUMNS:
        if column not in found:
            raise SedreproError(f"{label}: column {column!r} is missing")
    for line in lines:
        for column in ("published", "published_std"):
            text = line.values[column]
            if text and not _is_number(text):
                raise SedreproError(
                    f"{label}: line {line.number}: {column} must be a number or empty, not {text!r}"
                )
    return lines


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
