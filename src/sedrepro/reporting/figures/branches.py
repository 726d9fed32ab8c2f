"""What two branches see of a clip: adapters' outputs on the token grid, maps of a CNN."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import h5py
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle

from ..colours import readable
from ..examples import Event, Examples
from ..records import Record
from . import style
from .classes import class_bars
from .material import Material, MissingError

CLIPS = 2
LONG_FROM = 0.3  # of the clip: events from here on count as long, all others as short
RED = "#d62728"
MAP = "viridis"


def adapters(material: Material) -> Figure:
    """Spectrogram over what the long- and the short-term branch add, long and short events boxed.

    Of each token the mean magnitude over its channels; every panel has its own scale.
    """
    record = _first(material, ("long", "short"))
    shown = material.examples
    clips = _telling(shown, record)
    made = style.figure(5.2 * len(clips), 6.4)
    axes = made.subplots(3, len(clips), squeeze=False, sharex="col")
    for column, clip in enumerate(clips):
        seconds, span = shown.seconds[clip], shown.span[clip]
        long, short = _kinds(shown.truth[clip], seconds)
        _spectrum(axes[0][column], shown, clip)
        _boxes(axes[0][column], [*long, *short], named=True)
        for axis, name, events in (
            (axes[1][column], "long", long),
            (axes[2][column], "short", short),
        ):
            drawn = _map(axis, record, clip, name, span)
            made.colorbar(drawn, ax=axis, pad=0.01, aspect=12)
            _boxes(axis, events)
            axis.set_title(f"{name}-term branch")
        axes[2][column].set_xlabel("time (s)")
    axes[1][0].set_ylabel("frequency patch")
    axes[2][0].set_ylabel("frequency patch")
    made.suptitle(
        f"{material.label(record.run.row)}, last block: boxes are true events "
        "(long ones in the middle, short ones below)",
        fontsize=9,
        x=0.01,
        ha="left",
    )
    return made


def aggregation(material: Material) -> Figure:
    """Spectrogram, the map at one CNN block without tokens, and the same with tokens joined in."""
    joined = _first(material, ("cnn_map",), lambda r: bool(_setting(r, "dbmf", "use")))
    alone = _first(material, ("cnn_map",), lambda r: not _setting(r, "dbmf", "use"))
    shown = material.examples
    clips = [clip for clip in _telling(shown, joined) if _has(alone, clip, "cnn_map")]
    if not clips:
        raise MissingError("a row without fusion and one with it have no example clip in common")
    made = style.figure(5.2 * len(clips), 6.4)
    axes = made.subplots(3, len(clips), squeeze=False, sharex="col")
    for column, clip in enumerate(clips):
        span = shown.span[clip]
        _spectrum(axes[0][column], shown, clip)
        for axis, record in ((axes[1][column], alone), (axes[2][column], joined)):
            drawn = _map(axis, record, clip, "cnn_map", span)
            made.colorbar(drawn, ax=axis, pad=0.01, aspect=12)
            block = _setting(record, "shown_block")
            axis.set_title(f"{material.label(record.run.row)}, CNN block {block}")
        axes[2][column].set_xlabel("time (s)")
    axes[1][0].set_ylabel("frequency bin")
    axes[2][0].set_ylabel("frequency bin")
    made.suptitle(
        "Map of one CNN block (counted from 0), mean over its channels",
        fontsize=9,
        x=0.01,
        ha="left",
    )
    return made


def segment_bars(material: Material) -> Figure:
    """Partial AUC of every scored class of MAESTRO Real."""
    return class_bars(material, "maestro")


def _setting(record: Record, *names: str) -> object:
    value: object = record.block("settings")
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _has(record: Record, clip: str, name: str) -> bool:
    try:
        with h5py.File(record.file("examples.h5"), "r", locking=False) as file:
            return clip in file and name in file[clip]
    except OSError:
        return False


def _first(
    material: Material, maps: Sequence[str], fits: Callable[[Record], bool] = lambda _: True
) -> Record:
    """A finished run whose examples have these maps, of the headline's last row if it has."""
    order = {row: place for place, row in enumerate(reversed(material.paper.headline))}
    for record in sorted(material.done, key=lambda r: order.get(r.run.row, len(order))):
        clips = material.examples.clips
        if fits(record) and clips and all(_has(record, clips[0], name) for name in maps):
            return record
    raise MissingError(f"no finished run left maps of {' and '.join(map(readable, maps))}")


def _kinds(events: list[Event], seconds: float) -> tuple[list[Event], list[Event]]:
    """The long and the short events of a clip."""
    long = [event for event in events if event[2] - event[1] >= LONG_FROM * seconds]
    return long, [event for event in events if event not in long]


def _telling(shown: Examples, record: Record) -> list[str]:
    """The clips that show most: events of both kinds, else a long one; then many short ones."""

    def rank(clip: str) -> tuple[bool, bool, int]:
        long, short = _kinds(shown.truth[clip], shown.seconds[clip])
        return (bool(long and short), bool(long), len(short))

    clips = [clip for clip in shown.clips if _has(record, clip, "cnn_map")]
    if not clips:
        raise MissingError("no finished run left example clips")
    return sorted(clips, key=rank, reverse=True)[:CLIPS]


def _spectrum(axis: Axes, shown: Examples, clip: str) -> None:
    axis.set_title(clip, fontsize=8.5)
    axis.grid(False)
    axis.set_yticks([])
    axis.set_ylabel("mel band")
    values = shown.spectra.get(clip)
    if values is not None:
        axis.imshow(
            values,
            origin="lower",
            aspect="auto",
            cmap=MAP,
            vmin=-60,
            vmax=0,
            extent=(0, shown.span[clip], 0, len(values)),
        )
        axis.set_ylim(0, len(values))


def _map(axis: Axes, record: Record, clip: str, name: str, span: float) -> AxesImage:
    """A map (band, step) over the clip's time."""
    with h5py.File(record.file("examples.h5"), "r", locking=False) as file:
        values = np.asarray(file[clip][name][:], dtype=float)
    axis.grid(False)
    drawn = axis.imshow(
        values,
        origin="lower",
        aspect="auto",
        cmap=MAP,
        extent=(0, span, 0, len(values)),
        interpolation="nearest",
    )
    axis.set_ylim(0, len(values))
    return drawn


def _boxes(axis: Axes, events: list[Event], *, named: bool = False) -> None:
    low, high = axis.get_ylim()
    height = high - low
    for place, (name, onset, offset) in enumerate(events):
        corner, size = (onset, low + 0.02 * height), (offset - onset, 0.96 * height)
        axis.add_patch(Rectangle(corner, *size, fill=False, edgecolor=RED, linewidth=1.6))
        if named:  # one below the other: boxes may overlap
            look: dict[str, Any] = {"color": "white", "fontsize": 7, "va": "top", "clip_on": True}
            axis.text(onset + 0.04, high - (0.06 + 0.1 * place) * height, readable(name), **look)
