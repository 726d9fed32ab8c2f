"""What a figure is drawn from: a paper's records and, when asked for, its example clips."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ...papers import settings_models
from ...settings import Layout, Project
from ...settings.project import Paper
from ..collect import collect
from ..colours import readable, row_colours, row_dashes
from ..examples import Examples, examples
from ..printed import PrintedTable
from ..records import Record, records

MODELS = ("teacher", "student")


class MissingError(Exception):
    """Why a figure cannot be drawn, for the panel that stands in its place."""


@dataclass(frozen=True)
class Material:
    """A paper as found on disk."""

    project: Project
    name: str
    layout: Layout
    root: str | Path
    """The checkout, which has the published numbers."""

    @property
    def paper(self) -> Paper:
        return self.project.papers[self.name]

    @cached_property
    def records(self) -> list[Record]:
        return records(self.project, self.name, self.layout)

    @cached_property
    def tables(self) -> list[PrintedTable]:
        """The paper's tables, with the published numbers."""
        return collect(self.project, self.name, self.layout, self.root)[0]

    @cached_property
    def done(self) -> list[Record]:
        """Finished runs; without any there is nothing to draw."""
        finished = [record for record in self.records if record.done]
        if not finished:
            raise MissingError("no run of this paper is finished")
        return finished

    @cached_property
    def conditions(self) -> list[str]:
        """Conditions with a finished run, in the paper's order."""
        have = {record.run.condition for record in self.done}
        return [condition for condition in self.paper.conditions if condition in have]

    def under(self, condition: str) -> dict[str, list[Record]]:
        """A condition's finished runs by row, in printing order."""
        rows: dict[str, list[Record]] = {}
        for record in self.done:
            if record.run.condition == condition:
                rows.setdefault(record.run.row, []).append(record)
        return rows

    def titled(self, title: str, condition: str) -> str:
        """A panel's title, with the condition where the paper has several."""
        return f"{title}, {readable(condition)}" if len(self.paper.conditions) > 1 else title

    @cached_property
    def examples(self) -> Examples:
        return examples(self.project, self.records, self.layout, settings_models())

    def label(self, row: str) -> str:
        return self.paper.table[row].label

    @cached_property
    def colours(self) -> dict[str, str]:
        return row_colours(self.paper)

    def line(self, row: str) -> dict:
        """How a row's lines look everywhere."""
        dashes = row_dashes(self.paper)[row]
        return {"color": self.colours[row], "linestyle": (0, dashes) if dashes else "-"}

    def scored_set(self) -> str:
        """The set figures are of: the first that finished runs have numbers of."""
        for record in self.done:
            for entry in record.metrics:
                if entry.get("set"):
                    return str(entry["set"])
        raise MissingError("no finished run has a score")
