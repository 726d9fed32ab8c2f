"""Figures of cross-task training: how well the two tasks know, and correct, each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ...metrics.decode import detect, median_filter
from ...papers import settings_models
from ...settings import Decoding, HeldOut, plan
from ..colours import class_colours, readable
from ..examples import decibels, shown_clips
from ..printed import Cell
from ..records import Record, read_series
from . import style
from .material import Material, MissingError

AGREEMENT = "measure/agreement"
METRICS = {"psds1": "PSDS 1", "psds2": "PSDS 2", "event_f1": "Event F1"}
OFFICIAL = ("psds_eval", "sed_eval")
STATES = {
    "activity": ("none", "one", "two or more"),
    "occurrence": ("none", "some"),
    "overlap": ("at most one", "two or more"),
}
SHOWN = 3


def agreement(material: Material) -> Figure:
    """Per epoch the share of frames the teacher's tasks agree on, and the weight of the losses."""
    made = style.figure(9.5, 3.0)
    share, weight = made.subplots(1, 2)
    handles: dict[str, Line2D] = {}
    for record in material.done:
        series = read_series(record.file("history.csv"))
        for axis, column in ((share, AGREEMENT), (weight, "weight/sed_consistency")):
            values = series.get(column, [])
            if any(map(math.isfinite, values)) and AGREEMENT in series:
                look = material.line(record.run.row)
                (line,) = axis.plot(np.array(series["epoch"]) + 1, values, **look)
                handles.setdefault(material.label(record.run.row), line)
    if not handles:
        raise MissingError("no finished run has a sound-activity branch")
    share.set_title("Frames on which both tasks agree")
    share.set_ylim(0, 1.02)
    weight.set_title("Weight of the consistency losses, w(n)")
    weight.set_ylim(bottom=0)
    for axis in (share, weight):
        axis.set_xlabel("epoch")
    style.legend(made, handles)
    return made


@dataclass(frozen=True)
class Branch:
    """A finished run with a sound-activity branch."""

    record: Record
    held_out: HeldOut
    decoding: Decoding
    classes: list[str]
    counted: list[int]
    low: int
    states: tuple[str, ...]

    def state(self, active: np.ndarray) -> np.ndarray:
        """(…, class) → (…): the state in which these classes are active."""
        number = (active[..., self.counted] > 0.5).sum(-1)
        return np.clip(number - self.low, 0, len(self.states) - 1)


def _branch(material: Material) -> Branch:
    """The last finished headline row that has the branch."""
    headline = material.paper.headline
    places = {row: place for place, row in enumerate(headline)}
    for record in sorted(material.done, key=lambda r: -places.get(r.run.row, -1)):
        meant = plan(material.project, record.run, settings_models()[material.name])
        sod = getattr(meant.settings, "sod", None)
        if sod is not None and sod.use and meant.kind == "train":
            counted = [k for k, name in enumerate(meant.classes) if name not in sod.exclude]
            held_out = next(held_out for held_out in meant.held_out if held_out.reports)
            return Branch(
                record,
                held_out,
                meant.settings.decoding,
                meant.classes,
                counted,
                sod.low,
                STATES[sod.states],
            )
    raise MissingError("no finished run has a sound-activity branch")


def activity_confusion(material: Material) -> Figure:
    """Shares of the true states' frames, per model; the number of frames in brackets."""
    branch = _branch(material)
    found = _confusions(material, branch)
    if not found:
        raise MissingError(f"{branch.record.run.row} left no activity scores")
    made, axes = style.grid(len(found), 2, width=4.2 * len(found), height=3.3)
    for axis, (model, counts) in zip(axes, found.items(), strict=True):
        share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
        axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for (true, said), value in np.ndenumerate(share):
            colour = "white" if value > 0.6 else style.INK
            axis.text(said, true, f"{value:.0%}", ha="center", va="center", color=colour)
        names = [f"{name}\n({n:,})" for name, n in zip(branch.states, counts.sum(1), strict=True)]
        axis.set_xticks(range(len(branch.states)), branch.states)
        axis.set_yticks(range(len(branch.states)), names)
        axis.grid(False)
        axis.set_xlabel("said")
        axis.set_ylabel("true (frames)")
        right = np.trace(counts) / max(1, counts.sum())
        axis.set_title(f"{readable(model).capitalize()}: {right:.0%} of frames right")
    return made


def _confusions(material: Material, branch: Branch) -> dict[str, np.ndarray]:
    """Per model (true state, said state) frames of the first reported set, padding left out."""
    from ... import tables  # pandas: only for those who draw this

    found = {}
    states = len(branch.states)
    path = material.layout.table(branch.held_out.subset, "events")
    with h5py.File(branch.record.file("scores.h5"), "r", locking=False) as file:
        group, hop = file[branch.held_out.name], float(file.attrs["hop"])
        clips = [name.decode() for name in group["clips"][:]]
        inside = np.ceil(group["seconds"][:] / hop)
        for model in ("student", "teacher"):
            if f"{model}/sod" not in group:
                continue
            said = group[f"{model}/sod"][:].argmax(-1)
            events = tables.read_events(path, branch.classes)
            truth = tables.frame_targets(events, clips, branch.classes, said.shape[1], hop)
            sound = np.arange(said.shape[1]) < inside[:, None]
            pairs = states * branch.state(truth)[sound] + said[sound]
            found[model] = np.bincount(pairs, minlength=states**2).reshape(states, states)
    return found


def activity_timelines(material: Material) -> Figure:
    """Per clip: spectrum, activity as it is and as it is said, events before and after."""
    from ... import tables  # pandas: only for those who draw this

    branch = _branch(material)
    with h5py.File(branch.record.file("examples.h5"), "r", locking=False) as file:
        wanted = ("input", "student", "student_sod", "student_with_sod")
        clips = {
            clip: {name: file[clip][name][:].astype(np.float32) for name in wanted}
            for clip in sorted(shown_clips(file, material.project.report.examples))
            if all(name in file[clip] for name in wanted)
        }
        hop = float(file.attrs["hop"]) if clips else 0.0
    if not clips:
        raise MissingError(f"{branch.record.run.row} left no example clips")
    events = tables.read_events(material.layout.table(branch.held_out.subset, "events"))
    made = style.figure(9.5, 4.2 * min(SHOWN, len(clips)) + 0.4)
    blocks = made.subfigures(min(SHOWN, len(clips)), 1, squeeze=False)[:, 0]
    drawn: set[str] = set()
    for block, (clip, maps) in zip(blocks, clips.items(), strict=False):
        mine = events[(events["clip"] == clip) & events["onset"].notna()]
        truth = list(zip(mine["label"], mine["onset"], mine["offset"], strict=True))
        drawn |= _clip(block, branch, clip, maps, truth, hop)
    colours = class_colours(branch.classes)
    patches = [Patch(color=colours[name], label=readable(name)) for name in sorted(drawn)]
    if patches:
        made.legend(handles=patches, loc="outside lower center", ncols=5)
    return made


Event = tuple[str, float, float]


def _clip(
    block: SubFigure,
    branch: Branch,
    clip: str,
    maps: dict[str, np.ndarray],
    truth: list[Event],
    hop: float,
) -> set[str]:
    span = hop * len(maps["student"])
    spectrum, track, lanes = block.subplots(3, 1, sharex=True, height_ratios=[1.5, 0.9, 2.0])
    spectrum.imshow(
        decibels(maps["input"]),
        origin="lower",
        aspect="auto",
        cmap="Greys",
        vmin=-60,
        vmax=0,
        extent=(0, span, 0, 1),
    )
    spectrum.set_yticks([])
    spectrum.grid(False)
    spectrum.set_title(clip, fontsize=8.5)
    targets = np.zeros_like(maps["student"])
    for name, onset, offset in truth:
        first, last = int(onset / hop), math.ceil(offset / hop)
        targets[first:last, branch.classes.index(name)] = 1
    edges = hop * np.arange(len(targets) + 1)
    track.stairs(
        branch.state(targets), edges, fill=True, color=style.PALE, label="true", baseline=0
    )
    said = maps["student_sod"].argmax(-1)
    track.stairs(said, edges, color="#aa3377", linewidth=1.2, label="said", baseline=None)
    track.set_yticks(range(len(branch.states)), branch.states, fontsize=7.5)
    track.legend(loc="upper right", ncols=2, fontsize=7)
    before, after = (_detected(maps[name], branch, hop) for name in ("student", "student_with_sod"))
    _lanes(lanes, branch, {"truth": truth, "before": before, "after": after})
    lanes.set_xlim(0, span)
    lanes.set_xlabel("time (s)")
    return {name for name, _, _ in [*truth, *before, *after]}


def _detected(frames: np.ndarray, branch: Branch, hop: float) -> list[Event]:
    """The student's events from these scores, decoded as the row decodes."""
    filtered = median_filter(frames[None], branch.decoding.windows(branch.classes))
    found = detect(filtered, branch.decoding.threshold, hop=hop)
    return [
        (branch.classes[label], float(onset), float(offset))
        for label, onset, offset in zip(found.label, found.onset, found.offset, strict=True)
    ]


def _lanes(axis: Axes, branch: Branch, lanes: dict[str, list[Event]]) -> None:
    """A lane per source, in it a track per class that any of them has."""
    colours = class_colours(branch.classes)
    present = sorted({name for events in lanes.values() for name, _, _ in events})
    height = 0.84 / max(1, len(present))
    for place, events in enumerate(lanes.values()):
        for name, onset, offset in events:
            top = place - 0.42 + present.index(name) * height
            axis.broken_barh([(onset, offset - onset)], (top, 0.9 * height), color=colours[name])
    for place in range(1, len(lanes)):
        axis.axhline(place - 0.5, color=style.PALE, linewidth=0.8)
    axis.set_yticks(range(len(lanes)), list(lanes))
    axis.set_ylim(len(lanes) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)


def checkpoint_bars(material: Material) -> Figure:
    """A panel per set: bars of the last headline row, outlines of the published numbers."""
    row = material.paper.headline[-1]
    found: dict[str, dict[tuple[str, str], Cell]] = {}
    apart = False
    for table in material.tables:
        apart = apart or bool(table.whose.obstacle)
        cells = next((r.cells for r in table.rows if r.name == row), [])
        for printed, cell in zip(table.columns, cells, strict=bool(cells)):
            column = printed.column
            if column.implementation in OFFICIAL and column.metric in METRICS:
                key = column.metric, column.model
                found.setdefault(column.set, {}).setdefault(key, cell)
    if not any(c.ours and c.ours.finite for cells in found.values() for c in cells.values()):
        raise MissingError(f"no finished run of the row {row!r}")
    made, axes = style.grid(len(found), 2, height=3.4)
    handles: dict[str, BarContainer] = {}
    for axis, (set_name, drawn) in zip(axes, found.items(), strict=True):
        for place, cell in enumerate(drawn.values()):
            if cell.ours and cell.ours.finite:
                colour = material.colours[row]
                handles["ours"] = axis.bar(place - 0.2, cell.ours.mean, 0.38, color=colour)
                if cell.ours.low is not None and cell.ours.high is not None:
                    ends = [cell.ours.low, cell.ours.high]
                    axis.plot([place - 0.2] * 2, ends, color=style.INK, linewidth=0.8)
            if cell.published.value is not None:
                name = "released checkpoint" + (" (not comparable)" if apart else "")
                handles[name] = axis.bar(
                    place + 0.2,
                    cell.published.value,
                    0.36,
                    color="white",
                    edgecolor=style.INK,
                    linewidth=0.8,
                )
        names = [f"{METRICS[metric]}\n{model}" for metric, model in drawn]
        axis.set_xticks(range(len(drawn)), names, fontsize=7.5)
        axis.set_ylim(0, 1)
        axis.grid(axis="x", visible=False)
        axis.set_title(f"{material.label(row)}, {readable(set_name)}")
    style.legend(made, handles, 2)
    return made
