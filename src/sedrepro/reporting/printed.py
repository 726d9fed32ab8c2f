"""What is printed: tables, rows, columns, and cells with ours beside the published number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..settings.project import Column, Row
from . import stats
from .whose import Whose


@dataclass(frozen=True)
class Published:
    """A published number, or why there is none."""

    value: float | None = None
    sd: float | None = None
    source: str = ""
    status: str = ""
    model: str = ""
    text: str = ""
    """The number as it is printed."""


@dataclass(frozen=True)
class Cell:
    """One row under one column: ours beside the published number."""

    published: Published
    ours: stats.Summary | None
    n_clips: int | None
    n_expected: int | None
    seeds: int
    folds: int
    verdict: str
    note: str
    partial: bool = False
    """Some clips are missing, too few to forbid the verdict."""
    mixed: str = ""
    """That runs were made in mixed precision, where the authors' were not."""
    unit: str = "clip"
    """What intervals draw."""
    n_units: int | None = None
    cut: str = ""
    """That events go on after what was heard of their clips."""

    @property
    def judgement(self) -> str:
        """The verdict as printed: partial data stand beside it."""
        return f"{self.verdict}, partial data" if self.partial else self.verdict

    @property
    def gap(self) -> float | None:
        """Ours minus published."""
        if self.published.value is None or self.ours is None or not self.ours.finite:
            return None
        return self.ours.mean - self.published.value

    @property
    def aggregate(self) -> str:
        """What the value averages over, and what its interval speaks of."""
        if self.ours is None:
            return ""
        if not self.seeds:
            return f"as released: {stats.estimand(self.ours.interval, self.unit)}"
        runs = f"{self.seeds} seed{'s' * (self.seeds != 1)}"
        if self.folds:
            runs += f" x {self.folds} fold{'s' * (self.folds != 1)}"
        return f"{runs}: {stats.estimand(self.ours.interval, self.unit)}"


@dataclass(frozen=True)
class PrintedColumn:
    """A column under a condition."""

    column: Column
    condition: str

    @property
    def metric(self) -> str:
        """The metric's key in CSV files; the class of a class-wise value stands in brackets."""
        name = self.column.metric
        return f"{name}[{self.column.label}]" if self.column.label else name

    @property
    def heading(self) -> str:
        return self.column.heading or (self.column.label or self.column.metric)

    @property
    def detail(self) -> str:
        """What a metric is never printed without."""
        return f"{self.column.implementation}, {self.column.model}"


@dataclass(frozen=True)
class PrintedRow:
    """A row and its cells, in the order of the columns."""

    name: str
    row: Row
    cells: list[Cell]
    about: Sequence[str] = ()
    """What the table says of the row itself, in the order of its headings."""

    @property
    def context(self) -> bool:
        return self.row.kind == "published"


@dataclass(frozen=True)
class PrintedTable:
    """A table with everything a reader needs beside it."""

    name: str
    caption: str
    columns: list[PrintedColumn]
    rows: list[PrintedRow]
    notes: list[str]
    transposed: bool = False
    about: Sequence[str] = ()
    whose: Whose = field(default_factory=Whose)
    """Whose recordings it shows."""

    def as_read(self) -> PrintedTable:
        """What is shown to a reader: a transposed table with its columns as rows."""
        if not self.transposed:
            return self
        shown, model = self.columns[0], {"label": None}
        columns = [
            PrintedColumn(
                shown.column.model_copy(update=model | {"heading": row.row.label}), shown.condition
            )
            for row in self.rows
        ]
        several = len({column.condition for column in self.columns}) > 1
        rows = [
            PrintedRow(
                column.metric,
                Row(label=f"{column.heading}, {column.condition}" if several else column.heading),
                [row.cells[index] for row in self.rows],
            )
            for index, column in enumerate(self.columns)
        ]
        return PrintedTable(self.name, self.caption, columns, rows, self.notes, whose=self.whose)
