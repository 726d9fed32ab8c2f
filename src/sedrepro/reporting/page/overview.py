"""The overview: every paper's state, and its headline numbers as intervals on one axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from ...settings import Project
from ...settings.project import Paper
from .. import differences
from ..printed import Cell, PrintedColumn, PrintedTable
from ..records import Record
from ..tables import ours_text, published_text


def state(selected: Sequence[str], found: Sequence[Record]) -> dict[str, Any]:
    """Done, partial or pending, and the count of runs behind the word."""
    wanted = [record for record in found if record.run.row in selected]
    done = sum(record.done for record in wanted)
    word = "pending" if not done else "done" if done == len(wanted) else "partial"
    return {"word": word, "done": done, "wanted": len(wanted)}


def intervals(spec: Paper, tables: Sequence[PrintedTable]) -> list[dict[str, Any]]:
    """The headline metric, under each condition, as interval plots on one axis.

    It is the first column of the first table; headline rows come first, then context.
    """
    if not tables or not tables[0].columns:
        return []
    table = tables[0]
    several = len(spec.conditions) > 1
    plots = []
    for place, column in _headline_columns(table):
        lines = []
        for row in table.rows:
            cell = row.cells[place]
            has_published = cell.published.value is not None
            if row.name in spec.headline or (row.context and has_published):
                lines.append((row, cell))
        if lines:
            plots.append((column, lines))
    step, end = _axis(max([0.0, *(n for _, lines in plots for _, c in lines for n in _numbers(c))]))
    set_name = table.columns[0].column.set.replace("_", " ")
    return [
        {
            "heading": column.heading,
            "condition": column.condition if several else "",
            "detail": f"{column.detail}, {set_name}",
            "ticks": [
                {"at": percent(k * step, end), "text": f"{k * step:g}"}
                for k in range(round(end / step) + 1)
            ],
            "lines": [_line(row, cell, column.column.model, end) for row, cell in lines],
            "published": any(
                cell.published.value is not None for _, every in plots for _, cell in every
            ),
            "estimands": "; ".join(_estimands(cell for _, cell in lines)),
        }
        for column, lines in plots
    ]


def _estimands(cells: Iterable[Cell]) -> list[str]:
    """What the intervals of cells speak of, each once."""
    shown = [cell for cell in cells if cell.ours is not None and cell.ours.low is not None]
    return list(dict.fromkeys(cell.aggregate for cell in shown))


def _headline_columns(table: PrintedTable) -> list[tuple[int, PrintedColumn]]:
    """The first column of each condition."""
    first: dict[str, tuple[int, PrintedColumn]] = {}
    for place, column in enumerate(table.columns):
        first.setdefault(column.condition, (place, column))
    return list(first.values())


def _numbers(cell: Cell) -> list[float]:
    """Everything of a cell that must lie on the axis."""
    numbers = []
    if cell.published.value is not None:
        numbers.append(cell.published.value + (cell.published.sd or 0))
    if cell.ours is not None and cell.ours.finite:
        numbers += [cell.ours.mean, min(1.0, cell.ours.high or 0.0)]
    return numbers


def claims(
    project: Project, spec: Paper, tables: Sequence[PrintedTable], found: Sequence[Record]
) -> list[str]:
    """The headline rows against the baseline in the headline metric, as sentences."""
    if not tables or (other := differences.baseline(spec, tables[0])) is None:
        return []
    table = tables[0]
    made = differences.differences(project, table, found)
    names = {row.name: row.row for row in table.rows}
    sentences = []
    for place, column in _headline_columns(table):
        where = f" ({column.condition})" if len(spec.conditions) > 1 else ""
        for row in spec.headline:
            if row not in names or row == other or names[row].kind == "untrained":
                continue
            line = differences.against(made, row, other)
            if line and (one := line[place]):
                labels = names[row].label, names[other].label
                said = differences.sentence(*labels, one, project.scale)
                sentences.append(f"{column.heading}{where}: {said}.")
    return sentences


def _axis(largest: float) -> tuple[float, float]:
    """A round step and the end of an axis from 0 that holds the largest number."""
    if largest <= 0:
        return 0.2, 1.0
    scale = 10 ** math.floor(math.log10(largest))
    step = next(s * scale for s in (0.1, 0.2, 0.5, 1.0, 2.0) if largest / (s * scale) <= 6)
    return step, step * math.ceil(largest / step - 1e-9)


def percent(value: float, end: float) -> float:
    return round(100 * min(1.0, max(0.0, value / end)), 2)


def _line(row: Any, cell: Any, model: str, end: float) -> dict[str, Any]:
    line: dict[str, Any] = {"label": row.row.label, "context": row.context}
    if row.context:
        line["text"] = published_text(cell, model)
        line["word"] = "published"
    else:
        line["text"] = ours_text(cell, "not run")
        line["word"] = cell.judgement if cell.published.value is not None else ""
    if cell.ours is not None and cell.ours.finite:
        line["ours"] = percent(cell.ours.mean, end)
        if cell.ours.low is not None and cell.ours.high is not None:
            line["low"] = percent(cell.ours.low, end)
            line["high"] = percent(cell.ours.high, end)
    published = cell.published
    if published.value is not None:
        line["published"] = percent(published.value, end)
        line["published_text"] = published_text(cell, model)
        if published.sd is not None:
            line["from"] = percent(published.value - published.sd, end)
            line["to"] = percent(published.value + published.sd, end)
    return line
