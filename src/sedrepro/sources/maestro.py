"""MAESTRO Real on disk → clip tables: windows of its recordings with soft labels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from .. import audio, tables
from ..clips import Clip
from ..errors import SedreproError
from ..files import read_json
from ..settings import Layout, Project
from ..settings.classes import MAESTRO_CLASSES
from ..settings.data import Maestro
from . import registry, whose

CORPUS = "maestro"
SCENES = ("cafe_restaurant", "city_center", "grocery_store", "metro_station", "residential_area")
# The one split of DCASE 2024: these 16 recordings validate, the other 33 train.
VALIDATION = {
    "cafe_restaurant": ("04", "10", "13"),
    "city_center": ("05", "09", "10"),
    "grocery_store": ("01", "04", "12"),
    "metro_station": ("01", "04", "11"),
    "residential_area": ("03", "05", "06", "12"),
}
EXPECTED = {"train": 7503, "validation": 718}  # windows of all recordings at the published hops
RESOURCES = ("maestro_audio", "maestro_annotation")
TOLERANCE = 0.05  # seconds between a recording and its length in the table

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]


class Window(NamedTuple):
    """A part of a recording, in seconds."""

    recording: str
    start: float
    end: float

    @property
    def name(self) -> str:
        """As the organisers name it: times in hundredths of a second, cut to whole ones."""
        return f"{self.recording}-{int(self.start * 100):06d}-{int(self.end * 100):06d}"


def adapt(subset: str, project: Project) -> Tables:
    """The clips (windows), events and audit of a subset.

    Windows without any annotation are left out, as the organisers do. Confidences are the soft
    targets; those a little above 1 are cut to it.
    """
    if subset not in EXPECTED:
        raise SedreproError(f"maestro has no subset {subset!r}; subsets are {', '.join(EXPECTED)}")
    settings, root = project.data.maestro, registry.raw(project, CORPUS)
    lengths, notes = _lengths(root, subset)
    origin = whose.of(project.data, CORPUS, subset, list(lengths))
    notes += origin.notes
    hop = settings.train_hop if subset == "train" else settings.validation_hop
    held_out = _held_out(list(lengths), settings) if subset == "train" else set()
    clips, events, expected = [], [], 0
    for recording, seconds in lengths.items():
        labels, wav = _labels(root, recording), _wav(root, recording)
        fold = "" if subset != "train" else "held_out" if recording in held_out else "train"
        cut = list(windows(recording, seconds, settings.window, hop))
        if labels is not None:
            times = labels[["onset", "offset"]].to_numpy().T
            cut = [w for w in cut if ((times[0] < w.end) & (times[1] > w.start)).any()]
        expected += len(cut)
        if labels is None or not wav.exists():
            continue
        _check_end(recording, seconds, labels)
        for window in cut:
            length = window.end - window.start
            clips.append(Clip(window.name, subset, length, fold, str(wav), window.start))
            events.append(within(labels, window))
    if not lengths:
        notes, expected = [_unavailable(project) or "no recording is there"], EXPECTED[subset]
    joined = pd.concat(events, ignore_index=True) if events else pd.DataFrame(columns=tables.EVENTS)
    told = (subset, expected, len(clips), "; ".join(notes), origin.kind)
    audit = pd.DataFrame([told], columns=tables.AUDIT)
    return tables.clip_table(clips), joined, audit


def windows(recording: str, seconds: float, length: float, hop: float) -> Iterator[Window]:
    """Whole windows every `hop` seconds, then what remains of the recording if any does."""
    whole = max(0, int((seconds - length + hop) / hop))
    for index in range(whole):
        yield Window(recording, index * hop, index * hop + length)
    covered = (whole - 1) * hop + length if whole else 0.0
    if covered < seconds and whole * hop < seconds:
        yield Window(recording, whole * hop, seconds)


def within(labels: pd.DataFrame, window: Window) -> pd.DataFrame:
    """The events that overlap a window, cut to it, in its own time."""
    inside = labels[(labels["onset"] < window.end) & (labels["offset"] > window.start)].copy()
    inside["onset"] = (inside["onset"] - window.start).clip(lower=0)
    inside["offset"] = (inside["offset"] - window.start).clip(upper=window.end - window.start)
    inside["clip"] = window.name
    return inside[tables.EVENTS]


def _check_end(recording: str, seconds: float, labels: pd.DataFrame) -> None:
    """Refuse a label beyond its recording; labels are of whole seconds, the last one may be cut."""
    begins, ends = labels["onset"] >= seconds + TOLERANCE, labels["offset"] >= seconds + 1
    late = labels[begins | ends]
    if len(late):
        label = late.iloc[0]
        raise SedreproError(
            f"{recording}: label {label['label']!r} lasts from {label['onset']:g} to "
            f"{label['offset']:g} s, and the recording is {seconds:g} s long; correct the time, or "
            "the recording"
        )


def is_validation(recording: str) -> bool:
    scene, _, number = recording.rpartition("_")
    return number in VALIDATION.get(scene, ())


def _wav(root: Path, recording: str) -> Path:
    return root / "development_audio" / recording.rpartition("_")[0] / f"{recording}.wav"


def _lengths(root: Path, subset: str) -> tuple[dict[str, float], list[str]]:
    """Seconds of every recording of a subset, sorted by name, and what is odd about them.

    Audio that is there is measured; of what is missing the table of lengths tells.
    """
    told = _told(root)
    found = {p.stem: audio.seconds(p) for p in root.glob("development_audio/*/*.wav")}
    notes = [] if told else ["the table of lengths is absent: recordings that lack are not counted"]
    chosen = {
        name: found.get(name, told.get(name, 0.0))
        for name in sorted({*told, *found})
        if is_validation(name) == (subset == "validation")
    }
    other = [n for n in chosen if n in found and abs(found[n] - told.get(n, found[n])) > TOLERANCE]
    if other:
        notes.append(f"{len(other)} recordings are not as long as the table says: {other[0]}, …")
    return chosen, notes


def _told(root: Path) -> dict[str, float]:
    """The length of every recording by the organisers' table; empty without it."""
    table = root / "metadata" / "development_metadata.csv"
    if not table.exists():
        return {}
    rows = tables.read(table, ["filename", "duration"])
    return dict(zip(rows["filename"], tables.numbers(table, rows, "duration"), strict=True))


def faults(project: Project) -> Iterator[tuple[str, str]]:
    """What is wrong with which recording, as a group of words and a name."""
    root = registry.raw(project, CORPUS)
    for recording, seconds in sorted(_told(root).items()):
        path = _wav(root, recording)
        if not path.exists():
            yield "recordings are not there", recording
        elif abs((found := audio.seconds(path)) - seconds) > TOLERANCE:
            yield (
                "recordings have another length",
                f"{recording} ({found:.2f} s, not {seconds:.2f})",
            )
        if _labels(root, recording) is None:
            yield "recordings have no labels", recording


def _labels(root: Path, recording: str) -> pd.DataFrame | None:
    """The soft labels of a recording (onset, offset, label, confidence), or None without a file."""
    scene = recording.rpartition("_")[0]
    path = root / "development_annotation" / f"soft_labels_{scene}" / f"{recording}.txt"
    if not path.exists():
        return None
    columns = ["onset", "offset", "label", "confidence"]
    try:
        labels = pd.read_csv(path, sep="\t", names=columns, dtype={"label": str})
    except (pd.errors.ParserError, UnicodeDecodeError) as error:
        raise SedreproError(f"{path}: not a TSV table: {' '.join(str(error).split())}") from None
    for column in ("onset", "offset", "confidence"):
        labels[column] = tables.numbers(path, labels, column)
    labels["clip"] = recording
    labels["confidence"] = labels["confidence"].clip(upper=1.0)
    tables.check_events(path, labels, MAESTRO_CLASSES)
    return labels


def _held_out(recordings: list[str], settings: Maestro) -> set[str]:
    """The training recordings that select checkpoints: one generator, shuffled scene by scene."""
    random, chosen = np.random.RandomState(settings.split_seed), set()
    for scene in SCENES:
        names = np.array([name for name in recordings if name.rpartition("_")[0] == scene])
        random.shuffle(names)
        chosen |= set(names[int(settings.split_fraction * len(names)) :].tolist())
    return chosen


def _unavailable(project: Project) -> str | None:
    for resource in RESOURCES:
        path = Path(Layout.of(project).status(resource))
        if path.exists() and (status := read_json(path))["status"] == "unavailable":
            return f"{resource}: {status['reason']}"
    return None
