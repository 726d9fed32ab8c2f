"""What others released of their system, read and checked: detections by threshold, or scores."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median_low

import numpy as np
import pandas as pd

from .. import tables
from ..clips import Clip, read_clips
from ..errors import SedreproError
from ..metrics.events import Events
from ..settings import HeldOut, Layout, Plan
from ..sources.desed import clip_of, read_table
from .measures import Scored, Truth
from .run import expected
from .sed import Detections
from .units import units

MODEL = "external"
"""What the model of somebody else's system is called in metrics.json."""
TOLERANCE = 1e-3
"""Seconds by which times in score files may be rounded."""
SHORT = 0.5
"""Seconds by which scores may end before their clip: a last frame that was not whole."""
TABLES = (".tsv", ".csv")


@dataclass(frozen=True)
class Known:
    """The truth of a set. All of its clips count: others' systems decode those without events."""

    truth: Truth
    source: str
    """The table that lists the clips."""


def known(
    held_out: HeldOut,
    plan: Plan,
    layout: Layout,
    truth: Path | None = None,
    durations: Path | None = None,
) -> Known:
    """The set's own tables, or DESED's: `truth` with the events, `durations` with every clip.

    Units are those of the set, so that differences to our own runs have intervals.
    """
    listed: dict[str, Clip] = {}
    if truth is None or durations is None:
        whole, source = _of_tables(held_out, plan.classes, layout)
        listed = {clip.name: clip for clip in read_clips(source)}
    else:
        whole, source = _of_files(truth, durations, plan.classes), str(durations)
    whole = replace(whole, units=units(held_out, whole.clips, listed), unit=held_out.unit)
    if not whole.events["onset"].notna().any():
        raise SedreproError(f"{source}: none of its clips has an event: nothing can be measured")
    return Known(whole, source)


def _of_tables(held_out: HeldOut, classes: list[str], layout: Layout) -> tuple[Truth, str]:
    path = layout.table(held_out.subset, "clips")
    instead = "--truth and --durations give the tables that this machine lacks"
    if not Path(path).exists():
        raise SedreproError(f"{path}: not made yet; `snakemake data` makes it, or {instead}")
    clips = tables.read_clip_table(path)
    clips = clips[clips["fold"].map(held_out.subset.holds)]
    if clips.empty:
        raise SedreproError(f"{path}: no clip of set {held_out.name!r} is here; {instead}")
    events = tables.read_events(layout.table(held_out.subset, "events"), classes)
    whole = Truth(
        clips=clips["clip"].tolist(),
        seconds=clips["seconds"].to_numpy(dtype=float),
        classes=classes,
        events=events[events["clip"].isin(clips["clip"])],
        n_expected=expected(held_out.subset, layout),
    )
    return whole, path


def _of_files(truth: Path, durations: Path, classes: list[str]) -> Truth:
    table, events = read_table(truth, "strong", classes)
    lengths = tables.read(durations, ["filename", "duration"])
    lengths["clip"] = lengths["filename"].map(clip_of)
    lengths["duration"] = tables.numbers(durations, lengths, "duration")
    for row, (clip, twice, seconds) in enumerate(
        zip(lengths["clip"], lengths["clip"].duplicated(), lengths["duration"], strict=True), 2
    ):
        if twice:
            raise SedreproError(f"{durations}: row {row}: clip {clip!r} is listed twice")
        if not (seconds > 0 and np.isfinite(seconds)):
            raise SedreproError(f"{durations}: row {row}: a clip cannot last {seconds} s")
    seconds_of = dict(zip(lengths["clip"], lengths["duration"], strict=True))
    _refuse_strangers(truth, table["clip"], seconds_of, durations)
    # In the order of the events' table, as the set's own tables are: resamples are of the same
    # clips then, so that differences to other runs have intervals.
    clips = list(dict.fromkeys([*table["clip"], *seconds_of]))
    return Truth(
        clips=clips,
        seconds=np.array([seconds_of[clip] for clip in clips]),
        classes=classes,
        events=events,
        n_expected=len(clips),
    )


def _refuse_strangers(
    path: Path, clips: pd.Series, among: dict[str, float] | set[str], source: str | Path
) -> None:
    unknown = ~clips.isin(list(among))
    if unknown.any():
        row = int(np.flatnonzero(unknown)[0])
        raise SedreproError(
            f"{path}: row {clips.index[row] + 2}: clip {clips.iloc[row]!r} is not one of the "
            f"{len(among)} clips of {source}"
        )


# Detections


def detections(
    folder: Path, known: Known, threshold: float, at: tuple[float, Path] | None = None
) -> Detections:
    """One table per operating point; `at` is what was detected at the threshold of F1 scores.

    Clips without a detection are silent. Without detections at that threshold there is no F1.
    """
    files = operating_points(folder)
    points = {point: _events(path, known) for point, path in files.items()}
    detected = points.get(threshold)
    if at is not None:
        if at[0] != threshold:
            raise SedreproError(f"{at[1]}: F1 scores are at threshold {threshold:g}, not {at[0]:g}")
        detected = _events(at[1], known)
    return Detections.of(points.values(), detected)


def operating_points(folder: Path) -> dict[float, Path]:
    """The tables of a folder by threshold, in its order: the last number in each one's name."""
    found: dict[float, Path] = {}
    for path in tables_in(folder):
        numbers = re.findall(r"\d*\.?\d+", path.stem)
        if not numbers:
            raise SedreproError(f"{path}: its name has no threshold; `predictions_th_0.01.tsv` has")
        threshold = float(numbers[-1])
        if not 0 <= threshold <= 1:
            raise SedreproError(f"{path}: {numbers[-1]} is no threshold: they lie between 0 and 1")
        if threshold in found:
            raise SedreproError(
                f"{path}: is of threshold {threshold:g}, and so is {found[threshold].name}"
            )
        found[threshold] = path
    return dict(sorted(found.items()))


def tables_in(folder: Path) -> list[Path]:
    """The TSV and CSV files of a folder, not of its subfolders."""
    if not folder.is_dir():
        raise SedreproError(f"{folder}: no such folder")
    found = sorted(path for path in folder.iterdir() if path.suffix in TABLES)
    if not found:
        raise SedreproError(f"{folder}: holds no tables ({' or '.join(TABLES)})")
    return found


def _events(path: Path, known: Known) -> Events:
    """The detections of one table, in its order, in clips that are measured on."""
    table, events = read_table(path, "strong", known.truth.classes)
    _refuse_strangers(path, table["clip"], set(known.truth.clips), known.source)
    truth = known.truth
    events = events[events["clip"].isin(truth.clips)]
    _refuse_overlaps(path, events)
    row = {clip: index for index, clip in enumerate(truth.clips)}
    column = {label: index for index, label in enumerate(truth.classes)}
    return Events(
        events["clip"].map(row).to_numpy(dtype=int),
        events["label"].map(column).to_numpy(dtype=int),
        events["onset"].to_numpy(),
        events["offset"].to_numpy(),
    )


def _refuse_overlaps(path: Path, events: pd.DataFrame) -> None:
    """Of one class in one clip, as psds_eval does; events may touch."""
    ordered = events.sort_values(["clip", "label", "onset", "offset"], kind="stable")
    before = ordered.shift()
    same = (ordered["clip"] == before["clip"]) & (ordered["label"] == before["label"])
    wrong = ordered[same & (ordered["onset"] < before["offset"])]
    if len(wrong):
        event = wrong.iloc[0]
        raise SedreproError(
            f"{path}: row {wrong.index[0] + 2}: overlaps another {event['label']!r} of clip "
            f"{event['clip']!r}; events of one class must not"
        )


# Scores


def scores(folder: Path, known: Known, set: str) -> Scored:
    """A table of frames per clip, as sed_scores_eval writes them: onset, offset, the classes."""
    whole, counted = known.truth, known.truth.clips
    files = {clip_of(path.stem): path for path in tables_in(folder)}
    for clip, path in files.items():
        if clip not in whole.clips:
            raise SedreproError(
                f"{path}: {clip!r} is not one of the {len(whole.clips)} clips of {known.source}"
            )
    if missing := [clip for clip in counted if clip not in files]:
        raise SedreproError(
            f"{folder}: {len(missing)} of {len(counted)} clips have no scores: {missing[0]!r}, …"
        )
    found = [_frames(files[clip], whole.classes) for clip in counted]
    hop = median_low(frames.hop for frames in found)
    for frames, seconds in zip(found, known.truth.seconds, strict=True):
        frames.check(hop, seconds)
    longest = max(len(frames.scores) for frames in found)
    joined = np.zeros((len(found), longest, len(whole.classes)), dtype=np.float32)
    for row, frames in zip(joined, found, strict=True):
        row[: len(frames.scores)] = frames.scores
    return Scored(set, MODEL, hop, {"frame": joined})


@dataclass(frozen=True)
class _Frames:
    """One clip's scores (frame, class), when each begins, and when the last ends."""

    path: Path
    onsets: np.ndarray
    end: float
    scores: np.ndarray

    @property
    def hop(self) -> float:
        """Seconds per frame: where the first ends (the last may be cut)."""
        return float(self.onsets[1]) if len(self.onsets) > 1 else self.end

    def check(self, hop: float, seconds: float) -> None:
        """Refuse frames of other lengths than `hop`, and scores of less than the clip."""
        off = np.abs(self.onsets - np.arange(len(self.onsets)) * hop) > TOLERANCE
        if off.any():
            row = int(np.flatnonzero(off)[0])
            raise SedreproError(
                f"{self.path}: row {row + 2}: begins at {self.onsets[row]:g} s, not at "
                f"{row * hop:g}: all frames must be {hop:g} s long"
            )
        if self.end - self.onsets[-1] > hop + TOLERANCE:
            raise SedreproError(
                f"{self.path}: the last frame is {self.end - self.onsets[-1]:g} s long, not {hop:g}"
            )
        if self.end < seconds - max(SHORT, hop):
            raise SedreproError(
                f"{self.path}: scores end at {self.end:g} s, the clip lasts {seconds:g} s"
            )


def _frames(path: Path, classes: Sequence[str]) -> _Frames:
    table = tables.read(path, ["onset", "offset", *classes])
    for column in table.columns:
        if column not in ("onset", "offset", *classes):
            raise SedreproError(
                f"{path}: column {column!r} is not a class; classes are {', '.join(classes)}"
            )
    if table.empty:
        raise SedreproError(f"{path}: has no frames")
    values = np.stack([tables.numbers(path, table, column) for column in classes], axis=-1)
    wrong = ~((values >= 0) & (values <= 1))
    if wrong.any():
        row, label = np.argwhere(wrong)[0]
        raise SedreproError(
            f"{path}: row {row + 2}: the score of {classes[label]!r} must lie between 0 and 1, "
            f"not {values[row, label]:g}"
        )
    onsets, offsets = (
        tables.numbers(path, table, column).to_numpy() for column in ("onset", "offset")
    )
    wrong = ~((onsets >= 0) & (offsets > onsets) & np.isfinite(offsets))
    wrong[1:] |= np.abs(onsets[1:] - offsets[:-1]) > TOLERANCE
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise SedreproError(
            f"{path}: row {row + 2}: a frame from {onsets[row]:g} to {offsets[row]:g} s does not "
            "follow the one before"
        )
    return _Frames(path, onsets, float(offsets[-1]), values)
