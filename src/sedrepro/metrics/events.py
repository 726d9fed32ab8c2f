"""Events as columns of numbers, and the truth they are held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from ..errors import SedreproError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Events:
    """Intervals of one operating point: indices of clip and class, onset and offset in seconds."""

    clip: np.ndarray
    label: np.ndarray
    onset: np.ndarray
    offset: np.ndarray

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, chosen: np.ndarray) -> Events:
        return Events(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, float, float]]) -> Events:
        """From (clip, label, onset, offset) rows."""
        table = np.array(rows, dtype=float).reshape(-1, 4)
        return cls(table[:, 0].astype(int), table[:, 1].astype(int), table[:, 2], table[:, 3])


@dataclass(frozen=True)
class Reference:
    """What is true of some clips: their names and lengths in seconds, the classes, the events.

    Events are sorted by clip and those of one class in one clip do not overlap (see `merge`).
    """

    clips: list[str]
    seconds: np.ndarray
    classes: list[str]
    events: Events

    @property
    def n_events(self) -> np.ndarray:
        """Events per clip and class (clip, class)."""
        return self._sum(np.ones(len(self.events)))

    @property
    def event_seconds(self) -> np.ndarray:
        """Total length of the events per clip and class (clip, class), in seconds."""
        return self._sum(self.events.offset - self.events.onset)

    def _sum(self, values: np.ndarray) -> np.ndarray:
        shape = len(self.clips), len(self.classes)
        cell = self.events.clip * shape[1] + self.events.label
        return np.bincount(cell, values, minlength=shape[0] * shape[1]).reshape(shape)


def reference(
    *,
    clips: Sequence[str],
    seconds: Sequence[float] | np.ndarray,
    classes: Sequence[str],
    events: tuple[Sequence[str], Sequence[str], Sequence[float], Sequence[float]],
) -> Reference:
    """The truth of these clips from columns (clip name, label, onset, offset) of a larger table.

    Events of other clips are left out; events without a length are too; overlapping events of one
    class are one event.
    """
    row = {clip: index for index, clip in enumerate(clips)}
    column = {label: index for index, label in enumerate(classes)}
    rows = []
    for clip, label, onset, offset in zip(*events, strict=True):
        if clip not in row or not offset > onset:
            continue
        if label not in column:
            raise SedreproError(
                f"clip {clip!r}: label {label!r} is not a class; classes are {', '.join(classes)}"
            )
        rows.append((row[clip], column[label], onset, offset))
    return Reference(
        list(clips), np.asarray(seconds, dtype=float), list(classes), merge(Events.of(rows))
    )


def columns(table: pd.DataFrame) -> tuple[list[str], list[str], list[float], list[float]]:
    """The events of a table as `reference` takes them."""
    return (
        table["clip"].tolist(),
        table["label"].tolist(),
        table["onset"].tolist(),
        table["offset"].tolist(),
    )


def merge(events: Events, *, touching: bool = False) -> Events:
    """Unite events of one class in one clip that overlap (or, if asked, touch); sorted by clip."""
    merged: list[tuple[int, int, float, float]] = []
    order = np.lexsort((events.onset, events.label, events.clip))
    columns = (events.clip, events.label, events.onset, events.offset)
    for clip, label, onset, offset in zip(*(c[order].tolist() for c in columns), strict=True):
        last = merged[-1] if merged and merged[-1][:2] == (clip, label) else None
        if last and (onset < last[3] or (touching and onset == last[3])):
            merged[-1] = (*last[:3], max(last[3], offset))
        else:
            merged.append((clip, label, onset, offset))
    return Events.of(merged)
