"""A tree of somebody's own recordings, looked at before anything runs: all that is wrong with it.

Jobs stop at the first fault; here every fault of every file is told in one go.
"""

from __future__ import annotations

import csv
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import soundfile

from .desed import OPTIONAL, PLACES, Place, clip_of

COLUMNS = {
    "weak": ("filename", "event_labels"),
    "none": ("filename",),
    "strong": ("filename", "onset", "offset", "event_label"),
}
SEPARATORS = {",": "commas", ";": "semicolons", " ": "spaces"}
RATE = 16000
"""The rate that networks hear: a lower one has nothing in the upper bands."""
LONGEST = 30.0
"""Seconds: longer clips make batches that no memory holds."""
SHORTEST = 0.1
EDGE = 0.05
"""Seconds by which an event may end after its recording: tables are rounded."""
FRAME = 0.064
"""Seconds of one output frame, in which median windows are counted."""


@dataclass
class Tree:
    """What a tree holds, and what is wrong with it."""

    root: Path
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    clips: dict[str, int] = field(default_factory=dict)
    """Clips that are there, by subset."""
    lengths: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds of the strongly labelled events, by class."""
    used: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """How often each subset names each class."""
    seconds: float = 0.0
    """The longest recording."""
    first_seen: dict[str, str] = field(default_factory=dict)
    """Where each label was first seen."""

    @property
    def classes(self) -> list[str]:
        """Every class that a table names, in order."""
        return sorted({label for counts in self.used.values() for label in counts})

    def medians(self) -> dict[str, int]:
        """A window per class: a third of its usual event, in frames, odd."""
        return {
            label: 2 * round((median(self.lengths[label]) / 3 / FRAME - 1) / 2) + 1
            if median(self.lengths[label]) > 3 * FRAME
            else 1
            for label in self.classes
            if self.lengths.get(label)
        }


def look(root: str | Path, *, incomplete: bool = False) -> Tree:
    """Everything in a tree of DESED's layout; `incomplete`: recordings may be missing."""
    tree = Tree(Path(root))
    homes: dict[str, str] = {}
    for subset, place in PLACES.items():
        table = tree.root / place.table
        if not table.is_file():
            if subset not in OPTIONAL:
                columns = ", ".join(COLUMNS[place.labels])
                tree.faults.append(f"{place.table}: no such file; its columns are {columns}")
            continue
        rows = list(_rows(table, place, tree))
        lengths = _recordings(rows, place, tree, incomplete=incomplete)
        tree.clips[subset] = len(lengths)
        for number, row in rows:
            where = f"{place.table}:{number}"
            home = homes.setdefault(clip_of(row["filename"]), subset)
            if {home, subset} & {"validation", "public_eval"} and home != subset:
                tree.faults.append(f"{where}: {row['filename']} is in {home}, too: a leak")
            _labels(row, where, subset, place, lengths, tree)
    _classes(tree)
    return tree


def _rows(path: Path, place: Place, tree: Tree) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a table that can be read, with their lines."""
    name, columns = place.table, COLUMNS[place.labels]
    try:
        lines = path.read_bytes().decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        tree.faults.append(f"{name}:{line}: not UTF-8; save the table as UTF-8")
        return
    if not lines:
        tree.faults.append(f"{name}:1: empty; its columns are {', '.join(columns)}")
        return
    if lines[0].startswith("\ufeff"):
        tree.faults.append(f"{name}:1: begins with a byte order mark; save it as UTF-8 without one")
        lines[0] = lines[0].removeprefix("\ufeff")
    if "\t" not in lines[0] and len(columns) > 1:
        other = next((word for mark, word in SEPARATORS.items() if mark in lines[0]), "")
        if other:
            tree.faults.append(f"{name}:1: columns are separated by {other}; they must be by tabs")
            return
    heading = lines[0].split("\t")
    if missing := [column for column in columns if column not in heading]:
        found = ", ".join(heading)
        tree.faults.append(f"{name}:1: no column {', '.join(missing)}; found {found}")
        return
    seen: dict[tuple[str, ...], int] = {}
    for number, cells in enumerate(csv.reader(lines[1:], delimiter="\t"), 2):
        if not any(cells):
            continue
        if len(cells) != len(heading):
            told = f"{len(cells)} cells where the heading has {len(heading)}"
            tree.faults.append(f"{name}:{number}: {told}")
            continue
        if (line := seen.setdefault(tuple(cells), number)) != number:
            tree.faults.append(f"{name}:{number}: the same as line {line}")
            continue
        yield number, dict(zip(heading, cells, strict=True))


def _recordings(
    rows: Iterable[tuple[int, dict[str, str]]], place: Place, tree: Tree, *, incomplete: bool
) -> dict[str, float]:
    """The length of every recording that is listed and sound."""
    folder, found, missing = tree.root / place.audio, {}, 0
    listed: dict[str, int] = {}
    for number, row in rows:
        listed.setdefault(row["filename"], number)
    for filename, number in listed.items():
        where = f"{place.table}:{number}"
        path = folder / f"{clip_of(filename)}.wav"
        if not path.is_file():
            missing += 1
            others = sorted(folder.glob(f"{clip_of(filename)}.*")) if filename else []
            if others:
                tree.faults.append(f"{where}: {others[0].name} is not a .wav file; convert it")
            elif not incomplete:
                tree.faults.append(f"{where}: {filename} is not in {place.audio}")
            continue
        if (length := _length(path, where, tree)) is not None:
            found[filename] = length
    names = {f"{clip_of(filename)}.wav" for filename in listed}
    extra = len({path.name for path in folder.glob("*.wav")} - names)
    if missing and incomplete:
        tree.remarks.append(f"{place.table}: {missing} recordings are missing; scores count them")
    # Soundscapes without an event are not in their table.
    if extra and not place.table.startswith("dcase_synth"):
        tree.remarks.append(f"{place.audio}: {extra} recordings that no table lists are not used")
    return found


def _length(path: Path, where: str, tree: Tree) -> float | None:
    """Seconds of a recording, if it can be used."""
    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, OSError):
        tree.faults.append(f"{where}: {path.name} cannot be read as audio")
        return None
    length = info.frames / info.samplerate
    if length < SHORTEST:
        tree.faults.append(f"{where}: {path.name} lasts {length:.2f} s: nothing can be heard in it")
        return None
    if length > LONGEST:
        tree.faults.append(
            f"{where}: {path.name} lasts {length:.0f} s; cut recordings into clips of about 10 s"
        )
        return None
    if info.samplerate < RATE:
        tree.faults.append(
            f"{where}: {path.name} has {info.samplerate} Hz; the networks hear {RATE} Hz, and its "
            "upper half would be empty"
        )
    tree.seconds = max(tree.seconds, length)
    return length


def _labels(
    row: dict[str, str],
    where: str,
    subset: str,
    place: Place,
    lengths: dict[str, float],
    tree: Tree,
) -> None:
    """What a row says of its clip."""
    if place.labels == "none":
        return
    weak = place.labels == "weak"
    labels = row["event_labels"].split(",") if weak else [row["event_label"]]
    times = [] if weak else [row["onset"], row["offset"]]
    if not weak and not any([*labels, *times]):
        return  # a clip without any event
    for label in labels:
        if not label.strip():
            tree.faults.append(f"{where}: no label")
        elif label != label.strip():
            tree.faults.append(f"{where}: spaces around the label {label!r}")
        elif "," in label:
            tree.faults.append(f"{where}: the label {label!r} has a comma; one event, one row")
        else:
            tree.used[subset][label] += 1
            tree.first_seen.setdefault(label, where)
    if not weak and (event := _times(row, where, lengths.get(row["filename"]), tree)):
        tree.lengths[labels[0]].append(event)


def _times(row: dict[str, str], where: str, length: float | None, tree: Tree) -> float | None:
    """How long an event is, if its times can be."""
    times = []
    for column in ("onset", "offset"):
        text = row[column]
        try:
            times.append(float(text))
        except ValueError:
            hint = "; write decimals with a point" if "," in text else ""
            told = f"{column} {text!r} is no number{hint}" if text else f"no {column}"
            tree.faults.append(f"{where}: {told}")
            return None
    onset, offset = times
    if not all(map(math.isfinite, times)) or onset < 0:
        tree.faults.append(f"{where}: onset {row['onset']} lies before the recording begins")
    elif offset <= onset:
        tree.faults.append(f"{where}: offset {row['offset']} is not after onset {row['onset']}")
    elif length is not None and offset > length + EDGE:
        tree.faults.append(
            f"{where}: the event ends at {row['offset']} s, {row['filename']} at {length:.2f} s"
        )
    else:
        return offset - onset
    return None


def _classes(tree: Tree) -> None:
    """Classes that are spelt in two ways, or that cannot be learnt or scored."""
    spelt: dict[str, str] = {}
    for label in sorted(tree.classes, key=lambda one: -_count(tree, one)):
        usual = spelt.setdefault(label.casefold().replace(" ", "_"), label)
        if usual != label:
            tree.faults.append(f"{tree.first_seen[label]}: label {label!r}; elsewhere {usual!r}")
            continue
        if not tree.used["validation"][label]:
            tree.remarks.append(f"class {label}: no event in validation; it is not scored")
        if not tree.used["synth_train"][label] and not tree.used["weak"][label]:
            tree.faults.append(f"{tree.first_seen[label]}: class {label!r} has no training clip")


def _count(tree: Tree, label: str) -> int:
    return sum(counts[label] for counts in tree.used.values())
