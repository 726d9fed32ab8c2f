"""Curves: losses over the epochs, and PSD-ROC."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from ..colours import readable
from ..records import read_series
from . import style
from .material import MODELS, Material, MissingError

SCENARIOS = {"psds1": "scenario 1", "psds2": "scenario 2"}


def training_curves(material: Material) -> Figure:
    """One panel per loss, first the score that selects the checkpoint; one line per run.

    Of several conditions each has its panels.
    """
    histories = {}
    for record in material.done:
        if material.paper.table[record.run.row].kind == "train":
            series = read_series(record.file("history.csv"))
            if series.get("epoch"):
                histories[record] = series
    if not histories:
        raise MissingError("no finished run has a training history")
    panels = []
    for condition in material.conditions:
        own = {r: series for r, series in histories.items() if r.run.condition == condition}
        names = dict.fromkeys(name for series in own.values() for name in series)
        kept = [n for n in names if n == "select"] + [n for n in names if n.startswith("loss/")]
        panels += [(condition, name, own) for name in kept]
    if not panels:
        raise MissingError("the training histories hold neither losses nor a selection score")
    made, axes = style.grid(len(panels), 3)
    handles: dict[str, Line2D] = {}
    last = max(series["epoch"][-1] + 1 for series in histories.values())
    for axis, (condition, name, own) in zip(axes, panels, strict=True):
        for record, series in own.items():
            # Validation may skip epochs: what was measured is joined.
            pairs = zip(series["epoch"], series.get(name, []), strict=False)
            points = [(epoch + 1, value) for epoch, value in pairs if math.isfinite(value)]
            if points:
                marker = "o" if len(points) < 8 else None
                look = material.line(record.run.row) | {"marker": marker, "markersize": 3}
                (line,) = axis.plot(*zip(*points, strict=True), alpha=0.9, **look)
                handles.setdefault(material.label(record.run.row), line)
        _finish(axis, name, last)
        axis.set_title(material.titled(axis.get_title(loc="left"), condition))
    style.legend(made, handles, handlelength=3)
    return made


def _finish(axis: Axes, name: str, last: float) -> None:
    axis.set_xlabel("epoch")
    axis.set_xlim(1, max(2, last))
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    if name == "select":
        axis.set_title("Selection score")
        axis.set_ylim(bottom=0)
    else:
        axis.set_title(f"Loss: {readable(name.removeprefix('loss/'))}")
        lows = [line.get_ydata() for line in axis.lines]
        if lows and min(map(np.nanmin, lows)) > 0:
            axis.set_yscale("log")
            axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.yaxis.set_minor_formatter(NullFormatter())


def psd_roc(material: Material) -> Figure:
    """Effective true positive rate over effective false positive rate, per scenario and model."""
    scored_set = material.scored_set()
    panels = []
    for condition in material.conditions:
        rows = material.under(condition)
        curves = {row: of_row[0].curves.get(scored_set) or {} for row, of_row in rows.items()}
        for model in [m for m in MODELS if any(m in of_row for of_row in curves.values())]:
            for metric in SCENARIOS:
                lines = {row: (c.get(model) or {}).get(metric) for row, c in curves.items()}
                if any(lines.values()):
                    panels.append((condition, model, metric, lines))
    if not panels:
        raise MissingError(f"no finished run has a PSD-ROC curve of {readable(scored_set)}")
    made, axes = style.grid(len(panels), 2, height=3.1)
    handles: dict[str, Line2D] = {}
    for axis, (condition, model, metric, lines) in zip(axes, panels, strict=True):
        for row, curve in lines.items():
            if curve:
                (handles[material.label(row)],) = axis.step(
                    curve["efpr"], curve["etpr"], where="post", **material.line(row)
                )
        title = f"{readable(model).capitalize()}, {SCENARIOS[metric]}"
        axis.set_title(material.titled(title, condition))
        axis.set_xlim(0, 100)
        axis.set_ylim(0, 1)
        axis.set_xlabel("effective false positives per hour")
        axis.set_ylabel("effective true positive rate")
    style.legend(made, handles, handlelength=3)
    return made
