"""AVE on disk → clip tables: annotations, official splits, released features, videos.

A clip is a row of Annotations.txt: `<row>_<video>`, since 45 videos serve two or three rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from .. import tables
from ..clips import Clip
from ..errors import SedreproError
from ..files import read_json
from ..settings import Layout, Project
from . import registry, whose

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]

SECONDS = 10  # of every video, and so its segments
TOLERANCE = 0.5  # seconds that a container may lack
ANNOTATIONS = "data/Annotations.txt"
ORDERS = {"train": "train_order", "validation": "val_order", "test": "test_order"}
NEGATIVES = "negatives"
SUBSETS = (*ORDERS, NEGATIVES)
VIDEOS, NEGATIVE_VIDEOS = "AVE_Dataset/AVE", "AVE_Negatives"
TRUTH = "AVE_Dataset/truth.tsv"
"""Only look-alikes have it: what is heard and seen in each segment, and where."""
NEGATIVE_COUNT = 178
FEATURES = {
    False: {"vgg_visual": "data/visual_feature.h5", "vgg_audio": "data/audio_feature.h5"},
    True: {
        "vgg_visual": "data/visual_feature_noisy.h5",
        "vgg_audio": "data/audio_feature_noisy.h5",
    },
}
"""The released features by front end; those of the negatives under True."""
SHARED = "shared"
"""The fold of training clips whose video also serves a validation or test row."""


@dataclass(frozen=True)
class Row:
    """A line of Annotations.txt: the event lasts from `start` to `end`, whole seconds."""

    index: int
    label: str
    video: str
    start: int
    end: int

    @property
    def clip(self) -> str:
        return f"{self.index:04d}_{self.video}"


def root(project: Project) -> Path:
    """The raw tree, or the user's own."""
    return registry.raw(project, "ave")


def adapt(subset: str, project: Project) -> Tables:
    """The clips, events and audit of a subset; what can be had neither way is only counted."""
    if subset not in SUBSETS:
        raise SedreproError(f"ave has no subset {subset!r}; subsets are {', '.join(SUBSETS)}")
    if subset == NEGATIVES:
        return _negatives(project)
    top = root(project)
    path = top / ANNOTATIONS
    if not path.exists():
        reason = _reason(["ave_annotations"], project) or f"{path}: no such file"
        return _absent(subset, reason, project)
    rows = read_annotations(path, project.data.ave.classes)
    files = {name: top / f"data/{file}.h5" for name, file in ORDERS.items()}
    if not all(file.exists() for file in files.values()) and (
        reason := _reason(["ave_orders"], project)
    ):
        return _absent(subset, reason, project)
    orders = {name: order(file, len(rows)) for name, file in files.items()}
    chosen = [rows[index] for index in orders[subset]]
    origin = whose.of(project.data, "ave", subset, [row.clip for row in chosen])
    videos, notes = _videos(top, [row.video for row in chosen], project)
    notes += origin.notes
    featured = _has_features(top, project, negatives=False)
    listed = [row for row in chosen if featured or videos[row.video]]
    twice = {name: {rows[i].video for i in orders[name]} for name in ("validation", "test")}
    if subset == "train":
        notes += shared(rows, orders)
    if not listed:
        notes.append(_unavailable(subset, project) or "neither features nor videos are there")
    leaking = set.union(*twice.values()) if subset == "train" else set()
    clips = [
        Clip(
            row.clip,
            subset,
            videos[row.video] or float(SECONDS),
            fold=SHARED if row.video in leaking else "",
            path=str(top / VIDEOS / f"{row.video}.mp4") if videos[row.video] else "",
            feature_row=row.index,
        )
        for row in listed
    ]
    audit = _audit(subset, len(chosen), len(listed), "; ".join(notes), origin)
    return tables.clip_table(clips), _events(listed), audit


def read_annotations(path: Path, classes: Sequence[str]) -> list[Row]:
    """Every row, checked: `category&video&quality&start&end`; a heading is allowed."""
    rows: list[Row] = []
    known = set(classes)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise SedreproError(f"{path}: not a text in UTF-8: {error}") from None
    for number, line in enumerate(lines, 1):
        fields = line.strip().split("&")
        if not line.strip() or (number == 1 and fields[0].lower() == "category"):
            continue
        try:
            label, video, _, start, end = fields
            row = Row(len(rows), label, video, int(start), int(end))
        except ValueError:
            raise SedreproError(
                f"{path}: line {number}: not category&video&quality&start&end: {line.strip()!r}"
            ) from None
        if label not in known:
            raise SedreproError(f"{path}: line {number}: {label!r} is not one of data.ave.classes")
        if not 0 <= row.start <= row.end <= SECONDS:
            raise SedreproError(
                f"{path}: line {number}: 0 <= start <= end <= {SECONDS} must hold, not "
                f"{row.start} and {row.end}"
            )
        rows.append(row)
    return rows


def order(path: Path, rows: int) -> list[int]:
    """A split: rows of the annotations by number."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            found = [int(index) for index in file["order"][:]]
    except FileNotFoundError:
        raise SedreproError(f"{path}: no such file") from None
    except (OSError, KeyError) as error:
        raise SedreproError(f"{path}: not an order file ({error})") from None
    if len(set(found)) != len(found) or not all(0 <= index < rows for index in found):
        raise SedreproError(f"{path}: rows must be different numbers below {rows}")
    return found


def shared(rows: Sequence[Row], orders: dict[str, list[int]]) -> list[str]:
    """How many training videos another split has too: a leak of the official splits."""
    sets = {name: {rows[index].video for index in chosen} for name, chosen in orders.items()}
    return [
        f"{len(both)} videos also serve {name} rows"
        for name in ("validation", "test")
        if (both := sets["train"] & sets[name])
    ]


def _events(rows: Sequence[Row]) -> pd.DataFrame:
    """One event per clip; a category without a time is a tag without times."""
    timed = [row.end > row.start for row in rows]
    return pd.DataFrame(
        {
            "clip": [row.clip for row in rows],
            "label": [row.label for row in rows],
            "onset": [float(r.start) if t else np.nan for r, t in zip(rows, timed, strict=True)],
            "offset": [float(r.end) if t else np.nan for r, t in zip(rows, timed, strict=True)],
            "confidence": 1.0,
        },
        columns=tables.EVENTS,
    )


def _negatives(project: Project) -> Tables:
    """Background-only clips: rows of the released features, or (other) videos, or both."""
    top = root(project)
    clips: list[Clip] = []
    notes: list[str] = []
    expected = 0
    if project.data.ave.features:
        expected += NEGATIVE_COUNT
        if _has_features(top, project, negatives=True):
            with h5py.File(top / FEATURES[True]["vgg_audio"], "r", locking=False) as file:
                count = len(file["avadataset"])
            clips += [
                Clip(f"{index:04d}_negative", NEGATIVES, float(SECONDS), feature_row=index)
                for index in range(count)
            ]
    if project.data.ave.videos:
        paths = sorted((top / NEGATIVE_VIDEOS).rglob("*.mp4"))
        lengths, notes = _lengths(paths)
        clips += [
            Clip(f"negative_{path.stem}", NEGATIVES, lengths[path], path=str(path))
            for path in paths
            if lengths[path]
        ]
        rendered = project.data.origin == "render"
        expected += project.data.look.videos.get(NEGATIVES, 0) if rendered else NEGATIVE_COUNT
    reasons = [] if clips else [_unavailable(NEGATIVES, project)]
    note = "; ".join(filter(None, notes + reasons))
    audit = _audit(NEGATIVES, expected, len(clips), note, whose.declared(project.data, "ave"))
    return tables.clip_table(clips), pd.DataFrame(columns=tables.EVENTS), audit


def _has_features(top: Path, project: Project, *, negatives: bool) -> bool:
    wanted = FEATURES[negatives].values()
    return project.data.ave.features and all((top / name).exists() for name in wanted)


def _videos(
    top: Path, names: Sequence[str], project: Project
) -> tuple[dict[str, float], list[str]]:
    """The length of each video, 0 where there is none."""
    if not project.data.ave.videos:
        return dict.fromkeys(names, 0.0), []
    paths = {name: top / VIDEOS / f"{name}.mp4" for name in names}
    lengths, notes = _lengths(list(paths.values()))
    return {name: lengths[path] for name, path in paths.items()}, notes


def _lengths(paths: Sequence[Path]) -> tuple[dict[Path, float], list[str]]:
    """Seconds of every video; 0 and a note for those that are absent or cannot be read."""
    from . import video

    def length(path: Path) -> float | None:
        if not path.exists():
            return 0.0
        try:
            return min(video.seconds(path), float(SECONDS))
        except SedreproError:
            return None

    with ThreadPoolExecutor(4) as pool:
        found = dict(zip(paths, pool.map(length, paths), strict=True))
    broken = sorted(path.name for path, value in found.items() if value is None)
    notes = [f"{len(broken)} videos cannot be read ({', '.join(broken[:3])})"] if broken else []
    return {path: value or 0.0 for path, value in found.items()}, notes


def faults(project: Project) -> Iterator[tuple[str, str]]:
    """What is wrong with which video or file of features, as a group of words and a name."""
    top = root(project)
    if not (top / ANNOTATIONS).exists():
        return
    rows = read_annotations(top / ANNOTATIONS, project.data.ave.classes)
    for name in FEATURES[False].values() if project.data.ave.features else ():
        if not (top / name).exists():
            yield "files are not there", name
        elif (count := _count(top / name)) is None:
            yield "files cannot be read", name
        elif count != len(rows):
            yield "files have another number of rows", f"{name} ({count:,}, not {len(rows):,})"
    names = sorted({row.video for row in rows}) if project.data.ave.videos else []
    paths = {name: top / VIDEOS / f"{name}.mp4" for name in names}
    lengths, _ = _lengths(list(paths.values()))
    for name, path in paths.items():
        seconds = lengths[path]
        if not path.exists():
            yield "videos are not there", name
        elif not seconds:
            yield "videos cannot be read", name
        elif seconds < SECONDS - TOLERANCE:
            yield "videos are too short", f"{name} ({seconds:.1f} s, not {SECONDS})"


def _count(path: Path) -> int | None:
    """How many rows a file of features has; None: it cannot be read."""
    try:
        with h5py.File(path, "r", locking=False) as file:
            return len(next(iter(file.values())))
    except (OSError, StopIteration):
        return None


def _unavailable(subset: str, project: Project) -> str:
    """Why neither features nor videos are there, if a fetch came to that end."""
    names = []
    if project.data.ave.features:
        names += ["ave_noisy"] if subset == NEGATIVES else ["ave_visual_features"]
    if project.data.ave.videos:
        names += ["ave_negatives"] if subset == NEGATIVES else ["ave_videos"]
    return _reason(names, project)


def _reason(resources: Sequence[str], project: Project) -> str:
    """The first reason that one of these was not fetched whole; empty if there is none."""
    for name in resources:
        path = Path(Layout.of(project).status(name))
        if path.exists() and (status := read_json(path))["status"] != "ok":
            return f"{name}: {status['reason']}"
    return ""


def _absent(subset: str, reason: str, project: Project) -> Tables:
    expected = {"train": 3339, "validation": 402, "test": 402}[subset]
    clips, events = tables.clip_table([]), pd.DataFrame(columns=tables.EVENTS)
    audit = _audit(subset, expected, 0, reason, whose.declared(project.data, "ave"))
    return clips, events, audit


def _audit(subset: str, expected: int, found: int, note: str, origin: whose.Origin) -> pd.DataFrame:
    return pd.DataFrame([[subset, expected, found, note, origin.kind]], columns=tables.AUDIT)
