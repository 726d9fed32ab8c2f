"""The tables that flow between stages: clips, events and audits, as checked TSV files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from .clips import COLUMNS, Clip, read_clips
from .errors import SedreproError
from .files import write_text
from .settings import Overlap

CLIPS = COLUMNS
EVENTS = ["clip", "label", "onset", "offset", "confidence"]
AUDIT = ["subset", "expected", "found", "note", "origin"]
"""`origin`: whose the recordings are (`sources/whose.py`)."""

_TEXT = {"clip", "subset", "fold", "label", "note", "origin"}
_TEXT |= {"filename", "event_label", "event_labels"}  # of DESED's own tables


def read(path: str | Path, columns: Sequence[str]) -> pd.DataFrame:
    """A TSV with at least these columns; names stay text, empty cells are NaN (or '' in text).

    A file named `.csv` may have commas; those of MAESTRO and TAU have tabs nevertheless. Numbers
    are read exactly: an onset may lie on a collar.
    """
    try:
        separator = _separator(path)
        table = pd.read_csv(
            path,
            sep=separator,
            dtype={c: str for c in _TEXT},
            na_values=[""],
            keep_default_na=False,
            float_precision="round_trip",  # the default is off by a bit now and then
        )
    except FileNotFoundError:
        raise SedreproError(f"{path}: no such file") from None
    except pd.errors.EmptyDataError:
        raise SedreproError(f"{path}: empty file; expected columns {', '.join(columns)}") from None
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise SedreproError(f"{path}: not a TSV table: {' '.join(str(error).split())}") from None
    if not isinstance(table.index, pd.RangeIndex):
        raise SedreproError(f"{path}: a row has more cells than the heading")
    for column in columns:
        if column not in table:
            _check_separator(path, table, separator)
            raise SedreproError(
                f"{path}: column {column!r} is missing; found {', '.join(map(str, table.columns))}"
            )
    text = [c for c in table.columns if c in _TEXT]
    table[text] = table[text].fillna("")
    return table


def _separator(path: str | Path) -> str:
    if Path(path).suffix != ".csv":
        return "\t"
    with open(path, encoding="utf-8", errors="replace") as handle:
        return "\t" if "\t" in handle.readline() else ","


def _check_separator(path: str | Path, table: pd.DataFrame, separator: str) -> None:
    """Say so where the heading is one cell because other characters separate its columns."""
    names = {",": "commas", ";": "semicolons", "\t": "tabs", " ": "spaces"}
    heading = str(table.columns[0])
    for other in names:
        if len(table.columns) == 1 and other != separator and other in heading:
            raise SedreproError(
                f"{path}: columns must be separated by {names[separator]}, not {names[other]}"
            )


def write(path: str | Path, table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Write the columns in order; times keep their digits, missing values are empty."""
    write_text(path, table[list(columns)].to_csv(sep="\t", index=False, lineterminator="\n"))


def clip_table(listed: Iterable[Clip]) -> pd.DataFrame:
    """Clips as the table that `write` writes and `read_clips` reads."""
    table = pd.DataFrame([tuple(clip) for clip in listed], columns=CLIPS)
    return table.astype({"seconds": float, "start": float, "feature_row": "Int64"})


def read_clip_table(path: str | Path) -> pd.DataFrame:
    """The clips of a subset, checked, as a table."""
    return clip_table(read_clips(path))


def read_events(path: str | Path, classes: Iterable[str] | None = None) -> pd.DataFrame:
    """The events of a subset, checked; weak tags have no times."""
    events = read(path, EVENTS)
    for column in ("onset", "offset", "confidence"):
        events[column] = numbers(path, events, column)
    check_events(path, events, classes)
    return events


def check_events(
    path: str | Path, events: pd.DataFrame, classes: Iterable[str] | None = None
) -> None:
    """Refuse labels no class has, and times that cannot be; the message names the row.

    The index of `events` counts the file's rows, so a filtered table still names the right one.
    """
    if classes is not None:
        known = set(classes)
        for label in events["label"].unique():
            if label not in known:
                row = int(np.flatnonzero(events["label"] == label)[0])
                raise SedreproError(
                    f"{path}: row {events.index[row] + 2}: label {label!r} is not a class; "
                    f"classes are {', '.join(classes)}"
                )
    timed = events["onset"].notna() | events["offset"].notna()
    possible = (events["onset"] >= 0) & (events["offset"] > events["onset"])
    wrong = timed & ~(possible & np.isfinite(events["offset"]))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        event = events.iloc[row]
        raise SedreproError(
            f"{path}: row {events.index[row] + 2}: event {event['label']!r} of clip "
            f"{event['clip']!r} must have 0 <= onset < offset, "
            f"not {event['onset']} and {event['offset']}"
        )


def numbers(path: str | Path, table: pd.DataFrame, column: str) -> pd.Series:
    """A column as floats; a cell that is neither empty nor a number is named."""
    if table[column].dtype.kind in "fi":  # every cell was read as a number, or is empty
        return table[column].astype(float)
    values = pd.to_numeric(table[column], errors="coerce")
    wrong = values.isna() & table[column].notna()
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise SedreproError(
            f"{path}: row {row + 2}: {column} must be a number, not {table[column].iloc[row]!r}"
        )
    return values.astype(float)


def frame_targets(
    events: pd.DataFrame,
    clips: Sequence[str],
    classes: Sequence[str],
    frames: int,
    hop: float,
    overlap: Overlap = "largest",
) -> np.ndarray:
    """Frame labels (clip, frame, class) in float32; confidences are soft targets.

    An event covers frames floor(onset/hop) up to ceil(offset/hop), exclusive. Where events of one
    class meet in a frame the largest confidence counts, or that of the last row. Events without
    times are ignored here.
    """
    targets = np.zeros((len(clips), frames, len(classes)), dtype=np.float32)
    row = {clip: index for index, clip in enumerate(clips)}
    column = {label: index for index, label in enumerate(classes)}
    timed = events[events["onset"].notna()]
    for clip, label, onset, offset, confidence in zip(
        *(timed[name] for name in EVENTS), strict=True
    ):
        if clip not in row or label not in column:
            continue
        first = int(onset / hop)
        last = min(frames, int(np.ceil(offset / hop)))
        cell = targets[row[clip], first:last, column[label]]
        if overlap == "last":
            cell[:] = confidence
        else:
            np.maximum(cell, np.float32(confidence), out=cell)
    return targets


def clip_targets(events: pd.DataFrame, clips: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """Clip labels (clip, class) in float32: 1 where the clip has an event or a tag of the class."""
    targets = np.zeros((len(clips), len(classes)), dtype=np.float32)
    row = {clip: index for index, clip in enumerate(clips)}
    column = {label: index for index, label in enumerate(classes)}
    for clip, label in zip(events["clip"], events["label"], strict=True):
        if clip in row and label in column:
            targets[row[clip], column[label]] = 1.0
    return targets
