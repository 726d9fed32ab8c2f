"""Tables and sizes as a person reads them."""

from __future__ import annotations


def table(heading: list[str], rows: list[list[str]]) -> list[str]:
    """Columns under their headings."""
    widths = [max(len(line[k]) for line in [heading, *rows]) for k in range(len(heading))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [heading, *rows]
    ]


def size(count: int | None) -> str:
    """Bytes in decimal units."""
    value = float(count or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
