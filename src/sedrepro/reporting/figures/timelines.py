"""Clips on a time axis: spectrogram, scores of the last headline row, truth and detections."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch

from ..colours import class_colours, readable
from ..examples import Event, Examples, Scored
from . import style
from .material import MODELS, Material, MissingError

INK_ON_PAPER = LinearSegmentedColormap.from_list(
    "ink", ["#ffffff", "#9fb3c4", "#3d5a73", "#101d2b"]
)
SHOWN = 4


def timelines(material: Material) -> Figure:
    """A block per clip, two blocks beside each other."""
    shown = material.examples
    if shown.problem:
        raise MissingError(shown.problem)
    if not shown.scored:
        raise MissingError("no finished run left scores of the example clips")
    rows = [row for row in material.paper.table if any(s.row == row for s in shown.scored)]
    if len(rows) > 3:
        rows = [row for row in rows if row in material.paper.headline] or rows[:3]
    clips = _spread(shown, rows)
    lines = (len(clips) + 1) // 2
    made = style.figure(11, (2.7 + 0.45 * len(rows)) * lines + 0.3)
    blocks = made.subfigures(lines, min(2, len(clips)), squeeze=False).ravel()
    drawn: set[str] = set()
    for block, clip in zip(blocks, clips, strict=False):
        drawn |= _block(block, material, shown, clip, rows)
    colours = class_colours(shown.classes)
    patches = [
        Patch(color=colours[name], label=readable(name)) for name in colours if name in drawn
    ]
    if patches:
        made.legend(handles=patches, loc="outside lower center", ncols=6)
    return made


def _spread(shown: Examples, rows: list[str]) -> list[str]:
    """The clips to draw, each condition's set in turn."""
    sets: dict[str, list[str]] = {}
    for clip in shown.clips:
        if any(scored.row in rows and clip in scored.frames for scored in shown.scored):
            sets.setdefault(clip.rpartition("/")[0], []).append(clip)
    if not sets:
        raise MissingError("no finished run left scores of the example clips")
    turns = zip_longest(*sets.values())
    return [clip for turn in turns for clip in turn if clip is not None][:SHOWN]


def _block(
    block: SubFigure, material: Material, shown: Examples, clip: str, rows: list[str]
) -> set[str]:
    chosen = {row: scored for row in rows if (scored := _scored(material, shown, row, clip))}
    lanes = 1 + len(chosen)
    spectrum, scores, events = block.subplots(
        3, 1, sharex=True, height_ratios=[2.2, 1.5, 0.75 * lanes]
    )
    span = shown.seconds[clip]
    detected = {row: shown.detections(scored, clip) for row, scored in chosen.items()}
    lead = chosen[list(chosen)[-1]]
    present = {event[0] for event in [*shown.truth[clip], *detected[lead.row]]}
    _spectrum(spectrum, material, shown, clip, lead)
    drawn_models = _scores(scores, shown, clip, lead, present)
    lines = ", ".join(
        f"{readable(model)} {look}"
        for model, look in zip(drawn_models, ("solid", "dashed"), strict=False)
    )
    scores.set_title(
        f"scores of {material.label(lead.row)}: {lines}", fontsize=7, fontweight="normal", pad=3
    )
    rest = [(material.label(row), detected[row]) for row in chosen]
    drawn = _lanes(events, shown, [("Truth", shown.truth[clip]), *rest], span)
    spectrum.set_xlim(0, span)
    events.set_xlabel("time (s)")
    return drawn


def _scored(material: Material, shown: Examples, row: str, clip: str) -> Scored | None:
    """What a row makes of a clip by its headline model, under the first condition that has it."""
    able = [s for s in shown.scored if s.row == row and clip in s.frames]
    order = list(material.paper.conditions)
    rank = {model: place for place, model in enumerate(MODELS)}
    able.sort(key=lambda s: (order.index(s.condition), rank.get(s.model, len(rank))))
    return able[0] if able else None


def _spectrum(axis: Axes, material: Material, shown: Examples, clip: str, lead: Scored) -> None:
    title = clip if "/" in clip else material.titled(clip, lead.condition)
    axis.set_title(title, fontsize=8.5)
    axis.set_yticks([])
    axis.grid(False)
    values = shown.spectra.get(clip)
    if values is None:
        axis.text(0.5, 0.5, "no spectrum stored", transform=axis.transAxes, ha="center", fontsize=8)
        return
    axis.imshow(
        values,
        origin="lower",
        aspect="auto",
        cmap=INK_ON_PAPER,
        vmin=-60,
        vmax=0,
        extent=(0, shown.span[clip], 0, 1),
        interpolation="antialiased",
    )


def _scores(axis: Axes, shown: Examples, clip: str, lead: Scored, present: set[str]) -> list[str]:
    """Score curves of the classes that matter in this clip, of at most two models; their names."""
    colours = class_colours(shown.classes)
    same = [s for s in shown.scored if (s.row, s.condition) == (lead.row, lead.condition)]
    models = [lead, *(s for s in same if s is not lead and clip in s.frames)][:2]
    for scored, dash in zip(models, ("-", (0, (2, 1.5))), strict=False):
        frames = scored.frames[clip]
        for index, name in enumerate(shown.classes):
            if name in present:
                edges = [shown.hop * k for k in range(len(frames) + 1)]
                axis.stairs(
                    frames[:, index],
                    edges,
                    baseline=None,
                    color=colours[name],
                    linewidth=1.1,
                    linestyle=dash,
                )
        axis.axhline(scored.threshold, color=style.INK, linewidth=0.6, linestyle=(0, (1, 2)))
    axis.set_ylim(0, 1.02)
    axis.set_yticks([0, 0.5, 1])
    return [scored.model for scored in models]


def _lanes(
    axis: Axes, shown: Examples, lanes: list[tuple[str, list[Event]]], span: float
) -> set[str]:
    """One lane of bars per source, overlapping events on tracks of their own; the classes drawn."""
    colours = class_colours(shown.classes)
    for place, (_, events) in enumerate(lanes):
        tracks = _tracks(events)
        height = 0.8 / max(1, len(tracks))
        for track, members in enumerate(tracks):
            for name, onset, offset in members:
                top = place - 0.4 + track * height
                axis.broken_barh(
                    [(onset, offset - onset)],
                    (top, height * 0.92),
                    color=colours.get(name, style.PALE),
                )
                if offset - onset > span * (0.012 + 0.0115 * len(name)) and height > 0.36:
                    look: dict[str, Any] = {
                        "va": "center",
                        "fontsize": 6.5,
                        "color": "white",
                        "clip_on": True,
                        "zorder": 5,
                    }
                    axis.text(onset + 0.06, top + height * 0.48, readable(name), **look)
    axis.set_yticks(range(len(lanes)), [name for name, _ in lanes], fontsize=8)
    axis.set_ylim(len(lanes) - 0.5, -0.5)
    axis.grid(axis="y", visible=False)
    axis.tick_params(axis="y", length=0)
    axis.spines["left"].set_visible(False)
    return {name for _, events in lanes for name, _, _ in events}


def _tracks(events: list[Event]) -> list[list[Event]]:
    """Events spread over as few tracks as keep them apart."""
    tracks: list[list[Event]] = []
    for event in sorted(events, key=lambda e: e[1:]):
        for track in tracks:
            if track[-1][2] <= event[1]:
                track.append(event)
                break
        else:
            tracks.append([event])
    return tracks
