"""Figures of audio-visual events: what is heard, seen and attended to, second by second."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch

from ...errors import SedreproError
from ...papers import settings_models
from ...settings import plan
from ..colours import class_colours, readable
from ..records import Record, clips_by_name, finite, read_rows
from . import style
from .material import Material, MissingError

SHOWN_CLASSES = ("Bark", "Bus")  # as in the README of DMSF
PIXELS = 112
TRUTH, BASELINE, OURS = "#d62728", "#ff7f0e", "#2ca02c"
BASE_ROW, OUR_ROW = "av_att", "dmsf"
STRIPS = 8


@dataclass(frozen=True)
class Watched:
    """A run's scores of the seconds of a set, and what is true of them."""

    clips: list[str]
    paths: dict[str, str]
    classes: list[str]
    label: np.ndarray
    """The true class (clip, second), the background being the last."""
    scores: np.ndarray
    attention: np.ndarray | None

    @property
    def chosen(self) -> np.ndarray:
        return self.scores.argmax(-1)

    @property
    def background(self) -> int:
        return len(self.classes)


def watched(material: Material, record: Record, model: str = "network") -> Watched:
    """A finished run's scores of the first set it reports on."""
    meant = plan(material.project, record.run, settings_models()[record.run.paper])
    held_out = next(h for h in meant.held_out if h.reports)
    try:
        with h5py.File(record.file("scores.h5"), "r", locking=False) as file:
            clips = [name.decode() for name in file[held_out.name]["clips"][:]]
            found = file[held_out.name][model]
            scores = found["frame"][:]
            attention = found["attention"][:] if "attention" in found else None
            classes = json.loads(file.attrs["classes"])
    except (OSError, KeyError, RuntimeError):
        raise MissingError(f"the scores of {record.run} cannot be read") from None
    label = np.full(scores.shape[:2], len(classes))
    place, column = ({name: k for k, name in enumerate(names)} for names in (clips, classes))
    layout = material.layout
    for row in read_rows(Path(layout.table(held_out.subset, "events")), "\t"):
        onset, offset = finite(row["onset"]), finite(row["offset"])
        if row["clip"] in place and onset is not None and offset is not None:
            label[place[row["clip"]], round(onset) : round(offset)] = column[row["label"]]
    listed = clips_by_name(layout.table(held_out.subset, "clips"))
    paths = {name: clip.path for name, clip in listed.items()}
    return Watched(clips, paths, classes, label, scores, attention)


def _first(material: Material, condition: str, row: str) -> Record:
    found = material.under(condition).get(row)
    if not found:
        raise MissingError(f"row {row} has no finished run under {readable(condition)} supervision")
    return found[0]


def _headline(material: Material, condition: str) -> list[str]:
    """Trained rows to compare: the headline's, or whatever there is."""
    finished = [r for r in material.under(condition) if material.paper.table[r].kind == "train"]
    return [row for row in finished if row in material.paper.headline] or finished[:3]


# --- two videos ----------------------------------------------------------------------------------


def qualitative(material: Material) -> Figure:
    """Sound and labels, baseline attention, frames and truth, our attention; two videos."""
    condition = material.conditions[0]
    base = watched(material, _first(material, condition, BASE_ROW))
    ours = watched(material, _first(material, condition, OUR_ROW))
    if base.attention is None or ours.attention is None:
        raise MissingError("a row has no attention to show")
    clips = chosen_clips(ours)
    if not clips:
        raise MissingError("no video has an event")
    made = style.figure(11, 4.6 * len(clips))
    blocks = made.subfigures(len(clips), 1, squeeze=False).ravel()
    for block, clip in zip(blocks, clips, strict=True):
        _video(block, material, clip, base, ours)
    handles = [
        Patch(fill=False, edgecolor=colour, linewidth=2, label=text)
        for colour, text in (
            (TRUTH, "true event"),
            (BASELINE, f"event by {material.label(BASE_ROW)}"),
            (OURS, f"event by {material.label(OUR_ROW)}"),
        )
    ]
    made.legend(handles=handles, loc="outside lower center", ncols=3)
    return made


def chosen_clips(of: Watched) -> list[int]:
    """The first video of each shown class with a partial event, else with any event."""
    event = of.label < of.background
    partial = event.any(-1) & ~event.all(-1)
    names = [name for name in SHOWN_CLASSES if name in of.classes] or of.classes[:2]
    found = []
    for name in names:
        has = (of.label == of.classes.index(name)).any(-1)
        places = np.flatnonzero(has & partial)
        places = places if len(places) else np.flatnonzero(has)
        found += places[:1].tolist()
    return found


def _video(block: SubFigure, material: Material, clip: int, base: Watched, ours: Watched) -> None:
    seconds = ours.label.shape[1]
    name = ours.clips[clip]
    axes = block.subplots(4, seconds, gridspec_kw={"wspace": 0.03, "hspace": 0.05})
    frames, sound = _decoded(ours.paths.get(name, ""), seconds)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
        axis.grid(False)
        for spine in axis.spines.values():
            spine.set_visible(True)
            spine.set_linewidth(0.4)
    loudest = 1 if sound is None else max(1e-6, float(np.abs(sound).max()))
    label = ours.label[clip]
    for t in range(seconds):
        _wave(axes[0, t], None if sound is None else sound[t], loudest)
        event = label[t] < ours.background
        title = readable(ours.classes[label[t]]) if event else "background"
        axes[0, t].set_title(title, fontsize=6.5, color=TRUTH if event else style.INK, pad=3)
        axes[2, t].imshow(frames[t])
        _boxed(axes[2, t], event, TRUTH)
        for line, of, colour in ((1, base, BASELINE), (3, ours, OURS)):
            certain = 1 - of.scores[clip, t, of.background]
            assert of.attention is not None  # or there were no figure
            axes[line, t].imshow(heated(frames[t], of.attention[clip, t], certain))
            _boxed(axes[line, t], of.chosen[clip, t] < of.background, colour)
    titles = ("sound", material.label(BASE_ROW), "frames", material.label(OUR_ROW))
    for line, text in enumerate(titles):
        axes[line, 0].set_ylabel(text, fontsize=7.5)
    block.suptitle(name, fontsize=9, fontweight="bold", x=0.02, ha="left")


def _decoded(path: str, seconds: int) -> tuple[np.ndarray, np.ndarray | None]:
    """The middle frame (second, …) and the sound of each second; grey and None without a video."""
    grey = np.full((seconds, PIXELS, PIXELS, 3), 235, np.uint8)
    if not path or not Path(path).is_file():
        return grey, None
    try:
        from ...sources import video

        frames = video.pictures(path, np.arange(seconds) + 0.5, PIXELS).transpose(0, 2, 3, 1)
        return frames, video.sound(path, 8000, seconds * 8000).reshape(seconds, -1)
    except (SedreproError, ImportError):
        return grey, None


def heated(frame: np.ndarray, attention: np.ndarray, certain: float) -> np.ndarray:
    """A frame under its attention in JET colours, as opaque as an event is likely."""
    side = round(len(attention) ** 0.5)
    spread = max(float(np.ptp(attention)), 1e-9)
    low = ((attention - attention.min()) / spread).reshape(side, side)
    at = (np.arange(len(frame)) + 0.5) / len(frame) * side - 0.5
    wide = np.array([np.interp(at, np.arange(side), line) for line in low])
    heat = np.array([np.interp(at, np.arange(side), line) for line in wide.T]).T
    colours = mpl.colormaps["jet"](heat)[..., :3]
    opacity = 0.15 + 0.4 * float(np.clip(certain, 0, 1))
    return (1 - opacity) * frame / 255 + opacity * colours


def _wave(axis: Axes, sound: np.ndarray | None, loudest: float) -> None:
    if sound is None:
        axis.text(0.5, 0.5, "–", ha="center", va="center", transform=axis.transAxes)
        return
    steps = sound[: len(sound) // 80 * 80].reshape(80, -1)
    axis.fill_between(np.arange(80), steps.min(1), steps.max(1), color="#4477aa", linewidth=0)
    axis.set_xlim(0, 79)
    axis.set_ylim(-1.05 * loudest, 1.05 * loudest)


def _boxed(axis: Axes, box: bool, colour: str) -> None:
    for spine in axis.spines.values():
        spine.set_linewidth(3 if box else 0.4)
        spine.set_edgecolor(colour if box else style.PALE)
        spine.set_zorder(5)


# --- all videos ----------------------------------------------------------------------------------


def confusion(material: Material) -> Figure:
    """Which class a second is taken for, by its true class; one panel per condition."""
    panels = [(c, rows[-1]) for c in material.conditions if (rows := _headline(material, c))]
    if not panels:
        raise MissingError("no trained row is finished")
    size = len(watched(material, _first(material, *panels[0])).classes) + 1
    made, axes = style.grid(len(panels), 2, width=10, height=4.6 if size < 12 else 6.0)
    for axis, (condition, row) in zip(axes, panels, strict=True):
        of = watched(material, _first(material, condition, row))
        counts = np.zeros((of.background + 1,) * 2)
        np.add.at(counts, (of.label.ravel(), of.chosen.ravel()), 1)
        shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        names = [readable(name) for name in [*of.classes, "background"]]
        small: dict[str, Any] = {"fontsize": 7 if size < 12 else 5.5}
        axis.set_xticks(range(size), names, rotation=90, **small)
        axis.set_yticks(range(size), names, **small)
        axis.grid(False)
        if size < 12:
            for (i, j), value in np.ndenumerate(shares):
                if value >= 0.005:
                    colour = "white" if value > 0.55 else style.INK
                    axis.text(
                        j,
                        i,
                        f"{value:.2f}".lstrip("0"),
                        ha="center",
                        va="center",
                        fontsize=7,
                        color=colour,
                    )
        axis.set_xlabel("predicted")
        axis.set_ylabel("true")
        axis.set_title(material.titled(material.label(row), condition))
    return made


def by_duration(material: Material) -> Figure:
    """Accuracy of the seconds of videos whose event lasts so long; 0 s: no event."""
    made, axes = style.grid(len(material.conditions), 2, height=3.2)
    handles = {}
    for axis, condition in zip(axes, material.conditions, strict=True):
        rows = [r for r, runs in material.under(condition).items() if runs]
        rows = rows if len(rows) <= 6 else _headline(material, condition)
        for row in rows:
            of = watched(material, _first(material, condition, row))
            lasts = (of.label < of.background).sum(1)
            right = (of.chosen == of.label).mean(1)
            at = [s for s in range(of.label.shape[1] + 1) if (lasts == s).any()]
            heights = [right[lasts == s].mean() for s in at]
            (handles[material.label(row)],) = axis.plot(
                at, heights, marker="o", markersize=3.5, **material.line(row)
            )
        counts = np.bincount(lasts, minlength=of.label.shape[1] + 1)
        for s in np.flatnonzero(counts):
            axis.text(s, -0.04, f"{counts[s]}", ha="center", va="top", fontsize=6, color="#777")
        axis.set_ylim(-0.12, 1.03)
        axis.set_xlabel("seconds of event (below the lines: videos)")
        axis.set_ylabel("accuracy of seconds")
        axis.set_title(material.titled("Accuracy by duration", condition))
    made.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6)
    return made


def _spread(places: np.ndarray, count: int) -> list[int]:
    """So many of them, evenly: clips are in the order of their categories."""
    at = np.linspace(0, len(places) - 1, min(count, len(places))).round().astype(int)
    return places[at].tolist()


def strips(material: Material) -> Figure:
    """Truth and predictions of some videos, a cell per second; partial events first."""
    rows = [(c, row) for c in material.conditions for row in _headline(material, c)]
    if not rows:
        raise MissingError("no trained row is finished")
    found = [watched(material, _first(material, c, row)) for c, row in rows]
    first = found[0]
    event = first.label < first.background
    partial = np.flatnonzero(event.any(-1) & ~event.all(-1))
    others = np.setdiff1d(np.arange(len(first.clips)), partial)
    clips = [*_spread(partial, STRIPS - 2), *_spread(others, 2)]
    lines = [("truth", first.label)]
    lines += [
        (material.titled(material.label(row), c), of.chosen)
        for (c, row), of in zip(rows, found, strict=True)
    ]
    colours = [*class_colours(first.classes).values(), "#eceae5"]
    palette = np.array([mpl.colors.to_rgb(colour) for colour in colours])
    made, axes = style.grid(len(clips), 2, width=10.5, height=0.42 + 0.19 * len(lines))
    for place, (axis, clip) in enumerate(zip(axes, clips, strict=True)):
        cells = np.stack([line[clip] for _, line in lines])
        axis.imshow(palette[cells], aspect="auto", interpolation="nearest")
        axis.set_title(first.clips[clip], fontsize=8, fontweight="normal", pad=3)
        names = [name for name, _ in lines] if place % 2 == 0 else [""] * len(lines)
        axis.set_yticks(range(len(lines)), names, fontsize=7)
        axis.tick_params(length=0)
        axis.set_xticks([])
        axis.grid(False)
        for edge in range(1, cells.shape[1]):
            axis.axvline(edge - 0.5, color="white", linewidth=0.8)
        for edge in range(1, len(lines)):
            axis.axhline(edge - 0.5, color="white", linewidth=2.5 if edge == 1 else 0.8)
    shown = sorted({int(k) for _, line in lines for k in np.unique(line[clips])})
    names = [readable(name) for name in [*first.classes, "background"]]
    patches = [Patch(color=colours[k], label=names[k]) for k in shown]
    made.legend(handles=patches, loc="outside lower center", ncols=6)
    return made
