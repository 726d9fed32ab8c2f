"""A recording's detections on a time axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..files import atomic
from .colours import class_colours, readable
from .figures import style

COLUMNS = 2000
"""Most columns of the drawn scores; of more frames the highest of each column is shown."""


def draw(
    path: str | Path,
    title: str,
    seconds: float,
    classes: Sequence[str],
    scores: np.ndarray,
    events: Sequence[tuple[str, float, float]],
) -> None:
    """Write a PNG: scores (frame, class) in grey, events (class, onset, offset) in colour."""
    made = style.figure(11, 1.4 + 0.28 * len(classes))
    axis = made.add_subplot()
    shown = _thinned(scores)
    axis.imshow(
        shown.T,
        cmap="Greys",
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
        extent=(0, seconds, len(classes) - 0.5, -0.5),
    )
    colours = class_colours(classes)
    for name, onset, offset in events:
        place = list(classes).index(name)
        axis.broken_barh(
            [(onset, max(offset - onset, seconds / COLUMNS))],
            (place - 0.3, 0.6),
            color=colours[name],
        )
    axis.set_yticks(range(len(classes)), [readable(name) for name in classes])
    axis.set_xlim(0, seconds)
    axis.grid(False)
    for line in range(1, len(classes)):
        axis.axhline(line - 0.5, color=style.PALE, linewidth=0.5)
    axis.set_xlabel("time (s)")
    axis.set_title(title)
    with atomic(path) as temporary:
        made.savefig(temporary, format="png", dpi=130, metadata={"Software": None})


def _thinned(scores: np.ndarray) -> np.ndarray:
    """At most COLUMNS rows of (frame, class), each the highest of its frames."""
    step = -(-len(scores) // COLUMNS)
    if step <= 1:
        return scores
    return np.maximum.reduceat(scores, np.arange(0, len(scores), step), axis=0)
