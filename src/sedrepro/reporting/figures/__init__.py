"""The figures, by the name papers list them under; one process draws all of a paper's."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from ...settings import Layout, Project, declared
from ..sealing import seal
from . import style
from .material import Material, MissingError


def drawing(name: str) -> Callable[[Material], Figure]:
    """The function that draws a figure."""
    return declared.resolve(declared.FIGURES[name].draw)


def draw(project: Project, paper: str, layout: Layout, root: str | Path = ".") -> None:
    """Every figure the paper lists, as PNG and SVG; what lacks its data is a panel that says so."""
    material = Material(project, paper, layout, root)
    for name in project.papers[paper].figures:
        try:
            made = drawing(name)(material)
        except MissingError as missing:
            made = style.notice(f"{name.replace('_', ' ').capitalize()}: {missing}.")
        style.save(made, layout.figure(paper, name, "png"), layout.figure(paper, name, "svg"))
    files = [
        layout.figure(paper, name, form)
        for name in project.papers[paper].figures
        for form in ("png", "svg")
    ]
    seal(f"figures/{paper}", files, project, [paper], material.records, layout, root)
