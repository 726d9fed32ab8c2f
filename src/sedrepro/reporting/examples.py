"""A few clips as figures and page show them: spectrum, truth, filtered scores, sound."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from ..clips import Clip
from ..metrics.decode import detect, gated, median_filter
from ..settings import HeldOut, Layout, PaperSettings, Project, Subset, plan
from ..settings.blocks import Decoding
from .records import Record, clips_by_name, finite, read_rows

Event = tuple[str, float, float]
"""Class, onset and offset in seconds."""


@dataclass(frozen=True)
class Scored:
    """A row's frame scores by one of its models, median filtered as the row decodes."""

    row: str
    condition: str
    model: str
    threshold: float
    frames: dict[str, np.ndarray]
    """Per clip it scored (frame, class)."""


@dataclass
class Examples:
    """Example clips of held-out sets; `problem` says what is missing, empty when nothing is.

    Clips go by their id, where conditions have different sets by `<subset of the corpus>/<id>`.
    """

    problem: str = ""
    set: str = ""
    classes: list[str] = field(default_factory=list)
    hop: float = 0.0
    clips: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    span: dict[str, float] = field(default_factory=dict)
    """Seconds the spectrum covers: the network's input, padding included."""
    spectra: dict[str, np.ndarray | None] = field(default_factory=dict)
    """Decibels below the maximum, (mel, frame); None of inputs that are no spectra."""
    truth: dict[str, list[Event]] = field(default_factory=dict)
    scored: list[Scored] = field(default_factory=list)
    files: dict[str, Clip] = field(default_factory=dict)
    """Clips whose sound or picture may be had."""

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


@dataclass(frozen=True)
class _Shown:
    """The example clips a run left, and the set they are of."""

    record: Record
    held_out: HeldOut
    spectra: dict[str, np.ndarray | None]


def examples(project: Project, found: Sequence[Record], layout: Layout, models: dict) -> Examples:
    """Clips of every condition, with the scores of every finished row.

    `models` are the papers' settings models; of several seeds or folds one is shown.
    """
    if not any(record.done for record in found):
        return Examples("no run is finished")
    paper = found[0].run.paper
    shown, problem = _per_set(project, found, models[paper])
    if not shown:
        return Examples(problem or "no finished run left example clips")
    made = Examples(set=shown[0].held_out.name)
    several = len(shown) > 1
    share = math.ceil(project.report.examples / len(shown)) if several else None
    keys: dict[tuple[Subset, str], str] = {}
    for one in shown:
        where = one.held_out.subset
        kept = list(one.spectra)[:share]
        keys |= {(where, clip): f"{where.name}/{clip}" if several else clip for clip in kept}
        _describe(made, project, layout, one, {clip: keys[where, clip] for clip in kept})
    _score(made, project, found, layout, models[paper], keys, shown)
    return made


def _per_set(
    project: Project, found: Sequence[Record], model: type[PaperSettings]
) -> tuple[list[_Shown], str]:
    """Per held-out set that has any the clips of one run, of the last headline row if it can be."""
    spec = project.papers[found[0].run.paper]
    rank = {row: place for place, row in enumerate(spec.headline)}
    sets: dict[Subset, _Shown] = {}
    problem = ""
    for record in sorted(found, key=lambda r: -rank.get(r.run.row, -1)):
        left = _left(record, project.report.examples) if record.done else None
        if left is None:
            continue
        name, spectra = left
        held_out = {h.name: h for h in plan(project, record.run, model).held_out}.get(name)
        if held_out is None:
            problem = f"the examples are of {name!r}, which is no held-out set of {record.run}"
        else:
            sets.setdefault(held_out.subset, _Shown(record, held_out, spectra))
    # Folds cut one set in different ways: one cut is enough.
    first: dict[tuple[str, str], _Shown] = {}
    for subset, one in sets.items():
        first.setdefault((subset.corpus, subset.name), one)
    order = {condition: place for place, condition in enumerate(spec.conditions)}
    return sorted(first.values(), key=lambda one: order[one.record.run.condition]), problem


def shown_clips(file: h5py.File, count: int) -> list[str]:
    """The first of the clips a run left in examples.h5, in the order in which they were chosen."""
    return json.loads(file.attrs.get("order", "[]"))[:count]


def _left(record: Record, count: int) -> tuple[str, dict[str, np.ndarray | None]] | None:
    """Set, ids and spectra of a run's example clips."""
    try:
        with h5py.File(record.file("examples.h5"), "r", locking=False) as file:
            spectra = {
                clip: decibels(file[clip]["input"][:]) if "input" in file[clip] else None
                for clip in sorted(shown_clips(file, count))
            }
            return (str(file.attrs["set"]), spectra) if spectra else None
    except (OSError, KeyError, RuntimeError):
        return None


def _describe(
    made: Examples, project: Project, layout: Layout, one: _Shown, names: dict[str, str]
) -> None:
    """Lengths, truth, files and spectra of the clips, under their names on the page."""
    where = one.held_out.subset
    listed = clips_by_name(layout.table(where, "clips"))
    front_end = project.front_ends.get(one.held_out.inputs[0])
    span = front_end.seconds if front_end else 10.0
    truth = _truth(layout, where, list(names))
    for clip, name in names.items():
        found = listed.get(clip)
        made.clips.append(name)
        made.seconds[name] = min(found.seconds, span) if found else span
        made.span[name] = span
        made.spectra[name] = one.spectra[clip]
        made.truth[name] = truth[clip]
        if found and found.file:
            made.files[name] = found


def _score(
    made: Examples,
    project: Project,
    found: Sequence[Record],
    layout: Layout,
    model: type[PaperSettings],
    keys: dict[tuple[Subset, str], str],
    shown: Sequence[_Shown],
) -> None:
    """What every finished row under every condition makes of the clips it scored."""
    leads = {(one.record.run.seed, one.record.run.fold) for one in shown}
    chosen: dict[tuple[str, str], Record] = {}
    alike = [r for r in found if (r.run.seed, r.run.fold) in leads]
    for record in [*alike, *found]:
        if record.done:
            chosen.setdefault((record.run.row, record.run.condition), record)
    order = {row: place for place, row in enumerate(project.papers[found[0].run.paper].table)}
    for record in sorted(chosen.values(), key=lambda r: order[r.run.row]):
        meant = plan(project, record.run, model)
        if meant.settings.decoding.boxes is not None:
            continue  # boxes have no score per frame
        wanted = [
            (held_out.name, clip, name)
            for held_out in meant.held_out
            for (subset, clip), name in keys.items()
            if held_out.subset == subset
        ]
        path = record.file("scores.h5")
        if not path.is_file() and meant.source is not None:
            path = Path(layout.run(meant.source, "scores.h5"))
        try:
            classes, hop, by_model = _read_scores(path, wanted, meant.settings.decoding)
        except (OSError, KeyError, RuntimeError, ValueError):
            continue
        if not made.classes:
            made.classes.extend(classes)
            made.hop = hop
        if classes != made.classes or hop != made.hop:
            continue  # an older run of other classes cannot share an axis with the rest
        threshold = meant.settings.decoding.threshold
        for name, frames in by_model.items():
            made.scored.append(
                Scored(record.run.row, record.run.condition, name, threshold, frames)
            )


def _read_scores(
    path: Path, wanted: Sequence[tuple[str, str, str]], decoding: Decoding
) -> tuple[list[str], float, dict[str, dict[str, np.ndarray]]]:
    """Classes, hop, and per model the filtered frames of the clips that are there."""
    by_model: dict[str, dict[str, np.ndarray]] = {}
    with h5py.File(path, "r", locking=False) as file:
        classes, hop = json.loads(file.attrs["classes"]), float(file.attrs["hop"])
        windows = decoding.windows(classes)
        for name_of_set in dict.fromkeys(name for name, _, _ in wanted):
            group = file[name_of_set]
            place = {name.decode(): index for index, name in enumerate(group["clips"][:])}
            models = [m for m in group if isinstance(group[m], h5py.Group) and "@" not in m]
            for model in models:
                for own_set, clip, key in wanted:
                    if own_set == name_of_set and clip in place:
                        frames = _decoded(group[model], place[clip], decoding, windows)
                        by_model.setdefault(model, {})[key] = frames
    return classes, hop, by_model


def _decoded(
    scores: h5py.Group, place: int, decoding: Decoding, windows: Sequence[int]
) -> np.ndarray:
    """One clip's frame scores (frame, class): gated by the clip's, then median filtered."""
    classes = slice(len(windows))  # some scores have a background behind the classes
    frames = scores[decoding.scores][place][:, classes]
    if "clip" in scores:
        frames = gated(frames, scores["clip"][place][classes], decoding.gate)
    return median_filter(frames[None], windows)[0]


def decibels(values: np.ndarray, reach: float = 70.0) -> np.ndarray | None:
    """Mel magnitudes as decibels below their maximum, no lower than -reach; None for waveforms."""
    if values.ndim != 2:
        return None
    level = 20 * np.log10(np.maximum(values.astype(np.float32), 1e-5))
    return np.maximum(level - level.max(), -reach)


def _truth(layout: Layout, where: Subset, clips: Sequence[str]) -> dict[str, list[Event]]:
    truth: dict[str, list[Event]] = {clip: [] for clip in clips}
    for row in read_rows(Path(layout.table(where, "events")), "\t"):
        onset, offset = finite(row.get("onset")), finite(row.get("offset"))
        if row.get("clip") in truth and onset is not None and offset is not None:
            truth[row["clip"]].append((row["label"], onset, offset))
    return {clip: sorted(events, key=lambda e: e[1:]) for clip, events in truth.items()}


VIDEO = (".mp4", ".mkv", ".webm")


def _samples(clip: Clip, sample_rate: int, length: int) -> np.ndarray:
    """A recording, a part of one, a mixture, or a video's sound track."""
    if Path(clip.path).suffix.lower() in VIDEO:
        from ..sources import video

        return video.sound(clip.path, sample_rate, length)
    from ..mixtures import reading

    return reading.read(clip, sample_rate)[:length]


def ogg(clip: Clip, seconds: float, sample_rate: int = 16000) -> bytes | None:
    """The clip as Ogg Vorbis, or None if its file cannot be had."""
    import soundfile

    from ..errors import SedreproError

    try:
        samples = _samples(clip, sample_rate, round(seconds * sample_rate))
        buffer = io.BytesIO()
        with soundfile.SoundFile(
            buffer, "w", sample_rate, 1, format="OGG", subtype="VORBIS"
        ) as out:
            # The encoder overflows its stack on long blocks.
            for start in range(0, len(samples), 16384):
                out.write(samples[start : start + 16384])
        return buffer.getvalue()
    except (SedreproError, soundfile.SoundFileError, OSError, ValueError, KeyError):
        return None
