"""Every paper's headline rows in its headline metric, as text for a terminal."""

from __future__ import annotations

from ..reporting.collect import collect
from ..reporting.page.overview import intervals
from ..settings import Layout, Project

HEADS = ("", "ours", "published", "")


def headline(project: Project, layout: Layout) -> str:
    """One small table per paper and condition, from whatever runs there are."""
    lines = []
    for paper in project.selected_papers():
        spec = project.papers[paper]
        lines += [spec.title, ""]
        tables, _ = collect(project, paper, layout)
        for plot in intervals(spec, tables):
            metric = f"{plot['heading']} ({plot['detail']})"
            under = f", {plot['condition']}" if plot["condition"] else ""
            lines += [f"  {line}".rstrip() for line in _columns(f"{metric}{under}", plot["lines"])]
            lines.append("")
    return "\n".join(lines)


def _columns(metric: str, found: list[dict]) -> list[str]:
    """Rows of one metric under a heading; a published row has no value of ours."""
    rows = [(metric, *HEADS[1:])]
    for line in found:
        ours = "" if line["context"] else line["text"]
        word = "" if line["context"] else line["word"]
        rows.append((line["label"], ours, line.get("published_text", ""), word))
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADS))]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in rows]
