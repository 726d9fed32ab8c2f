"""A paper, a row or a run as people type it: a name, a part of one, or a folder."""

from __future__ import annotations

from pathlib import Path

from .. import settings
from ..errors import SedreproError
from ..settings import Project, Run
from ..settings.explain import neighbour

HELP = "paper, paper/row, a run's full name, or its folder"


def parts_of(text: str) -> list[str]:
    """paper, row, variant and seed, as far as they are given."""
    found = [part for part in Path(text).parts if part not in ("/", ".")]
    if "runs" in found:
        found = found[len(found) - found[::-1].index("runs") :]
    return found


def paper_of(text: str, project: Project) -> str:
    """The paper somebody named."""
    paper = (parts_of(text) or [text])[0]
    if paper not in project.papers:
        raise SedreproError(
            f"{text}: no such paper{neighbour(paper, project.papers)}; papers are "
            f"{', '.join(project.papers)}"
        )
    return paper


def row_of(text: str, project: Project) -> str | None:
    """The row somebody named, if one is named."""
    paper, row = paper_of(text, project), parts_of(text)[1:2]
    rows = [name for name, line in project.papers[paper].table.items() if line.kind != "published"]
    if row and row[0] not in rows:
        raise SedreproError(
            f"{text}: {paper} has no row {row[0]!r}{neighbour(row[0], rows)}; rows are "
            f"{', '.join(rows)}"
        )
    return row[0] if row else None


def runs_of(text: str, project: Project) -> list[Run]:
    """Every run that somebody named; of a row without more, all its conditions, folds and seeds."""
    paper, row, parts = paper_of(text, project), row_of(text, project), parts_of(text)
    if len(parts) >= 4:
        return [Run.parse("/".join(parts[:4]))]
    if row is None:
        return settings.runs(project, paper)
    runs = settings.runs_of_row(project, paper, row)
    variants = dict.fromkeys(run.variant for run in runs)
    if len(parts) == 3 and parts[2] not in variants:
        raise SedreproError(
            f"{text}: not a run; after {paper}/{row} comes one of {', '.join(variants)}"
        )
    return [run for run in runs if len(parts) < 3 or run.variant == parts[2]]


def run_of(text: str, project: Project) -> Run:
    """The one run that somebody named."""
    found = runs_of(text, project)
    if len(found) > 1:
        names = ", ".join(run.folder for run in found[:6])
        more = "" if len(found) <= 6 else f" and {len(found) - 6} more"
        raise SedreproError(f"{text}: names {len(found)} runs; say which: {names}{more}")
    if not found:
        raise SedreproError(f"{text}: has no run under these settings")
    return found[0]
