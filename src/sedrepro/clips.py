"""The rows of `clips.tsv`: which clips a subset has, and where the sound of each is to be found."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from .errors import SedreproError

if TYPE_CHECKING:
    from .settings import Layout, Plan

Value = TypeVar("Value")


class Clip(NamedTuple):
    """One row of the table. A clip comes from a recording, or from a recipe, or has only features.

    A clip of a recording has a `path`, and a `start` in seconds if it is a part of the recording.
    A mixture has the `recipe` that lists its sounds. `feature_row` is the clip's row in the
    features that the authors of its corpus released.
    """

    name: str
    subset: str
    seconds: float
    fold: str = ""
    path: str = ""
    start: float | None = None
    recipe: str = ""
    feature_row: int | None = None

    @property
    def file(self) -> str:
        """The file that changes when the clip changes; empty if it has only features."""
        return self.recipe or self.path


COLUMNS = ["clip", *Clip._fields[1:]]


def read_clips(path: str | Path) -> list[Clip]:
    """The clips of a table, checked."""
    clips: dict[str, Clip] = {}
    for line, row in _rows(path):
        try:
            clip = _clip(row)
        except ValueError as error:
            raise SedreproError(f"{path}: row {line}: {error}") from None
        if clip.name in clips:
            raise SedreproError(f"{path}: clip {clip.name!r} is listed twice")
        clips[clip.name] = clip
    return list(clips.values())


def _rows(path: str | Path) -> list[tuple[int, dict[str, Any]]]:
    """Every row with its line, each with a cell in every column."""
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            table = csv.DictReader(handle, delimiter="\t")
            columns, rows = table.fieldnames or [], list(table)
    except FileNotFoundError:
        raise SedreproError(f"{path}: no such file") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise SedreproError(f"{path}: not a TSV table: {error}") from None
    for column in COLUMNS:
        if column not in columns:
            found = ", ".join(columns) or "nothing"
            raise SedreproError(f"{path}: column {column!r} is missing; found {found}")
    numbered = list(enumerate(rows, 2))
    for line, row in numbered:
        if None in row or None in row.values():
            raise SedreproError(f"{path}: row {line}: must have {len(columns)} cells")
    return numbered


def _clip(row: Mapping[str, str]) -> Clip:
    """A row as a clip; a `ValueError` says which cell is wrong."""
    return Clip(
        name=row["clip"],
        subset=row["subset"],
        seconds=_cell(row, "seconds", _finite),
        fold=row["fold"],
        path=row["path"],
        start=_cell(row, "start", _finite) if row["start"] else None,
        recipe=row["recipe"],
        feature_row=_cell(row, "feature_row", int) if row["feature_row"] else None,
    )


def _cell(row: Mapping[str, str], column: str, convert: Callable[[str], Value]) -> Value:
    try:
        return convert(row[column])
    except ValueError:
        raise ValueError(f"{column} must be a number, not {row[column]!r}") from None


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError
    return value


def portions(
    plan: Plan, layout: Layout, read: Callable[[str], list[Clip]] = read_clips
) -> dict[str, list[str]]:
    """The clips of each set that is only a part of its subset: where it is cut is a setting of the
    data, which no store knows. `read` reads a clip table."""
    sets = [subset for stream in plan.streams for subset in stream.subsets]
    sets += [held_out.subset for held_out in plan.held_out]
    return {
        f"{subset.corpus}/{subset.name}/{subset.portion}": [
            clip.name for clip in read(layout.table(subset, "clips")) if subset.holds(clip.fold)
        ]
        for subset in sets
        if subset.portion is not None
    }
