"""Colours that mean the same in every figure and on the page; distinct to colour-blind readers too.

Colour never carries a meaning alone: lines also differ by dash, classes are always named.
"""

from __future__ import annotations

from collections.abc import Iterable

from ..settings.project import Paper

PALETTE = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccaa33",
    "#66bbdd",
    "#aa3377",
    "#ee8844",
    "#44ab92",
    "#7a5c3e",
    "#8f8f8f",
)
GREY = "#8a8a8a"
DASHES = ((), (6, 2), (2, 1.5), (6, 2, 1.5, 2), (10, 2), (4, 1.5, 1.5, 1.5, 1.5, 1.5))


def class_colours(classes: Iterable[str]) -> dict[str, str]:
    """Each class's colour, by its place in the output order."""
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(classes)}


def row_colours(paper: Paper) -> dict[str, str]:
    """Each row's colour: grey without training, else by its place in the table."""
    trained = [name for name, row in paper.table.items() if row.kind in ("train", "reevaluate")]
    colours = {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(trained)}
    return {name: colours.get(name, GREY) for name in paper.table}


def row_dashes(paper: Paper) -> dict[str, tuple[float, ...]]:
    """Each row's dash pattern, to tell lines apart without colour; the last row is solid."""
    rows = [name for name, row in paper.table.items() if row.kind != "published"]
    return {name: DASHES[index % len(DASHES)] for index, name in enumerate(reversed(rows))}


def readable(name: str) -> str:
    """A class or column name for people: `Alarm_bell_ringing` → `Alarm bell ringing`."""
    return name.replace("_", " ").strip()
