"""From run folders and published numbers to the cells of a paper's tables."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..papers import settings_models
from ..settings import Layout, Project, Run, plan, published, runs, scored
from ..settings.project import Column, Paper, Released, Row, Table
from . import stats
from .externals import MODEL, externals
from .notes import below, precision
from .printed import Cell, PrintedColumn, PrintedRow, PrintedTable, Published
from .records import Record, finite, number, read_record, records
from .remarks import remarks
from .whose import Whose, whose

EXTERNAL = "somebody else's detections or scores, by `sedrepro score`; any model"
NOTHING_TO_RUN = "other people's number: nothing to run"
RECONSTRUCTED = "not comparable: the row is our reconstruction"


def missing_clips(
    found: Sequence[Record], cell_clips: tuple[int, int] | None
) -> tuple[list[str], list[str]]:
    """Missing clips: reasons why no number can be compared, and what to state beside one."""
    short: dict[str, None] = {}
    partial: dict[str, None] = {}

    def judge(here: float | None, wanted: float | None, what: str) -> None:
        if here is None or wanted is None:
            return
        sort = stats.coverage(here, wanted)
        if sort != "whole":
            text = f"partial data: {here:.0f} of {wanted:.0f} clips {what}"
            (short if sort == "short" else partial)[text] = None

    if cell_clips is not None:
        judge(*cell_clips, "scored")
    for record in found:
        for store, audit in record.block("data").items():
            judge(finite(audit.get("found")), finite(audit.get("expected")), f"of {store}")
    return list(short), list(partial)


def published_numbers(root: str | Path, paper: str) -> dict[tuple[str, ...], Published]:
    """config/papers/<paper>/published.csv by its key columns."""
    return {
        line.key: Published(
            finite(line.values["published"]),
            finite(line.values["published_std"]),
            line.values["source"],
            line.values["status"],
            line.values["model"],
            line.values["published"],
        )
        for line in published.read(root, paper)
    }


def collect(
    project: Project, paper: str, layout: Layout, root: str | Path
) -> tuple[list[PrintedTable], list[Record]]:
    """Every table of a paper, and the runs they were made from."""
    spec = project.papers[paper]
    found = records(project, paper, layout)
    numbers = published_numbers(root, paper)
    by_row: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for record in found:
        by_row[record.run.row, record.run.condition].append(record)
    tables = []
    for name, table in spec.tables.items():
        columns = [
            PrintedColumn(c, condition)
            for condition in table.conditions or spec.conditions
            for c in _spread(table.columns, project, paper)
        ]
        listed = list(table.rows if table.rows is not None else spec.table)
        shown = whose(project, paper, listed, layout, found)
        if shown.own:  # what is known of the paper's corpus stands in no table of other data
            listed = [row for row in listed if not _is_of_the_corpus(spec.table[row])]
        known = {} if shown.own else numbers
        rows = [
            PrintedRow(
                row,
                spec.table[row],
                [
                    _cell(
                        project,
                        spec,
                        row,
                        by_row,
                        c,
                        shown,
                        _published(known, name, row, c, spec.table[row].kind == "published"),
                    )
                    for c in columns
                ],
                [_about(project, paper, row, by_row, what, layout) for what in table.about],
            )
            for row in listed
        ]
        rows += _external_rows(project, externals(layout, paper), columns, table)
        notes = below(shown, table, columns, rows)
        wanted = {row.name: row.row for row in rows}
        notes += remarks(table.remarks, list(spec.conditions), wanted, by_row)
        tables.append(
            PrintedTable(
                name, table.caption, columns, rows, notes, table.transposed, table.about, shown
            )
        )
    return tables, found


def _is_of_the_corpus(row: Row) -> bool:
    """Whether a row is of the paper's corpus whatever is read here: published, or detections."""
    return row.kind == "published" or (row.released is not None and row.released.has_detections)


def _external_rows(
    project: Project,
    systems: Mapping[str, list[Record]],
    columns: list[PrintedColumn],
    table: Table,
) -> list[PrintedRow]:
    """Systems of others that were scored on one of the table's sets, below its own rows."""
    rows = []
    for name, found in systems.items():
        cells = [_external_cell(project, found, column) for column in columns]
        if any(cell.ours is not None or cell.note for cell in cells):
            row = Row(label=f"{name} (scored here)", note=EXTERNAL)
            rows.append(PrintedRow(found[0].run.row, row, cells, [""] * len(table.about)))
    return rows


def _external_cell(project: Project, found: list[Record], column: PrintedColumn) -> Cell:
    c = column.column
    keys: dict[str, Any] = {"set": c.set, "model": MODEL, "metric": c.metric}
    keys |= {"implementation": c.implementation, "label": c.label}
    entry = next((entry for record in found if (entry := record.find(**keys))), None)
    broken = "; ".join(record.reason for record in found if not record.done)
    if entry is None:
        return Cell(Published(), None, None, None, 0, 0, stats.NOT_RUN, broken)
    value = number(entry["value"])
    ends = finite(entry.get("ci_low")), finite(entry.get("ci_high"))
    measured = stats.Measured(math.nan if value is None else value, *ends)
    return Cell(
        published=Published(),
        ours=stats.of_scores(stats.summarise([measured], project.report.confidence)),
        n_clips=entry.get("n_clips"),
        n_expected=entry.get("n_expected"),
        seeds=0,
        folds=0,
        verdict=stats.NO_PUBLISHED_NUMBER,
        note="",
        unit=str(entry.get("unit") or "clip"),
        n_units=entry.get("n_units"),
        cut=_cut([entry]),
    )


def _about(
    project: Project,
    paper: str,
    row: str,
    by_row: Mapping[tuple[str, str], list[Record]],
    what: str,
    layout: Layout,
) -> str:
    """One fact about a row, under the paper's first condition; nothing where it is not known."""
    spec = project.papers[paper]
    condition = next(iter(spec.conditions))
    if spec.table[row].kind == "published":
        return ""
    if what == "front ends":
        run = Run(paper, row, condition, project.seeds[0], spec.run_folds[0])
        return ", ".join(plan(project, run, settings_models()[paper]).front_ends)
    sizes = [_size(project, record, layout) for record in by_row[row, condition]]
    return f"{max(sizes):,}" if any(sizes) else ""


def _size(project: Project, record: Record, layout: Layout) -> int:
    """Parameters of a run's largest network; of a re-evaluation, of the run that it decodes."""
    decoded = scored(project, record.run)
    if record.done and decoded != record.run:
        record = read_record(layout, decoded)
    return max(record.block("parameters").values(), default=0)


def _spread(columns: list[Column], project: Project, paper: str) -> list[Column]:
    """The columns, one per class where a column asks for all of them."""
    spread: list[Column] = []
    for column in columns:
        if column.label == "*":
            run = next(iter(runs(project, paper)))
            classes = plan(project, run, settings_models()[paper]).classes
            spread += [column.model_copy(update={"label": name}) for name in classes]
        else:
            spread.append(column)
    return spread


def _published(
    numbers: dict[tuple[str, ...], Published],
    table: str,
    row: str,
    column: PrintedColumn,
    context: bool,
) -> Published:
    """The number of a cell; lines of context also show what was reported for another model."""
    c = column.column
    wanted = (table, row, column.condition, c.set, c.model, column.metric, c.implementation)
    if wanted in numbers:
        return numbers[wanted]
    if context:
        for key, value in numbers.items():
            if (*key[:4], *key[5:]) == (*wanted[:4], *wanted[5:]):
                return value
    return Published()


def _cell(
    project: Project,
    spec: Paper,
    name: str,
    by_row: Mapping[tuple[str, str], list[Record]],
    column: PrintedColumn,
    shown: Whose,
    published: Published,
) -> Cell:
    row, found = spec.table[name], by_row.get((name, column.condition), [])
    if row.kind == "published":
        return Cell(published, None, None, None, 0, 0, stats.NOT_RUN, NOTHING_TO_RUN)
    if row.reconstructed and published.value is not None:
        status = "; ".join(filter(None, (RECONSTRUCTED, published.status)))
        published = replace(published, status=status)
    c = column.column
    keys: dict[str, Any] = {"set": c.set, "model": c.model, "metric": c.metric}
    keys |= {"implementation": c.implementation, "label": c.label}
    entries = [(record, entry) for record in found if (entry := record.find(**keys))]
    measured = []
    for record, entry in entries:
        value = number(entry.get("value"))
        ends = finite(entry.get("ci_low")), finite(entry.get("ci_high"))
        draws = record.draws(**keys) if len(entries) > 1 else None
        measured.append(
            stats.Measured(math.nan if value is None else value, *ends, draws, record.run.fold)
        )
    ours = stats.of_scores(stats.summarise(measured, project.report.confidence))
    clips = _clips([(record.run, entry) for record, entry in entries])
    blocked = [shown.obstacle] if shown.obstacle else []
    short, partial = missing_clips([record for record, _ in entries], clips)
    blocked += short
    if published.status.startswith("not comparable"):
        blocked.append(published.status)
    notes = _absences(found, {record.run for record, _ in entries})
    trained = found
    if row.kind == "reevaluate" and row.source:
        trained = by_row.get((row.source, column.condition), [])
    mixed = precision(spec, trained)
    cut = _cut([entry for _, entry in entries])
    if ours is not None:
        notes += blocked + partial + list(filter(None, [mixed, cut]))
        if not ours.finite:
            notes.append("our value is undefined (not a number)")
    if row.released is None:
        verdict = stats.verdict(ours, published.value, published.sd, obstacles=blocked)
    else:
        uncomparable = [word for word in blocked if word == published.status]
        verdict = _recomputed(row.released, ours, published, column.metric, short + uncomparable)
    return Cell(
        published=published,
        ours=ours,
        n_clips=clips[0] if clips else None,
        n_expected=clips[1] if clips else None,
        seeds=len({record.run.seed for record, _ in entries}) if row.released is None else 0,
        folds=len({record.run.fold for record, _ in entries} - {None}),
        verdict=verdict,
        note="; ".join(notes),
        partial=bool(partial) and verdict in stats.JUDGED,
        mixed=mixed if ours is not None else "",
        unit=str(entries[0][1].get("unit") or "clip") if entries else "clip",
        n_units=_units([entry for _, entry in entries]),
        cut=cut if ours is not None else "",
    )


def _cut(entries: Sequence[dict]) -> str:
    """That some events could not be found: they go on after what was heard of their clips."""
    most = max(entries, key=lambda entry: finite(entry.get("n_cut")) or 0, default={})
    if not finite(most.get("n_cut")):
        return ""
    return (
        f"{most['n_cut']:,} of {most['n_events']:,} events go on after what is heard of their "
        "clips, and are missed in part or in whole"
    )


def _recomputed(
    released: Released,
    ours: stats.Summary | None,
    published: Published,
    metric: str,
    obstacles: list[str],
) -> str:
    """Whether a released system scores here what its authors print."""
    if ours is not None and obstacles:
        return stats.NOT_COMPARABLE
    pair = released.versions.get(metric)
    return stats.recomputed(
        None if ours is None else ours.mean,
        published.text,
        "detections" if released.has_detections else "checkpoint",
        [stats.Versions(*pair)] if pair else [],
    )


def _clips(entries: list[tuple[Run, dict]]) -> tuple[int, int] | None:
    """Scored and expected clips: summed over folds, the smallest of the seeds."""
    per_seed: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for run, entry in entries:
        scored, expected = finite(entry.get("n_clips")), finite(entry.get("n_expected"))
        if scored is None or expected is None:
            return None
        per_seed[run.seed][0] += int(scored)
        per_seed[run.seed][1] += int(expected)
    return tuple(min(per_seed.values())) if per_seed else None  # type: ignore[return-value]


def _units(entries: list[dict]) -> int | None:
    """How many units intervals drew; nothing where each clip is one."""
    counts = [finite(entry.get("n_units")) for entry in entries if entry.get("unit") != "clip"]
    return min((int(count) for count in counts if count is not None), default=None)


def _absences(found: list[Record], measured: set[Run]) -> list[str]:
    """Why configured runs have no value here, each reason once."""
    if not found:
        return ["row not selected: `rows: all` runs it"]
    reasons: dict[str, list[str]] = defaultdict(list)
    for record in found:
        if record.run not in measured:
            reason = record.reason or "this value was not computed"
            name = f"seed {record.run.seed}"
            reasons[reason].append(
                name if record.run.fold is None else f"{name} fold {record.run.fold}"
            )
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
