"""`sedrepro table`: a paper's tables in the terminal's width, or as CSV, Markdown, LaTeX, JSON."""

from __future__ import annotations

import argparse
import csv
import io
import json
import textwrap
from dataclasses import replace
from typing import TYPE_CHECKING

from ..errors import SedreproError
from ..places import checkout, typed_run
from ..settings import Layout, Project
from .naming import HELP, paper_of, row_of
from .terminal import columns, fitted

if TYPE_CHECKING:
    from ..reporting.collect import PrintedRow, PrintedTable

FORMATS = ("text", "csv", "md", "tex", "json")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("what", nargs="?", type=typed_run, metavar="PAPER[/ROW]", help=HELP)
    parser.add_argument("--all", action="store_true", help="show what was not run, too")
    parser.add_argument("--format", choices=FORMATS, default="text", help="by default text")
    parser.add_argument("--json", action="store_true", help="the same as --format json")


def table(options: argparse.Namespace, project: Project) -> str:
    """What the command prints."""
    from ..reporting import tables as printing
    from .headline import headline

    layout, form = Layout.of(project), "json" if options.json else options.format
    if options.what is None:
        if form == "json":
            papers = project.selected_papers()
            found = {paper: _shown(options, project, paper, None, layout)[0] for paper in papers}
            return _json({paper: _cells(shown) for paper, shown in found.items()})
        if form != "text":
            raise SedreproError(f"--format {form}: name a paper, too")
        return headline(project, layout, everything=options.all)
    paper, row = paper_of(options.what, project), row_of(options.what, project)
    shown, hidden = _shown(options, project, paper, row, layout)
    if not any(_is_run(row) for table in shown for row in table.rows) and not options.all:
        raise SedreproError(
            f"{options.what}: no run is finished, `sedrepro status` says why; `snakemake {paper}` "
            "makes what is missing, and `sedrepro table --all` shows what was published"
        )
    spec, confidence = project.papers[paper], project.report.confidence
    if form == "csv":
        return printing.to_csv(shown).rstrip("\n")
    if form == "md":
        return printing.to_markdown(spec.title, shown, confidence, {}).rstrip("\n")
    if form == "tex":
        return printing.to_latex(spec.title, shown, confidence, {}).rstrip("\n")
    if form == "json":
        return _json({paper: _cells(shown)})
    return _text(spec.title, shown, hidden, columns())


def _shown(
    options: argparse.Namespace, project: Project, paper: str, row: str | None, layout: Layout
) -> tuple[list[PrintedTable], int]:
    """The tables with the rows that are wanted, and how many rows are left out."""
    from ..reporting.collect import collect

    tables, hidden = collect(project, paper, layout, checkout())[0], set()
    found = []
    for one in tables:
        rows = [line for line in one.rows if row in (None, line.name)]
        kept = [line for line in rows if options.all or _is_run(line) or line.context]
        hidden |= {line.name for line in rows} - {line.name for line in kept}
        # Other people's numbers are shown beside ours, not alone.
        if options.all or any(_is_run(line) for line in kept):
            found.append(replace(one, rows=kept))
    return found, len(hidden)


def _is_run(row: PrintedRow) -> bool:
    return any(cell.ours is not None for cell in row.cells)


def _cells(tables: list[PrintedTable]) -> list[dict[str, object]]:
    """The cells as in the CSV file, with numbers as numbers."""
    from ..reporting.tables import to_csv

    return [
        {name: _number(value) for name, value in row.items()}
        for row in csv.DictReader(io.StringIO(to_csv(tables)))
    ]


def _number(text: str) -> object:
    try:
        return float(text) if text else None
    except ValueError:
        return text


def _json(found: object) -> str:
    return json.dumps(found, indent=1, ensure_ascii=False)


def _text(title: str, tables: list[PrintedTable], hidden: int, width: int) -> str:
    from ..reporting.tables import grid

    parts = [textwrap.fill(title, width)]
    for one in tables:
        heads, rows = grid(one)
        caption = textwrap.wrap(one.caption, width)
        parts.append("\n".join([*caption, *fitted(heads, rows, width)]))
        notes = [textwrap.fill(f"- {n}", width, subsequent_indent="  ") for n in one.notes]
        parts += ["\n".join(notes)] if notes else []
    if hidden:
        parts.append(f"{hidden} rows that were not run are left out; --all shows them")
    return "\n\n".join(parts)
