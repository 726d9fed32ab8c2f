"""Rows against each other, run by run and clip by clip: what they share cancels."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from ..metrics.bootstrap import Interval, around
from ..settings import Project
from ..settings.project import Paper
from . import stats
from .externals import MODEL, is_external
from .printed import PrintedColumn, PrintedTable
from .records import Record, digits, finite

COLUMNS = (
    *("table", "row", "minus", "condition", "set", "model", "metric", "implementation"),
    *("difference", "ci_low", "ci_high", "interval", "n_pairs"),
    *("runs_low", "runs_high", "clips_low", "clips_high", "word"),
)


@dataclass(frozen=True)
class Difference:
    """One row minus another in one column, over the runs (seeds, folds) that both have."""

    value: float
    n: int
    ends: tuple[float, float] | None
    interval: stats.Source
    """What the interval that decides speaks of, as for cells."""
    runs: tuple[float, float] | None = None
    """The t-interval of the pairs' differences: other trainings on these clips."""
    clips: tuple[float, float] | None = None
    """Clips resampled for both rows together, runs averaged: these models on other clips."""
    unit: str = "clip"

    @property
    def estimand(self) -> str:
        """What lies in the interval at its level of confidence."""
        return stats.estimand(self.interval, self.unit).replace("this model", "these two models")

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


def sentence(row: str, other: str, found: Difference, scale: str) -> str:
    """The difference in words: "LGC beats Mean teacher by 0.031 [0.012, 0.049]".

    Whether a method beats another only several trainings at full scale can tell. One pair of
    models, or the miniature, has scores that lie above or below each other.
    """
    size, side = abs(found.value), "above" if found.value >= 0 else "below"
    if found.ends is None:
        return f"{row} is {size:.3f} {side} {other} (no interval)"
    if found.word == "no clear difference":
        return f"{row} and {other} do not differ clearly: {found} ({found.estimand})"
    low, high = sorted(map(abs, found.ends))
    if found.interval != "both" or scale != "full":
        return f"{row} is {size:.3f} [{low:.3f}, {high:.3f}] {side} {other} ({found.estimand})"
    verb = "beats" if found.word == "higher" else "falls behind"
    return f"{row} {verb} {other} by {size:.3f} [{low:.3f}, {high:.3f}] ({found.estimand})"


def difference(
    ours: Sequence[Record], theirs: Sequence[Record], column: PrintedColumn, confidence: float
) -> Difference | None:
    """Paired by seed and fold, a system of others with every run; None where no pair of runs has
    the value."""
    pairs, unit = [], "clip"
    for record, other in _paired(ours, theirs):
        keys = _keys(record, column), _keys(other, column)
        if (pair := _pair(record, other, keys, confidence)) is not None:
            pairs.append(pair)
            unit = str((record.find(**keys[0]) or {}).get("unit") or unit)
    found = stats.summarise(pairs, confidence)
    if found is None:
        return None
    runs = None
    if len(pairs) > 1:
        runs = stats.t_interval([pair.value for pair in pairs], confidence)[2:]
    clips = _over_clips(pairs, confidence)
    return Difference(found.mean, len(pairs), _ends(found), found.interval, runs, clips, unit)


def _paired(ours: Sequence[Record], theirs: Sequence[Record]) -> Iterator[tuple[Record, Record]]:
    for one, other in product(ours, theirs):
        alone = is_external(one) or is_external(other)
        if alone or (one.run.seed, one.run.fold) == (other.run.seed, other.run.fold):
            yield one, other


def _keys(record: Record, column: PrintedColumn) -> dict[str, Any]:
    """What a column's value is called in a run's metrics."""
    c = column.column
    model = MODEL if is_external(record) else c.model
    keys: dict[str, Any] = {"set": c.set, "model": model, "metric": c.metric}
    return keys | {"implementation": c.implementation, "label": c.label}


def _pair(
    ours: Record, theirs: Record, keys: tuple[dict[str, Any], dict[str, Any]], confidence: float
) -> stats.Measured | None:
    """One run minus another; None unless both have the value."""
    values = [
        finite(entry.get("value")) if (entry := one.find(**its)) else None
        for one, its in zip((ours, theirs), keys, strict=True)
    ]
    if None in values:
        return None
    value, fold = values[0] - values[1], ours.run.fold  # type: ignore[operator]
    mine = ours.draws(**keys[0])
    draws = mine.minus(theirs.draws(**keys[1])) if mine else None
    if draws is None:
        return stats.Measured(value, fold=fold)
    low, high = around(value, draws.values, confidence, draws.units)[1:]
    return stats.Measured(value, low, high, draws, fold)


def _ends(interval: stats.Summary | Interval) -> tuple[float, float] | None:
    """Both ends or none."""
    if interval.low is None or interval.high is None:
        return None
    return interval.low, interval.high


def _over_clips(pairs: Sequence[stats.Measured], confidence: float) -> tuple[float, float] | None:
    """The interval of the mean of these very pairs over clips, if all drew the same."""
    draws = [pair.draws for pair in pairs if pair.draws is not None]
    if len(draws) < len(pairs) or not all(one.pairs_with(draws[0]) for one in draws):
        return None
    mean = float(np.mean([pair.value for pair in pairs]))
    together = np.mean([one.values for one in draws], axis=0)
    return _ends(around(mean, together, confidence, draws[0].units))


Differences = dict[tuple[str, str], list[Difference | None]]
"""Per pair of rows (row, minus) the differences in the columns of a table."""


def differences(project: Project, table: PrintedTable, found: Sequence[Record]) -> Differences:
    """Every row minus every row printed above it, where a column has one; not class by class."""
    if table.transposed:
        return {}
    by_row: dict[tuple[str, str], list[Record]] = {}
    for record in found:
        if record.done:
            # A system of others stands under every condition that has columns of its set.
            own, all_of_them = [record.run.condition], [c.condition for c in table.columns]
            for condition in dict.fromkeys(all_of_them if is_external(record) else own):
                by_row.setdefault((record.run.row, condition), []).append(record)
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

    return replace(
        one, value=-one.value, ends=swap(one.ends), runs=swap(one.runs), clips=swap(one.clips)
    )


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
                where = (table.name, row, other, column.condition, c.set, c.model, column.metric)
                ends = one.ends or (None, None)
                both = *(one.runs or (None, None)), *(one.clips or (None, None))
                numbers = [*map(digits, (one.value, *ends)), one.interval, one.n]
                writer.writerow([*where, c.implementation, *numbers, *map(digits, both), one.word])
    return out.getvalue()
