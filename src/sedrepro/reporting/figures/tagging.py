"""Figures of tagging at several signal-to-noise ratios: scores beside published ones, and maps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...settings import Subset
from ..colours import readable
from ..examples import shown_clips
from ..printed import Cell, PrintedTable
from ..records import Record, read_rows
from . import style
from .material import Material, MissingError

METRICS = {"micro_ap": "Micro-P", "macro_ap": "Macro-P", "macro_auc": "AUC"}
PROPOSED, RIVAL = "2apae", "atrous_ap"
SHOWN = 3  # clips, and classes whose attention is drawn


def _table(material: Material, name: str) -> PrintedTable:
    for table in material.tables:
        if table.name == name:
            if not any(cell.ours for row in table.rows for cell in row.cells):
                raise MissingError(f"no finished run has a value in the table {name!r}")
            return table
    raise MissingError(f"the paper has no table {name!r}")


def _cells(table: PrintedTable) -> dict[tuple[str, str, str], Cell]:
    """By row, condition and metric (with its class)."""
    return {
        (row.name, column.condition, column.metric): cell
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
    }


def _ratios(material: Material) -> dict[str, float]:
    """The conditions and their ratios in dB, rising."""
    known = {name: float(changed["snr"]) for name, changed in material.paper.conditions.items()}
    return dict(sorted(known.items(), key=lambda item: item[1]))


def _published(table: PrintedTable) -> str:
    return "published (not comparable)" if table.whose.obstacle else "published"


def metric_over_snr(material: Material) -> Figure:
    """A panel per metric: filled marks and lines are ours, hollow ones published."""
    table, ratios = _table(material, "main"), _ratios(material)
    cells = _cells(table)
    made, axes = style.grid(len(METRICS), 3, height=3.0)
    handles = {}
    for axis, (metric, title) in zip(axes, METRICS.items(), strict=True):
        for row in [r.name for r in table.rows]:
            points = [(snr, cells[row, name, metric]) for name, snr in ratios.items()]
            ours = [(snr, c.ours.mean) for snr, c in points if c.ours and c.ours.finite]
            known = [(s, c.published.value) for s, c in points if c.published.value is not None]
            colour = material.colours[row]
            if ours:
                look = material.line(row) | {"marker": "o", "markersize": 4}
                (handles[material.label(row)],) = axis.plot(*zip(*ours, strict=True), **look)
            if known:
                look = {"color": colour, "marker": "o", "markersize": 5, "markerfacecolor": "white"}
                axis.plot(*zip(*known, strict=True), linewidth=0.6, alpha=0.7, **look)
        axis.set_title(title)
        axis.set_xticks(list(ratios.values()))
        axis.set_xlabel("signal-to-noise ratio (dB)")
    if any(cell.published.value is not None for cell in cells.values()):
        # One entry of no row's colour stands for the published lines of all.
        handles[_published(table)] = Line2D(
            [], [], color=style.INK, marker="o", markerfacecolor="white", linewidth=0.6
        )
    style.legend(made, handles)
    return made


def published_bars(material: Material) -> Figure:
    """A panel per ratio: our bar with its interval, the published number as an outline."""
    table, ratios = _table(material, "main"), _ratios(material)
    cells, rows = _cells(table), [row.name for row in table.rows]
    made, axes = style.grid(len(ratios), 3, height=0.8 + 0.46 * len(rows))
    outline = None
    for axis, (name, snr) in zip(axes, reversed(ratios.items()), strict=True):
        for place, row in enumerate(rows):
            cell = cells[row, name, "micro_ap"]
            if cell.ours and cell.ours.finite:
                mean, low, high = cell.ours.mean, cell.ours.low, cell.ours.high
                axis.barh(place - 0.2, mean, 0.36, color=material.colours[row])
                if low is not None and high is not None:
                    axis.plot([low, high], [place - 0.2] * 2, color=style.INK, linewidth=0.8)
                axis.text(
                    0.01,
                    place - 0.2,
                    f"{mean:.3f}",
                    va="center_baseline",
                    fontsize=7,
                    color="white",
                )
            if cell.published.value is not None:
                outline = axis.barh(
                    place + 0.2,
                    cell.published.value,
                    0.3,
                    color="white",
                    edgecolor=style.INK,
                    linewidth=0.8,
                )
                text = f"{cell.published.value:.3f}"
                axis.text(0.01, place + 0.2, text, va="center", fontsize=6.5)
        chance = cells[rows[0], name, "micro_ap_chance"].ours
        if chance and chance.finite:
            axis.axvline(chance.mean, color=style.INK, linewidth=0.7, linestyle=(0, (1, 2)))
        axis.set_title(f"Micro-P at {snr:g} dB")
        axis.set_yticks(range(len(rows)), [material.label(row) for row in rows])
        axis.invert_yaxis()
        axis.set_xlim(0, 1)
        axis.grid(axis="y", visible=False)
    if outline is not None:
        style.legend(made, {_published(table): outline})
    return made


def alpha_curve(material: Material) -> Figure:
    """Micro-P over alpha, a colour per ratio; the steps of alpha are drawn at equal distances."""
    table, ratios = _table(material, "alpha"), _ratios(material)
    cells = _cells(table)
    alphas = {
        row.name: {**material.paper.settings, **row.row.settings}["alpha"] for row in table.rows
    }
    rows = sorted(alphas, key=alphas.__getitem__)
    made = style.figure(5.5, 3.4)
    axis = made.add_subplot()
    for (name, snr), colour in zip(ratios.items(), ("#4477aa", "#ee8844", "#228833"), strict=False):
        ours, known = [], []
        for place, row in enumerate(rows):
            cell = cells[row, name, "micro_ap"]
            if cell.ours and cell.ours.finite:
                ours.append((place, cell.ours.mean))
            if cell.published.value is not None:
                known.append((place, cell.published.value))
        if ours:
            label = f"ours, {snr:g} dB"
            axis.plot(*zip(*ours, strict=True), color=colour, marker="o", label=label)
        if known:
            axis.plot(
                *zip(*known, strict=True),
                color=colour,
                marker="o",
                markerfacecolor="white",
                linewidth=0.6,
                label=f"published, {snr:g} dB",
            )
    axis.set_xticks(range(len(rows)), [f"{alphas[row]:g}" for row in rows])
    axis.set_xlabel("weight of the reconstruction, α")
    axis.set_ylabel("micro-P")
    if table.whose.obstacle and not table.whose.own:
        axis.set_title("Published numbers are of the full size")
    made.legend(loc="outside right upper")
    return made


def class_dots(material: Material) -> Figure:
    """Per ratio and class two dots, joined: the rival's and the proposed method's."""
    ratios = dict(reversed(_ratios(material).items()))
    panels: dict[float, dict[str, list[float]]] = {}
    for name, snr in ratios.items():
        cells = _cells(_table(material, f"classes_{snr:g}db"))
        metrics = dict.fromkeys(metric for _, _, metric in cells)
        panels[snr] = {}
        for metric in metrics:
            pair = [cells[row, name, metric].ours for row in (RIVAL, PROPOSED)]
            means = [one.mean for one in pair if one and one.finite]
            if len(means) == len(pair):
                panels[snr][metric.partition("[")[2].rstrip("]")] = means
    if not any(panels.values()):
        raise MissingError(f"{PROPOSED} and {RIVAL} have no class-wise values at one ratio")
    first = next(pairs for pairs in panels.values() if pairs)
    order = sorted(first, key=lambda label: first[label][1] - first[label][0])
    made, axes = style.grid(len(panels), 3, height=1.0 + 0.19 * len(order))
    handles = {}
    for axis, (snr, pairs) in zip(axes, panels.items(), strict=True):
        for place, label in enumerate(order):
            if label in pairs:
                axis.plot(pairs[label], [place] * 2, color=style.PALE, linewidth=2.2, zorder=1)
                for row, value in zip((RIVAL, PROPOSED), pairs[label], strict=True):
                    dot = axis.scatter(value, place, 26, material.colours[row], zorder=2)
                    handles[material.label(row)] = dot
        axis.set_title(f"{snr:g} dB")
        axis.set_yticks(range(len(order)), [readable(label) for label in order], fontsize=7.5)
        axis.set_ylim(-0.7, len(order) - 0.3)
        axis.set_xlim(0, 1.02)
        axis.set_xlabel("average precision")
    style.legend(made, handles, 2)
    return made


@dataclass(frozen=True)
class Maps:
    """One example clip of a run: arrays by name, frames along time where they have one."""

    clip: str
    record: Record
    hop: float
    arrays: dict[str, np.ndarray]

    @property
    def extent(self) -> tuple[float, float, float, float]:
        bands, frames = self.arrays["input"].shape
        return (0, frames * self.hop, -0.5, bands - 0.5)


def _maps(record: Record, count: int, *needed: str) -> Iterator[Maps]:
    """The run's example clips that have all of these maps."""
    try:
        with h5py.File(record.file("examples.h5"), "r", locking=False) as file:
            for clip in sorted(shown_clips(file, count)):
                group = file[clip]
                if all(name in group for name in ("input", *needed)):
                    arrays = {name: values[:].astype(np.float32) for name, values in group.items()}
                    yield Maps(clip, record, float(file.attrs["hop"]), arrays)
    except (OSError, KeyError, RuntimeError):
        return


def _explained(material: Material, *needed: str) -> list[Maps]:
    """Examples of the proposed method at the highest ratio that has any, else of another row."""
    best = {name: place for place, name in enumerate(_ratios(material))}
    runs = sorted(
        material.done, key=lambda r: (r.run.row != PROPOSED, -best.get(r.run.condition, -1))
    )
    for record in runs:
        if shown := list(_maps(record, material.project.report.examples, *needed)):
            return shown
    raise MissingError("no finished run left these maps of example clips")


def attention_panel(material: Material) -> Figure:
    """Input and reconstruction, first-step attention of the top classes, second step, clip."""
    shown = _explained(material, "frequency", "time", "standardised")[0]
    maps, classes = shown.arrays, shown.record.described["classes"]
    top = np.argsort(-maps["clip"])[:SHOWN]
    names = [readable(label) for label in classes]
    panels = [("input, standardised", maps["standardised"], "magma")]
    if "reconstruction" in maps:
        panels.append(("reconstruction", maps["reconstruction"], "magma"))
    panels += [
        (f"mel attention: {names[k]} ({maps['clip'][k]:.2f})", maps["frequency"][k].T, "viridis")
        for k in top
    ]
    made = style.figure(9.5, 1.15 * len(panels) + 2 * (0.9 + 0.09 * len(classes)) + 1.6)
    tall = 1 + 0.12 * len(classes)
    heights = [1.0] * len(panels) + [tall, tall, 1.5]
    axes = made.subplots(len(heights), 1, height_ratios=heights)
    for axis, (title, values, colours) in zip(axes, panels, strict=False):
        _image(axis, values, shown.extent, colours)
        axis.set_title(title, fontsize=8.5)
        axis.set_ylabel("mel band", fontsize=7.5)
    span = (*shown.extent[:2], len(classes) - 0.5, -0.5)
    for axis, title, values in (
        (axes[-3], "first step: each class over time", maps["frame"].T),
        (axes[-2], "second step: attention over time", maps["time"]),
    ):
        _image(axis, values, span, "viridis", origin="upper")
        axis.set_title(title, fontsize=8.5)
        axis.set_yticks(range(len(classes)), names, fontsize=min(7, 220 / len(classes)))
    axes[-2].set_xlabel("time (s)")
    axes[-1].bar(range(len(classes)), maps["clip"], color=material.colours[shown.record.run.row])
    axes[-1].set_title("clip scores", fontsize=8.5)
    rotated = 90 if len(classes) > 12 else 20
    axes[-1].set_xticks(range(len(classes)), names, fontsize=7, rotation=rotated)
    axes[-1].set_ylim(0, 1)
    return made


def reconstruction_panel(material: Material) -> Figure:
    """Clips side by side: what went in over what the decoder drew."""
    shown = _explained(material, "reconstruction", "standardised")[:SHOWN]
    made = style.figure(3.3 * len(shown), 4.4)
    axes = made.subplots(2, len(shown), squeeze=False)
    for column, one in enumerate(shown):
        for line, name in enumerate(("standardised", "reconstruction")):
            _image(axes[line, column], one.arrays[name], one.extent, "magma")
            title = f"{one.clip}: {'input, standardised' if line == 0 else 'reconstruction'}"
            axes[line, column].set_title(title, fontsize=8.5)
        axes[1, column].set_xlabel("time (s)")
    axes[0, 0].set_ylabel("mel band")
    axes[1, 0].set_ylabel("mel band")
    return made


def mixture_at_snrs(material: Material) -> Figure:
    """The log-mel of one mixture at every ratio, with its events above the first."""
    ratios = dict(reversed(_ratios(material).items()))
    found: dict[str, dict[str, Maps]] = {}
    for record in material.done:
        for one in _maps(record, material.project.report.examples):
            found.setdefault(one.clip, {}).setdefault(record.run.condition, one)
    whole = [clip for clip, by_condition in found.items() if set(by_condition) == set(ratios)]
    if not whole:
        raise MissingError("no example clip has been seen at every signal-to-noise ratio")
    clip = whole[0]
    made = style.figure(7.5, 1.7 * len(ratios) + 0.4)
    axes = made.subplots(len(ratios), 1, sharex=True, squeeze=False)[:, 0]
    levels = {name: _decibels(found[clip][name].arrays["input"]) for name in ratios}
    limits = np.percentile(np.stack(list(levels.values())), [1, 100])
    for axis, (name, snr) in zip(axes, ratios.items(), strict=True):
        one = found[clip][name]
        _image(axis, levels[name], one.extent, "magma", limits=limits)
        axis.set_title(f"{snr:g} dB", fontsize=8.5)
        axis.set_ylabel("mel band")
        for label, onset, offset in _events(material, one):
            top, text = one.extent[3], f" {readable(label)}"
            axis.plot([onset, offset], [top - 0.5] * 2, color="white", linewidth=2)
            axis.text(onset, top - 1.5, text, color="white", fontsize=7, va="top")
        axis.set_xlim(one.extent[:2])
    axes[-1].set_xlabel("time (s)")
    made.suptitle(f"Mixture {clip}", fontsize=10)
    return made


def _decibels(spectrum: np.ndarray) -> np.ndarray:
    return 20 * np.log10(np.maximum(spectrum, 1e-6))


def _events(material: Material, shown: Maps) -> list[tuple[str, float, float]]:
    """Class, onset and offset of the clip's events."""
    data = next(iter(shown.record.block("data").values()))
    where = Subset(data["corpus"], data["subset"])
    rows = read_rows(Path(material.layout.table(where, "events")), "\t")
    return [
        (row["label"], float(row["onset"]), float(row["offset"]))
        for row in rows
        if row["clip"] == shown.clip
    ]


def _image(
    axis: Axes,
    values: np.ndarray,
    extent: tuple[float, float, float, float],
    colours: str,
    *,
    origin: Literal["upper", "lower"] = "lower",
    limits: np.ndarray | None = None,
) -> None:
    low, high = limits if limits is not None else (values.min(), values.max())
    axis.imshow(
        values,
        origin=origin,
        aspect="auto",
        extent=extent,
        cmap=colours,
        vmin=low,
        vmax=high,
        interpolation="nearest",
    )
    axis.grid(False)
