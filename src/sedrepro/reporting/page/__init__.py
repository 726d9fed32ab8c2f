"""The results page: one file that opens from disk and asks the network for nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from ... import __version__
from ...files import write_text
from ...settings import Layout, Project
from ..collect import collect
from ..externals import scored
from ..records import Record
from ..sealing import seal
from ..tables import difference_note, interval_note
from ..whose import together, whose
from . import overview, runs
from .inline import data_uri, script_json
from .room import curves, room
from .table import table_view

HERE = Path(__file__).parent
SCRIPTS = ("page.js", "curves.js", "room.js")
VECTOR_LIMIT = 600_000
"""Bytes up to which a figure is embedded as SVG; larger ones as PNG."""


def publish(
    project: Project, layout: Layout, root: str | Path = ".", papers: Sequence[str] | None = None
) -> Path:
    """Write the page from whatever runs there are; returns where it is."""
    chosen = list(papers) if papers is not None else project.selected_papers()
    found: list[Record] = []
    shown = [_paper(project, paper, layout, root, found) for paper in chosen]
    html = (
        _environment()
        .get_template("page.html")
        .render(
            project=project,
            version=__version__,
            papers=shown,
            whose=together(paper["whose"] for paper in shown),
            css=Markup((HERE / "page.css").read_text(encoding="utf-8")),
            scripts=[Markup((HERE / name).read_text(encoding="utf-8")) for name in SCRIPTS],
            interval_note=interval_note(project.report.confidence),
            difference_note=difference_note(project.report.confidence),
        )
    )
    write_text(layout.report, html)
    seal("report", [layout.report], project, chosen, found, layout, root)
    return Path(layout.report)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters["json"] = lambda value: Markup(script_json(value))
    environment.filters["marked"] = marked
    return environment


def marked(text: str) -> Markup:
    """Text in which what stands between backticks is set as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _paper(
    project: Project, paper: str, layout: Layout, root: str | Path, shown: list[Record]
) -> dict[str, Any]:
    """Everything the template says about one paper; its runs are added to those `shown`."""
    spec = project.papers[paper]
    tables, found = collect(project, paper, layout, root)
    systems = scored(layout, paper)
    shown += [*found, *systems]
    return {
        "id": paper,
        "whose": whose(project, paper, spec.table, layout, found),
        "spec": spec,
        "state": overview.state(project.selected_rows(paper), found),
        "intervals": overview.intervals(spec, tables),
        "claims": overview.claims(project, spec, tables, found),
        "tables": [table_view(project, paper, table, [*found, *systems]) for table in tables],
        "figures": [
            _figure(layout, paper, name, figure.caption) for name, figure in spec.figures.items()
        ],
        "curves": curves(project, found),
        "room": room(project, found, layout),
        "audit": runs.audit(project, paper, layout),
        "groups": runs.groups(project, found, root, layout),
    }


def _figure(layout: Layout, paper: str, name: str, caption: str) -> dict[str, str]:
    """The figure as drawn: vector if it is small enough, empty if it was not drawn."""
    uri = ""
    for form, kind in (("svg", "image/svg+xml"), ("png", "image/png")):
        path = Path(layout.figure(paper, name, form))
        if path.is_file() and (form == "png" or path.stat().st_size <= VECTOR_LIMIT):
            uri = data_uri(path.read_bytes(), kind)
            break
    return {"name": name.replace("_", " ").capitalize(), "caption": caption, "uri": uri}
