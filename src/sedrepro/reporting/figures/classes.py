"""Class-wise scores of the rows side by side."""

from __future__ import annotations

import textwrap

import numpy as np
from matplotlib.figure import Figure

from ..colours import readable
from ..records import Record, finite
from . import style
from .material import MODELS, Material, MissingError

METRIC = "event_f1"


def class_bars(material: Material) -> Figure:
    """Bars per class and row, the mean over finished runs; of many rows only the headline's."""
    subset = material.subset()
    by_row: dict[str, list[Record]] = {}
    for record in material.done:
        by_row.setdefault(record.run.row, []).append(record)
    rows = [row for row in by_row if len(by_row) <= 4 or row in material.paper.headline]
    for model in MODELS:
        values = {row: _class_values(by_row[row], subset, model) for row in rows}
        classes = list(dict.fromkeys(name for of_row in values.values() for name in of_row))
        if classes:
            break
    else:
        raise MissingError(f"no finished run has a class-wise event F1 of {readable(subset)}")
    made = style.figure(9.5, 3.6)
    axis = made.add_subplot()
    width = 0.8 / len(rows)
    for index, row in enumerate(rows):
        heights = [values[row].get(name, np.nan) for name in classes]
        places = np.arange(len(classes)) + (index - (len(rows) - 1) / 2) * width
        axis.bar(
            places, heights, width * 0.92, color=material.colours[row], label=material.label(row)
        )
        for place, height in zip(places, heights, strict=True):
            if np.isfinite(height):
                axis.text(
                    place, height + 0.012, f"{height:.2f}".lstrip("0"), ha="center", fontsize=6.5
                )
    names = [textwrap.fill(readable(name), 11) for name in classes]
    axis.set_xticks(range(len(classes)), names, fontsize=8)
    axis.tick_params(axis="x", length=0)
    axis.grid(axis="x", visible=False)
    top = max((bar.get_height() for bar in axis.patches if bar.get_height() >= 0), default=0.0)
    axis.set_ylim(0, min(1.05, max(0.1, 1.15 * top)))
    axis.set_ylabel("event F1")
    axis.set_title(f"{readable(model).capitalize()}, {readable(subset)}")
    made.legend(loc="outside lower center", ncols=len(rows))
    return made


def _class_values(found: list[Record], subset: str, model: str) -> dict[str, float]:
    per_class: dict[str, list[float]] = {}
    for record in found:
        for entry in record.metrics:
            if (entry.get("set"), entry.get("model"), entry.get("metric")) == (
                subset,
                model,
                METRIC,
            ):
                value = finite(entry.get("value"))
                if entry.get("label") and value is not None:
                    per_class.setdefault(str(entry["label"]), []).append(value)
    return {name: float(np.mean(values)) for name, values in per_class.items()}
