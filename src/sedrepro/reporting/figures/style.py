"""One look for all figures: quiet axes, readable labels, PNG and SVG of everything."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from ...files import atomic

if TYPE_CHECKING:
    from matplotlib.typing import RcKeyType

INK, PALE = "#22282e", "#c9c6bf"

LOOK: dict[RcKeyType, Any] = {
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e7e4de",
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "sedrepro",  # the same figure is the same file
    "svg.fonttype": "path",
}


def legend(made: Figure, handles: Mapping[str, Any], columns: int = 4, **options: Any) -> None:
    """One legend under all panels: what is drawn (lines, or a group of bars) by its name."""
    made.legend(
        list(handles.values()), list(handles), loc="outside lower center", ncols=columns, **options
    )


def figure(width: float, height: float) -> Figure:
    """An empty figure in the common look, in inches."""
    mpl.rcParams.update(LOOK)
    layout = ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08, wspace=0.04, hspace=0.06)
    made = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(made)
    return made


def grid(
    panels: int, columns: int, width: float = 9.5, height: float = 2.7
) -> tuple[Figure, list[Axes]]:
    """A figure with so many panels; `height` is that of one line of panels."""
    columns = min(columns, panels)
    lines = math.ceil(panels / columns)
    made = figure(width, height * lines)
    return made, [made.add_subplot(lines, columns, index + 1) for index in range(panels)]


def notice(text: str) -> Figure:
    """A plain panel that says what is missing."""
    made = figure(7.5, 1.6)
    made.text(0.5, 0.5, text, ha="center", va="center", fontsize=10, color="#6b6b6b", wrap=True)
    return made


def save(made: Figure, png: str | Path, svg: str | Path) -> None:
    """Write both forms, without dates, so that equal figures are equal files.

    What is where is found once, and each canvas draws once; `savefig` does all of it twice a form.
    """
    made.set_dpi(160)
    made.draw_without_rendering()
    made.set_layout_engine("none")
    with atomic(png) as temporary:
        FigureCanvasAgg(made).print_png(temporary, metadata={"Software": None})
    with atomic(svg) as temporary:
        FigureCanvasSVG(made).print_svg(temporary, metadata={"Date": None, "Creator": None})
