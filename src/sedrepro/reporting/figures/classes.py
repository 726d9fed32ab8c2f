"""Class-wise scores of the rows side by side."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from ..colours import readable
from ..records import Record, finite
from . import style
from .material import MODELS, Material, MissingError

METRICS = {
    "event_f1": "event F1",
    "ap": "average precision",
    "accuracy": "accuracy",
    "pauc": "partial AUC",
}
"""Class-wise metrics that can be drawn, the first that there is."""


def class_bars(material: Material, scored_set: str | None = None) -> Figure:
    """Bars per class and row, the mean over finished runs; of many rows only the headline's.

    Of several conditions each has its panel. `scored_set`: the first set that runs have numbers of.
    """
    scored_set = scored_set or material.scored_set()
    panels = []
    for condition in material.conditions:
        by_row = material.under(condition)
        rows = [row for row in by_row if len(by_row) <= 4 or row in material.paper.headline]
        found = _first_values({row: by_row[row] for row in rows}, scored_set)
        if found:
            panels.append((condition, *found))
    if not panels:
        raise MissingError(f"no finished run has a class-wise score of {readable(scored_set)}")
    classes = max(len(_classes(values)) for _, _, _, values in panels)
    made = style.figure(max(9.5, 0.45 * classes), 3.6 * len(panels))
    axes = made.subplots(len(panels), 1, squeeze=False)[:, 0]
    handles: dict[str, BarContainer] = {}
    for axis, (condition, model, metric, values) in zip(axes, panels, strict=True):
        handles |= _bars(axis, material, values)
        axis.set_ylabel(METRICS[metric])
        title = f"{readable(model).capitalize()}, {readable(scored_set)}"
        axis.set_title(material.titled(title, condition))
    style.legend(made, handles)
    return made


Values = dict[str, dict[str, float]]
"""Per row and class."""


def _classes(values: Values) -> list[str]:
    return list(dict.fromkeys(name for of_row in values.values() for name in of_row))


def _bars(axis: Axes, material: Material, values: Values) -> dict[str, BarContainer]:
    """The rows side by side in each class; returns what the legend shows."""
    classes = _classes(values)
    handles: dict[str, BarContainer] = {}
    width = 0.8 / len(values)
    small = len(classes) * len(values) > 60
    for index, (row, of_row) in enumerate(values.items()):
        heights = [of_row.get(name, np.nan) for name in classes]
        places = np.arange(len(classes)) + (index - (len(values) - 1) / 2) * width
        colour, label = material.colours[row], material.label(row)
        handles[label] = axis.bar(places, heights, width * 0.92, color=colour, label=label)
        for place, height in zip(places, heights, strict=True):
            if np.isfinite(height) and not small:
                text = f"{height:.2f}".lstrip("0")
                axis.text(place, height + 0.012, text, ha="center", fontsize=6.5)
    names = [textwrap.fill(readable(name), 11) for name in classes]
    if len(classes) > 14:
        axis.set_xticks(range(len(classes)), names, rotation=90, fontsize=7)
    else:
        axis.set_xticks(range(len(classes)), names, fontsize=8)
    axis.tick_params(axis="x", length=0)
    axis.grid(axis="x", visible=False)
    drawn = [bar.get_height() for bars in handles.values() for bar in bars.patches]
    top = max((height for height in drawn if height >= 0), default=0.0)
    axis.set_ylim(0, min(1.05, max(0.1, 1.15 * top)))
    return handles


def _first_values(rows: dict[str, list[Record]], scored_set: str) -> tuple[str, str, Values] | None:
    """The first model and class-wise metric that the runs have, with the values."""
    models = [str(e.get("model")) for of_row in rows.values() for r in of_row for e in r.metrics]
    for metric in METRICS:
        for model in dict.fromkeys([*MODELS, *(m for m in models if "@" not in m)]):
            values = {
                row: _class_values(found, scored_set, model, metric) for row, found in rows.items()
            }
            if any(values.values()):
                return model, metric, values
    return None


def _class_values(
    found: list[Record], scored_set: str, model: str, metric: str
) -> dict[str, float]:
    per_class: dict[str, list[float]] = {}
    for record in found:
        for entry in record.metrics:
            if (entry.get("set"), entry.get("model"), entry.get("metric")) == (
                scored_set,
                model,
                metric,
            ):
                value = finite(entry.get("value"))
                if entry.get("label") and value is not None:
                    per_class.setdefault(str(entry["label"]), []).append(value)
    return {name: float(np.mean(values)) for name, values in per_class.items()}
