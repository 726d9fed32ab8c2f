"""Rows against each other, run by run and clip by clip: what they share cancels."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..metrics.bootstrap import Interval, around
from ..settings import Project
from ..settings.project import Paper
from . import stats
from .collect import PrintedColumn, PrintedTable
from .records import Record, digits, finite

COLUMNS = (
    *("table", "row", "minus", "condition", "subset", "model", "metric", "implementation"),
    *("difference", "ci_low", "ci_high", "interval", "n_pairs"),
    *("runs_low", "runs_high", "clips_low", "clips_high", "word"),
)


@dataclass(frozen=True)
class Difference:
    """One row minus another in one column, over the runs (seeds, folds) that both have."""

    value: float
    n: int
    runs: tuple[float, float] | None
    """The t-interval of the pairs' differences: other seeds (and folds)."""
    clips: tuple[float, float] | None
    """Clips resampled for both rows together, runs averaged: other clips."""

    @property
    def interval(self) -> str:
        """Which interval decides, as for cells: over runs if there are several, else over clips."""
        return "runs" if self.runs else "clips" if self.clips else "none"

    @property
    def ends(self) -> tuple[float, float] | None:
        return self.runs or self.clips

    @property
    def word(self) -> str:
        """`higher`, `lower`, `no clear difference` (0 lies within the interval), or nothing."""
        if self.ends is None:
            return ""
        low, high = self.ends
        return "higher" if low > 0 else "lower" if high < 0 else "no clear difference"

    def __str__(self) -> str:
        ends = "" if self.ends is None else f" [{self.ends[0]:+.3f}, {self.ends[1]:+.3f}]"
        return f"{self.value:+.3f}{ends}".replace("-", "−")


def sentence(row: str, other: str, found: Difference) -> str:
    """The difference in words: "LGC beats Mean teacher by 0.031 [0.012, 0.049]"."""
    size = abs(found.value)
    if found.ends is None:
        side = "above" if found.value >= 0 else "below"
        return f"{row} is {size:.3f} {side} {other} (no interval)"
    if found.word == "no clear difference":
        return f"{row} and {other} do not differ clearly: {found}"
    low, high = sorted(map(abs, found.ends))
    verb = "beats" if found.word == "higher" else "falls behind"
    return f"{row} {verb} {other} by {size:.3f} [{low:.3f}, {high:.3f}]"


def difference(
    ours: Sequence[Record], theirs: Sequence[Record], column: PrintedColumn, confidence: float
) -> Difference | None:
    """Paired by seed and fold; None where no pair of runs has the value."""
    c = column.column
    key = (c.subset, c.model, c.metric, c.implementation, c.label or "")
    others = {(record.run.seed, record.run.fold): record for record in theirs}
    values, resampled = [], []
    for record in ours:
        other = others.get((record.run.seed, record.run.fold))
        ends = _value(record, key), _value(other, key) if other else None
        if other is None or None in ends:
            continue
        values.append(ends[0] - ends[1])  # type: ignore[operator]
        mine, other_draws = record.resamples.draws(key), other.resamples.draws(key)
        resampled.append(mine.minus(other_draws) if mine else None)
    if not values:
        return None
    mean = float(np.mean(values))
    runs = stats.t_interval(values, confidence)[2:] if len(values) > 1 else None
    clips = None
    known = [one.values for one in resampled if one is not None]
    if len(known) == len(values) and len({one.shape for one in known}) == 1:
        units = min(one.units for one in resampled if one is not None)
        interval: Interval = around(mean, np.mean(known, axis=0), confidence, units)
        if interval.low is not None and interval.high is not None:
            clips = interval.low, interval.high
    return Difference(mean, len(values), runs, clips)


def _value(record: Record, key: tuple[str, str, str, str, str]) -> float | None:
    names = ("set", "model", "metric", "implementation", "label")
    entry = record.find(**dict(zip(names, key, strict=True)))
    return finite(entry.get("value")) if entry else None


Differences = dict[tuple[str, str], list[Difference | None]]
"""Per pair of rows (row, minus) the differences in the columns of a table."""


def differences(project: Project, table: PrintedTable, found: Sequence[Record]) -> Differences:
    """Every row minus every row printed above it, where a column has one; not class by class."""
    if table.transposed:
        return {}
    by_row: dict[tuple[str, str], list[Record]] = {}
    for record in found:
        if record.done:
            by_row.setdefault((record.run.row, record.run.condition), []).append(record)
    names = [row.name for row in table.rows if not row.context]
    made: Differences = {}
    for place, row in enumerate(names):
        for other in names[:place]:
            line = [
                difference(
                    by_row.get((row, column.condition), []),
                    by_row.get((other, column.condition), []),
                    column,
                    project.report.confidence,
                )
                for column in table.columns
            ]
            if any(line):
                made[row, other] = line
    return made


def against(made: Differences, row: str, other: str) -> list[Difference | None]:
    """One row minus another, in whichever order they are printed."""
    if (row, other) in made:
        return made[row, other]
    return [_turned(one) if one else None for one in made.get((other, row), [])]


def _turned(one: Difference) -> Difference:
    def swap(ends: tuple[float, float] | None) -> tuple[float, float] | None:
        return (-ends[1], -ends[0]) if ends else None

    return Difference(-one.value, one.n, swap(one.runs), swap(one.clips))


def baseline(spec: Paper, table: PrintedTable) -> str | None:
    """The row the others of a table are compared with."""
    rows = [row.name for row in table.rows if not row.context]
    trained = [row for row in spec.headline if spec.table[row].kind == "train"]
    return next((row for row in [spec.baseline, *trained] if row in rows), None)


def to_csv(tables: Sequence[PrintedTable], made: Mapping[str, Differences]) -> str:
    """One line per pair of rows and column; `made` by the tables' names."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for table in tables:
        for (row, other), line in made[table.name].items():
            for column, one in zip(table.columns, line, strict=True):
                if one is None:
                    continue
                c = column.column
                where = (table.name, row, other, column.condition, c.subset, c.model, column.metric)
                ends = one.ends or (None, None)
                both = *(one.runs or (None, None)), *(one.clips or (None, None))
                numbers = [*map(digits, (one.value, *ends)), one.interval, one.n]
                writer.writerow([*where, c.implementation, *numbers, *map(digits, both), one.word])
    return out.getvalue()
