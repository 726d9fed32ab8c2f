"""A paper's table as the template wants it: cells with their links, and the rows' differences."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ...settings import Project
from .. import differences
from ..printed import Cell, PrintedTable
from ..records import Record, digits
from ..tables import latex_table, to_csv
from . import runs
from .inline import data_uri

MARKS = {"higher": "▲", "lower": "▼", "no clear difference": "≈"}


def table_view(
    project: Project, paper: str, table: PrintedTable, found: Sequence[Record]
) -> dict[str, Any]:
    """Everything the template says about one table."""
    shown = table.as_read()
    anchors = {(r.run.row, r.run.condition): runs.anchor(r.run) for r in found}

    def item(cell: Cell, line: int, place: int) -> dict[str, Any]:
        across, down = (place, line) if not table.transposed else (line, place)
        where = (table.rows[down].name, table.columns[across].condition)
        mean = cell.ours.mean if cell.ours and cell.ours.finite else None
        return {
            "cell": cell,
            "anchor": anchors.get(where, f"{paper}-runs"),
            "sort": digits(mean),
            "published_sort": digits(cell.published.value),
            "source": source_link(cell.published.source, project.papers[paper].url),
        }

    made = differences.differences(project, table, found)
    return {
        "name": table.name,
        "caption": table.caption,
        "about": [] if table.transposed else table.about,
        "columns": [_column(shown, index) for index in range(len(shown.columns))],
        "conditions": len({column.condition for column in shown.columns}) > 1,
        "rows": [
            {
                "row": row,
                "cells": [item(cell, line, k) for k, cell in enumerate(row.cells)],
                "is_run": row.context or any(cell.ours is not None for cell in row.cells),
            }
            for line, row in enumerate(shown.rows)
        ],
        "is_run": any(cell.ours is not None for row in table.rows for cell in row.cells),
        "notes": table.notes,
        "differences": _differences(project, paper, table, made),
        "csv": data_uri(to_csv([table]), "text/csv"),
        "tex": data_uri(latex_table(table, project.report.confidence), "text/x-tex"),
        "pairs": data_uri(differences.to_csv([table], {table.name: made}), "text/csv"),
        "file": f"{paper}.{table.name}",
    }


def source_link(source: str, paper: str) -> str:
    """Where a published number can be read: the address, repository or preprint its source names,
    else the paper."""
    if address := re.search(r"https?://[^\s,;]+", source):
        return address[0]
    if preprint := re.search(r"arXiv:? ?(\d{4}\.\d{4,5})", source):
        return f"https://arxiv.org/abs/{preprint[1]}"
    if repository := re.match(r"([\w.-]+/[\w.-]+),", source):
        return f"https://github.com/{repository[1]}"
    return paper


def _column(table: PrintedTable, index: int) -> dict[str, Any]:
    column = table.columns[index]
    cells = [row.cells[index].published for row in table.rows]
    return {
        "heading": column.heading,
        "detail": column.detail,
        "condition": column.condition,
        "model": column.column.model,
        "published": any(known.value is not None or known.status for known in cells),
    }


def _differences(
    project: Project, paper: str, table: PrintedTable, made: differences.Differences
) -> list[dict[str, Any]]:
    """The rows minus each row they can be compared with; first the paper's baseline."""
    if not made:
        return []
    names = {row.name: row.row.label for row in table.rows if not row.context}
    first = differences.baseline(project.papers[paper], table)
    groups = []
    for other in sorted(names, key=lambda name: name != first):
        rows = []
        for row in names:
            if any(line := differences.against(made, row, other)):
                rows.append({"label": names[row], "cells": [_difference(one) for one in line]})
        if rows:
            groups.append({"row": other, "label": names[other], "rows": rows})
    return groups


def _difference(one: differences.Difference | None) -> dict[str, str] | None:
    if one is None:
        return None
    parts = [f"{one.n} pair{'s' * (one.n != 1)} of runs"]
    if one.ends:
        parts.append(f"[low, high]: {one.estimand}")
    others = (
        ("other trainings on these clips", one.runs),
        ("these models on other clips", one.clips),
    )
    for words, ends in others:
        if ends and one.n > 1:
            parts.append(f"{words} [{ends[0]:+.3f}, {ends[1]:+.3f}]")
    value, _, interval = str(one).partition(" ")
    return {
        "sort": digits(one.value),
        "value": value,
        "ends": interval,
        "word": one.word,
        "mark": MARKS.get(one.word, ""),
        "title": "; ".join(parts).replace("-", "−"),
    }
