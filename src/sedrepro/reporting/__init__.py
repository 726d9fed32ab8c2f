"""From metrics and run folders to tables, figures and the results page; nothing need be there.

The functions import their part when called: a table must not pay for matplotlib, a figure not for
the page.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..settings import Layout, Project


def tabulate(project: Project, paper: str, layout: Layout, root: str | Path = ".") -> None:
    """Write a paper's table as CSV, Markdown and LaTeX."""
    from . import tables

    tables.tabulate(project, paper, layout, root)


def draw(project: Project, paper: str, layout: Layout, root: str | Path = ".") -> None:
    """Write every figure a paper lists as PNG and SVG."""
    from . import figures

    figures.draw(project, paper, layout, root)


def publish(
    project: Project, layout: Layout, root: str | Path = ".", papers: Sequence[str] | None = None
) -> Path:
    """Write the results page; returns its path."""
    from . import page

    return page.publish(project, layout, root, papers)


def render(project: Project, papers: Sequence[str] | None = None, root: str | Path = ".") -> Path:
    """Tables, figures and page from whatever is on disk; the page shows every selected paper."""
    layout = Layout.of(project)
    for paper in papers if papers is not None else project.selected_papers():
        tabulate(project, paper, layout, root)
        draw(project, paper, layout, root)
    return publish(project, layout, root)
