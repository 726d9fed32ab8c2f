"""The keys of tables, figures and page: of which numbers they were made, and what was written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import chain
from ..files import file_digest
from ..settings import Layout, Project
from .records import Record
from .whose import whose


def seal(
    part: str,
    files: Iterable[str | Path],
    project: Project,
    papers: Sequence[str],
    found: Sequence[Record],
    layout: Layout,
    root: str | Path,
) -> None:
    """Write the key of a part of the results, once its files lie there."""
    depends, parents = made_of(project, papers, found, layout, root)
    chain.seal(layout.results_key(part), "results", files, depends=depends, parents=parents)


def stale(
    part: str,
    project: Project,
    papers: Sequence[str],
    found: Sequence[Record],
    layout: Layout,
    root: str | Path,
) -> str:
    """Why a part of the results is not what would be made now; empty if it is."""
    path = layout.results_key(part)
    described = chain.read_seal(path, "results")
    depends, parents = made_of(project, papers, found, layout, root)
    expected = chain.link("results", {"settings": depends, "files": described["files"]}, parents)
    if expected["key"] == described["key"]:
        return ""
    return f"{path}: made of other numbers or settings than those that lie there now"


def made_of(
    project: Project,
    papers: Sequence[str],
    found: Sequence[Record],
    layout: Layout,
    root: str | Path,
) -> tuple[dict[str, Any], dict[str, str]]:
    """What is printed depends on: settings, and the numbers of every run or why there are none."""
    depends = {
        "papers": {paper: project.papers[paper].model_dump(mode="json") for paper in papers},
        "scale": project.scale,
        "whose": {
            paper: whose(project, paper, project.papers[paper].table, layout, found).notes
            for paper in papers
        },
        "report": project.report.model_dump(mode="json"),
    }
    parents = {record.run.folder: record.key or record.reason for record in found}
    for paper in papers:
        path = Path(root) / "config" / "papers" / paper / "published.csv"
        if path.exists():
            parents[f"published/{paper}"] = file_digest(path)
    return depends, parents
