"""Measured values that belong under a table: oracle lines, checks on parts of the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from ..settings.project import Column, Row
from .records import Record, finite

Runs = Mapping[tuple[str, str], Sequence[Record]]
"""Finished and unfinished runs by row and condition."""


def remarks(
    columns: Sequence[Column], conditions: Sequence[str], rows: Mapping[str, Row], runs: Runs
) -> list[str]:
    """One sentence per column that any run has a value of; a value all rows share is said once."""
    found = []
    for column in columns:
        parts = []
        for condition in conditions:
            values = {
                row.label: value
                for name, row in rows.items()
                if (value := _mean(runs.get((name, condition), ()), column)) is not None
            }
            if values:
                parts.append((condition, _text(values)))
        if parts:
            alike = len({text for _, text in parts}) == 1
            text = parts[0][1] if alike else "; ".join(f"{c}: {text}" for c, text in parts)
            heading = column.heading or column.metric
            found.append(f"{heading} ({column.set}, {column.implementation}): {text}.")
    return found


def _mean(found: Sequence[Record], column: Column) -> float | None:
    keys: dict[str, Any] = {"set": column.set, "model": column.model, "metric": column.metric}
    keys |= {"implementation": column.implementation, "label": column.label}
    entries = (record.find(**keys) for record in found)
    values = [v for entry in entries if entry and (v := finite(entry.get("value"))) is not None]
    return fmean(values) if values else None


def _text(values: Mapping[str, float]) -> str:
    shown = {label: f"{value:.3f}" for label, value in values.items()}
    if len(set(shown.values())) == 1:
        return next(iter(shown.values()))
    return ", ".join(f"{label} {value}" for label, value in shown.items())
