"""A few clips as figures and page show them: spectrum, truth, filtered scores, sound."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from ..metrics.decode import detect, median_filter
from ..settings import Layout, PaperSettings, Project, Subset, plan
from .records import Record, finite, read_rows

Event = tuple[str, float, float]
"""Class, onset and offset in seconds."""


@dataclass(frozen=True)
class Scored:
    """A row's frame scores by one of its models, median filtered as the row decodes."""

    row: str
    model: str
    threshold: float
    frames: dict[str, np.ndarray]
    """Per clip (frame, class)."""


@dataclass(frozen=True)
class Examples:
    """Example clips of one held-out set; `problem` says what is missing, empty when nothing is."""

    problem: str = ""
    subset: str = ""
    classes: list[str] = field(default_factory=list)
    hop: float = 0.0
    clips: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    span: dict[str, float] = field(default_factory=dict)
    """Seconds the spectrum covers: the network's input, padding included."""
    spectra: dict[str, np.ndarray] = field(default_factory=dict)
    """Decibels below the maximum, (mel, frame)."""
    truth: dict[str, list[Event]] = field(default_factory=dict)
    scored: list[Scored] = field(default_factory=list)
    paths: dict[str, str] = field(default_factory=dict)

    def detections(self, scored: Scored, clip: str) -> list[Event]:
        """The row's events of a clip at its own threshold."""
        frames = scored.frames[clip][None]
        found = detect(
            frames, scored.threshold, hop=self.hop, seconds=np.array([self.seconds[clip]])
        )
        return [
            (self.classes[label], float(onset), float(offset))
            for label, onset, offset in zip(found.label, found.onset, found.offset, strict=True)
        ]


def examples(project: Project, found: Sequence[Record], layout: Layout, models: dict) -> Examples:
    """The clips of the last headline row that has any, with the scores of every finished row.

    `models` are the papers' settings models; of several seeds or folds the first finished is shown.
    """
    first: dict[str, Record] = {}
    for record in found:
        if record.done:
            first.setdefault(record.run.row, record)
    if not first:
        return Examples("no run is finished")
    paper = found[0].run.paper
    headline = [row for row in reversed(project.papers[paper].headline) if row in first]
    for record in [first[row] for row in headline] + list(first.values()):
        shown = _shown(record)
        if shown is not None:
            break
    else:
        return Examples("no finished run left example clips")
    subset, clips, spectra = shown
    settings_model = models[paper]
    held = {h.name: h for h in plan(project, record.run, settings_model).held_out}
    if subset not in held:
        return Examples(f"the examples are of {subset!r}, which is no held-out set of {record.run}")
    where = held[subset].subset
    table = {row["clip"]: row for row in read_rows(Path(layout.table(where, "clips")), "\t")}
    scored, classes, hop = _all_scores(
        list(first.values()), project, settings_model, subset, clips, layout
    )
    front_end = project.front_ends.get(held[subset].inputs[0])
    span = front_end.seconds if front_end else 10.0
    seconds = {clip: finite(table.get(clip, {}).get("seconds")) or span for clip in clips}
    return Examples(
        subset=subset,
        classes=classes,
        hop=hop,
        clips=clips,
        seconds={clip: min(length, span) for clip, length in seconds.items()},
        span=dict.fromkeys(clips, span),
        spectra=spectra,
        truth=_truth(layout, where, clips),
        scored=scored,
        paths={clip: table[clip]["path"] for clip in clips if clip in table},
    )


def _shown(record: Record) -> tuple[str, list[str], dict[str, np.ndarray]] | None:
    """Set, ids and spectra of a run's example clips."""
    try:
        with h5py.File(record.file("examples.h5"), "r", locking=False) as file:
            spectra = {
                clip: decibels(group["input"][:])
                for clip, group in file.items()
                if "input" in group
            }
            return (str(file.attrs["set"]), list(file), spectra) if len(file) else None
    except (OSError, KeyError, RuntimeError):
        return None


def decibels(values: np.ndarray, reach: float = 70.0) -> np.ndarray | None:
    """Mel magnitudes as decibels below their maximum, no lower than -reach; None for waveforms."""
    if values.ndim != 2:
        return None
    level = 20 * np.log10(np.maximum(values.astype(np.float32), 1e-5))
    return np.maximum(level - level.max(), -reach)


def _all_scores(
    runs: Sequence[Record],
    project: Project,
    settings_model: type[PaperSettings],
    subset: str,
    clips: Sequence[str],
    layout: Layout,
) -> tuple[list[Scored], list[str], float]:
    scored: list[Scored] = []
    classes: list[str] = []
    hop = 0.0
    for record in runs:
        meant = plan(project, record.run, settings_model)
        path = record.file("scores.h5")
        if not path.is_file() and meant.source is not None:
            path = Path(layout.run(meant.source, "scores.h5"))
        try:
            with h5py.File(path, "r", locking=False) as file:
                classes, hop = json.loads(file.attrs["classes"]), float(file.attrs["hop"])
                windows = meant.settings.decoding.windows(classes)
                group = file[subset]
                place = {name.decode(): index for index, name in enumerate(group["clips"][:])}
                for model in [
                    m for m in group if isinstance(group[m], h5py.Group) and "@" not in m
                ]:
                    frames = {
                        clip: median_filter(group[model]["frame"][place[clip]][None], windows)[0]
                        for clip in clips
                        if clip in place
                    }
                    if len(frames) == len(clips):
                        threshold = meant.settings.decoding.threshold
                        scored.append(Scored(record.run.row, model, threshold, frames))
        except (OSError, KeyError, RuntimeError, ValueError):
            continue
    return scored, classes, hop


def _truth(layout: Layout, where: Subset, clips: Sequence[str]) -> dict[str, list[Event]]:
    truth: dict[str, list[Event]] = {clip: [] for clip in clips}
    for row in read_rows(Path(layout.table(where, "events")), "\t"):
        onset, offset = finite(row.get("onset")), finite(row.get("offset"))
        if row.get("clip") in truth and onset is not None and offset is not None:
            truth[row["clip"]].append((row["label"], onset, offset))
    return {clip: sorted(events, key=lambda e: e[1:]) for clip, events in truth.items()}


def ogg(path: str | Path, seconds: float, sample_rate: int = 16000) -> bytes | None:
    """The clip as Ogg Vorbis, or None if its file cannot be had."""
    import soundfile

    from .. import audio
    from ..errors import SedreproError

    if not Path(path).is_file():
        return None
    try:
        samples = audio.read(path, sample_rate)[: round(seconds * sample_rate)]
        buffer = io.BytesIO()
        with soundfile.SoundFile(
            buffer, "w", sample_rate, 1, format="OGG", subtype="VORBIS"
        ) as out:
            # The encoder overflows its stack on long blocks.
            for start in range(0, len(samples), 16384):
                out.write(samples[start : start + 16384])
        return buffer.getvalue()
    except (SedreproError, soundfile.SoundFileError):
        return None
