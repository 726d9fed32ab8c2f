"""Every paper's headline rows in its headline metric, as text for a terminal."""

from __future__ import annotations

import textwrap

from ..places import checkout
from ..reporting.collect import collect
from ..reporting.page.overview import intervals
from ..settings import Layout, Project
from .terminal import columns, fitted

HEADS = ("ours", "published", "")


def headline(project: Project, layout: Layout, *, everything: bool = False) -> str:
    """One small table per paper and condition, of what was run; or of `everything`."""
    parts, hidden, width = [], 0, columns()
    for paper in project.selected_papers():
        spec = project.papers[paper]
        tables, _ = collect(project, paper, layout, checkout())
        title = textwrap.fill(spec.title, width)
        for plot in intervals(spec, tables):
            shown = [one for one in plot["lines"] if everything or one["context"] or "ours" in one]
            hidden += len(plot["lines"]) - len(shown)
            if not any("ours" in one or everything for one in shown):
                continue  # other people's numbers stand beside ours, not alone
            under = f", {plot['condition']}" if plot["condition"] else ""
            metric = f"{plot['heading']} ({plot['detail']}){under}"
            rows = [_row(one) for one in shown]
            parts += [title] if title else []
            parts.append("\n".join(fitted([metric, *HEADS], rows, width)))
            title = ""
    if hidden:
        parts.append(f"{hidden} rows that were not run are left out; --all shows them")
    return "\n\n".join(parts)


def _row(line: dict) -> list[str]:
    """A published row has no value of ours."""
    ours, word = ("", "") if line["context"] else (line["text"], line["word"])
    return [line["label"], ours, line.get("published_text", ""), word]
