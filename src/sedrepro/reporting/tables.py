"""A paper's tables as files: the long CSVs, and Markdown and LaTeX to read."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files import write_text
from ..settings import Layout, Project
from ..settings.project import Paper
from . import differences
from .collect import collect
from .externals import scored
from .printed import Cell, PrintedColumn, PrintedTable
from .records import digits
from .sealing import seal

COLUMNS = (
    *("table", "row", "condition", "set", "model", "metric", "implementation", "aggregate"),
    *("published", "published_std", "published_source", "published_status"),
    *("ours_mean", "ours_std", "ci_low", "ci_high", "n_runs", "n_clips", "n_expected"),
    *("gap", "verdict", "note"),
)


FORMS = ("csv", "differences.csv", "md", "tex")


def tabulate(
    project: Project, paper: str, layout: Layout, root: str | Path = "."
) -> list[PrintedTable]:
    """Write <paper>.csv, .differences.csv, .md and .tex from whatever runs there are."""
    tables, found = collect(project, paper, layout, root)
    spec, confidence = project.papers[paper], project.report.confidence
    found = [*found, *scored(layout, paper)]
    made = {table.name: differences.differences(project, table, found) for table in tables}
    compared = {table.name: compare(spec, table, made[table.name]) for table in tables}
    write_text(layout.paper_table(paper, "csv"), to_csv(tables))
    write_text(layout.paper_table(paper, "differences.csv"), differences.to_csv(tables, made))
    write_text(
        layout.paper_table(paper, "md"), to_markdown(spec.title, tables, confidence, compared)
    )
    write_text(layout.paper_table(paper, "tex"), to_latex(spec.title, tables, confidence, compared))
    files = [layout.paper_table(paper, form) for form in FORMS]
    seal(f"tables/{paper}", files, project, [paper], found, layout, root)
    return tables


@dataclass(frozen=True)
class Comparison:
    """The rows of a table minus its baseline, as text."""

    caption: str
    heads: list[str]
    rows: list[list[str]]


def compare(spec: Paper, table: PrintedTable, made: differences.Differences) -> Comparison | None:
    """What is printed under a table; nothing where there is no pair, or a table of classes."""
    other = differences.baseline(spec, table)
    if other is None or table.transposed:
        return None
    label = {row.name: row.row.label for row in table.rows}
    several = len({column.condition for column in table.columns}) > 1
    heads = [_column_name(column, several) for column in table.columns]
    rows = []
    for row in label:
        if any(line := differences.against(made, row, other)):
            rows.append([label[row], *(str(one) if one else "–" for one in line)])
    caption = f"{table.caption}: rows minus {label[other]}, run by run"
    return Comparison(caption, ["row", *heads], rows) if rows else None


def _column_name(column: PrintedColumn, conditions: bool) -> str:
    name = f"{column.heading} ({column.detail})"
    return f"{name}, {column.condition}" if conditions else name


def to_csv(tables: list[PrintedTable]) -> str:
    """One line per cell."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for table in tables:
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                c, ours, published = column.column, cell.ours, cell.published
                model = published.model if row.context and published.model else c.model
                writer.writerow(
                    [table.name, row.name, column.condition, c.set, model, column.metric]
                    + [
                        c.implementation,
                        cell.aggregate,
                        digits(published.value),
                        digits(published.sd),
                    ]
                    + [published.source, published.status]
                    + [digits(getattr(ours, key, None)) for key in ("mean", "sd", "low", "high")]
                    + [ours.n if ours else 0, blank(cell.n_clips), blank(cell.n_expected)]
                    + [digits(cell.gap), cell.verdict, cell.note]
                )
    return out.getvalue()


def blank(value: int | None) -> int | str:
    return "" if value is None else value


def ours_text(cell: Cell, dash: str = "–") -> str:
    """Our value in words: mean ± deviation [interval]."""
    ours = cell.ours
    if ours is None:
        return dash
    if not ours.finite:
        return "undefined"
    text = f"{ours.mean:.3f}"
    if ours.sd is not None:
        text += f" ± {ours.sd:.3f}"
    if ours.low is not None and ours.high is not None:
        text += f" [{ours.low:.3f}, {ours.high:.3f}]"
    return text


def published_text(cell: Cell, model: str, dash: str = "–") -> str:
    """The published value as printed there; the model where it is not the column's."""
    published = cell.published
    if published.value is None:
        return dash
    text = f"{published.value:.3f}" + (f" ± {published.sd:.3f}" if published.sd is not None else "")
    base, _, way = published.model.replace("_", " ").partition("@")
    told = way if way and base == model.partition("@")[0] else published.model.replace("_", " ")
    return text if published.model in ("", model) else f"{text} ({told})"


def interval_note(confidence: float) -> str:
    return (
        f"± is the standard deviation over runs; [low, high] is the {confidence:.0%} interval: of "
        "one run for this very model on other clips (recordings, videos, event recordings), of "
        "several for another training on other clips."
    )


Compared = Mapping[str, Comparison | None]
"""What stands under each table, by its name."""


def difference_note(confidence: float) -> str:
    return (
        f"Differences pair the runs of one seed and fold; [low, high] is the {confidence:.0%} "
        "interval: of a single pair for these two models on other clips, of several for another "
        "training on other clips."
    )


def to_markdown(
    title: str, tables: list[PrintedTable], confidence: float, compared: Compared
) -> str:
    parts = [f"# {title}"]
    if not tables:
        parts.append("The paper's configuration names no tables.")
    for table in tables:
        parts += [f"## {table.caption}", _markdown_grid(*grid(table))]
        parts.append("\n".join(f"- {note}" for note in [*table.notes, interval_note(confidence)]))
        if under := compared.get(table.name):
            parts += [f"### {under.caption}", _markdown_grid(under.heads, under.rows)]
            parts.append(f"- {difference_note(confidence)}")
    return "\n\n".join(parts) + "\n"


def _markdown_grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(_pipe(head) for head in heads) + " |"]
    lines.append("|---" + "|---:" * (len(heads) - 1) + "|")
    lines += ["| " + " | ".join(map(_pipe, cells)) + " |" for cells in rows]
    return "\n".join(lines)


def _pipe(text: str) -> str:
    return text.replace("|", "\\|")


def grid(table: PrintedTable, dash: str = "–") -> tuple[list[str], list[list[str]]]:
    """Heads and texts: a published column stands beside ours wherever a number was published."""
    table = table.as_read()
    conditions = len({column.condition for column in table.columns}) > 1
    heads = ["row", *table.about]
    rows = [[row.row.label, *(known or dash for known in row.about)] for row in table.rows]
    for index, column in enumerate(table.columns):
        name = _column_name(column, conditions)
        cells = [row.cells[index] for row in table.rows]
        heads.append(name)
        for line, cell in zip(rows, cells, strict=True):
            line.append(ours_text(cell, dash))
        if any(cell.published.value is not None for cell in cells):
            heads.append(f"published {column.heading}")
            for line, cell in zip(rows, cells, strict=True):
                line.append(published_text(cell, column.column.model, dash))
        if any(cell.gap is not None for cell in cells):
            heads.append("verdict")
            for line, cell in zip(rows, cells, strict=True):
                line.append(dash if cell.gap is None else f"{cell.judgement} ({cell.gap:+.3f})")
    return heads, rows


LATEX = {
    **{char: f"\\{char}" for char in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "–": "--",
    "−": "$-$",
    "α": r"$\alpha$",
    "Δ": r"$\Delta$",
}


def latex(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(LATEX.get(char, char) for char in text)


def to_latex(title: str, tables: list[PrintedTable], confidence: float, compared: Compared) -> str:
    parts = [f"% {title}", "% needs \\usepackage{booktabs}"]
    for table in tables:
        parts.append(latex_table(table, confidence))
        if under := compared.get(table.name):
            note = difference_note(confidence)
            parts.append(_latex_grid(under.caption, under.heads, under.rows, [note]))
    return "\n\n".join(parts) + "\n"


def latex_table(table: PrintedTable, confidence: float) -> str:
    notes = [*table.notes, interval_note(confidence)]
    return _latex_grid(table.caption, *grid(table), notes)


def _latex_grid(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str]
) -> str:
    body = [" & ".join(map(latex, cells)) + r" \\" for cells in rows]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{latex(caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(heads) - 1)}}}",
            r"\toprule",
            " & ".join(map(latex, heads)) + r" \\",
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            "",
            rf"\smallskip {' '.join(map(latex, notes))}",
            r"\end{table}",
        ]
    )
