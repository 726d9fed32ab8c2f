"""What stands beside a score and under a table, in words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ..settings.project import Paper, Table
from .printed import PrintedColumn, PrintedRow
from .records import Record
from .whose import Whose

PARAMETERS = "Parameters are those of the network that a row trains, without a frozen encoder's."


def precision(spec: Paper, trained: Sequence[Record]) -> str:
    """What stands beside scores of networks that were trained in another precision."""
    if spec.precision and any(record.block("hardware").get("amp") for record in trained):
        return f"trained in mixed precision; the authors trained in {spec.precision}"
    return ""


def below(
    shown: Whose, table: Table, columns: list[PrintedColumn], rows: list[PrintedRow]
) -> list[str]:
    """What is printed under a table, in reading order; a table's own note is on its corpus."""
    notes = list(shown.notes)
    notes += [table.note] if table.note and not shown.own else []
    notes += [PARAMETERS] if "parameters" in table.about else []
    notes += [f"{row.row.label}: {row.row.note}" for row in rows if row.row.note]
    sources: dict[str, dict[str, None]] = defaultdict(dict)
    unread: dict[str, int] = defaultdict(int)
    absent: dict[str, dict[str, None]] = defaultdict(dict)
    provisos: dict[str, dict[str, None]] = defaultdict(dict)
    mixed: dict[str, dict[str, None]] = defaultdict(dict)
    cut: dict[str, dict[str, None]] = defaultdict(dict)
    clips: dict[str, None] = {}
    intervals: dict[str, None] = {}
    for row in rows:
        for column, cell in zip(columns, row.cells, strict=True):
            if cell.published.value is not None and cell.published.source:
                sources[cell.published.source][row.row.label] = None
                if cell.published.status:
                    provisos[cell.published.status][row.row.label] = None
            elif cell.published.status:
                unread[cell.published.status] += 1
            if cell.ours is None and cell.note and not row.context:
                absent[cell.note][row.row.label] = None
            if cell.mixed:
                mixed[cell.mixed][row.row.label] = None
            if cell.cut:
                cut[f"{cell.cut} ({column.column.set})"][row.row.label] = None
            if cell.n_clips is not None:
                units = "" if cell.n_units is None else f" in {cell.n_units} units"
                known = f"{cell.n_clips} of {cell.n_expected} clips"
                clips[f"{known} of {column.column.set}{units}"] = None
            if cell.ours is not None and cell.ours.interval != "none":
                intervals[cell.aggregate] = None
    notes += [f"Published, {', '.join(labels)}: {source}" for source, labels in sources.items()]
    notes += [f"Published, {', '.join(labels)}: {why}" for why, labels in provisos.items()]
    notes += [f"{count} published cells stay empty: {status}" for status, count in unread.items()]
    notes += [f"{', '.join(labels)}: {text}" for text, labels in mixed.items()]
    notes += [f"{', '.join(labels)}: {text}" for text, labels in cut.items()]
    notes += [f"No value, {', '.join(labels)}: {why}" for why, labels in absent.items()]
    notes += [f"Intervals, {'; '.join(intervals)}."] if intervals else []
    return notes + ([f"Scored on {'; '.join(clips)}."] if clips else [])
