"""Tables in the width of the terminal."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence

NARROWEST = 8
"""No column of numbers is narrower, whatever the terminal."""
GAP = "  "


def columns() -> int:
    """How wide the terminal is; 100 where there is none."""
    return shutil.get_terminal_size((100, 24)).columns


def fitted(heads: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """A table in lines of at most `width`: heads are wrapped, and what does not fit beside the
    rows' names stands below, beside their names again."""
    longest = max(len(text) for text in [heads[0], *(row[0] for row in rows)])
    first = min(longest, max(16, width // 3))
    room = max(NARROWEST, width - first - len(GAP))
    widths = [min(_width(place, heads, rows), room) for place in range(1, len(heads))]
    blocks: list[list[int]] = [[]]
    for place, wide in enumerate(widths, 1):
        used = sum(widths[other - 1] + len(GAP) for other in blocks[-1])
        if blocks[-1] and used + wide + len(GAP) > width - first:
            blocks.append([])
        blocks[-1].append(place)
    lines = []
    for number, block in enumerate(blocks):
        lines += [""] if number else []
        sizes = [first, *(widths[place - 1] for place in block)]
        lines += _wrapped([heads[place] for place in (0, *block)], sizes)
        lines.append(GAP.join("─" * size for size in sizes))
        for row in rows:
            has_value = any(row[place] not in ("", "–") for place in block)
            # A row without a value here is left out, unless it has none anywhere.
            if has_value or (number == 0 and all(text in ("", "–") for text in row[1:])):
                lines += _wrapped([row[place] for place in (0, *block)], sizes)
    return lines


def _width(place: int, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    """As wide as the longest value, or the longest word of the head."""
    words = [len(word) for word in heads[place].split()]
    return max([NARROWEST, *words, *(len(row[place]) for row in rows)])


def _wrapped(cells: Sequence[str], sizes: Sequence[int]) -> list[str]:
    """One row of cells as one or more lines: names to the left, values to the right."""
    pieces = [textwrap.wrap(c, s) or [""] for c, s in zip(cells, sizes, strict=True)]
    lines = []
    for number in range(max(map(len, pieces))):
        texts = [piece[number] if number < len(piece) else "" for piece in pieces]
        aligned = [texts[0].ljust(sizes[0])]
        aligned += [t.rjust(s) for t, s in zip(texts[1:], sizes[1:], strict=True)]
        lines.append(GAP.join(aligned).rstrip())
    return lines
