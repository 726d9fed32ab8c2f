"""DESED on disk → clip tables: the official tree, a user's own copy, or the look-alike."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from .. import audio, tables
from ..clips import Clip
from ..errors import SedreproError
from ..files import read_json
from ..settings import Layout, Project
from . import registry, whose
from .clips import promised_seconds

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]

# The validation labels without same-class overlaps; an older version with them circulates.
VALIDATION_MD5 = "a5f66487feaea5c5d8f028bf1ef5bd41"
FRAME = 0.064
"""Seconds: a label frame of the DCASE baselines; ends are not told more finely."""
SHORTEST = 0.25
"""Seconds: DESED's rules make every event at least as long, also at the end of a clip."""


@dataclass(frozen=True)
class Place:
    """Where the official layout has a subset, and the resources that bring it."""

    table: str
    audio: str
    labels: str  # strong, weak or none
    clips: int  # of the complete subset
    resources: tuple[str, ...]  # the first brings the table


PLACES = {
    "weak": Place(
        "metadata/train/weak.tsv",
        "audio/train/weak",
        "weak",
        1578,
        ("desed_metadata", "desed_weak"),
    ),
    "unlabelled": Place(
        "metadata/train/unlabel_in_domain.tsv",
        "audio/train/unlabel_in_domain",
        "none",
        14412,
        ("desed_metadata", "desed_unlabelled"),
    ),
    "validation": Place(
        "metadata/validation/validation.tsv",
        "audio/validation/validation",
        "strong",
        1168,
        ("desed_metadata", "desed_validation"),
    ),
    "public_eval": Place(
        "metadata/eval/public.tsv",
        "audio/eval/public",
        "strong",
        692,
        ("desed_public_eval",),
    ),
    "strong_real": Place(
        "metadata/train/audioset_strong.tsv",
        "audio/train/strong_label_real",
        "strong",
        3470,
        ("desed_strong_real",),
    ),
    "synth_train": Place(
        "dcase_synth/metadata/train/synthetic21_train/soundscapes.tsv",
        "dcase_synth/audio/train/synthetic21_train/soundscapes",
        "strong",
        10000,
        ("desed_synth",),
    ),
    "synth_validation": Place(
        "dcase_synth/metadata/validation/synthetic21_validation/soundscapes.tsv",
        "dcase_synth/audio/validation/synthetic21_validation/soundscapes",
        "strong",
        2500,
        ("desed_synth",),
    ),
}

OPTIONAL = ("public_eval", "strong_real")
"""What a tree of the user's own may leave out; nothing trains or is selected without the others."""


def adapt(subset: str, project: Project) -> Tables:
    """The clips, events and audit of a subset; clips that are absent are counted, not listed."""
    if subset not in PLACES:
        raise SedreproError(f"desed has no subset {subset!r}; subsets are {', '.join(PLACES)}")
    place, root = PLACES[subset], _root(subset, project)
    corpus = "desed_soundbank" if _is_mixed(subset, project) else "desed"
    path = root / place.table
    if not path.exists():
        unknown = whose.declared(project.data, corpus)
        if project.data.desed.local and subset in OPTIONAL:
            return _absent(subset, 0, f"{path}: not in the own tree", unknown)
        if reason := _unavailable(place, project):
            return _absent(subset, place.clips, reason, unknown)
    table, events = read_table(path, place.labels, project.data.desed.classes)
    names = list(dict.fromkeys(table["clip"]))
    folder = _audio_folder(root, place.audio)
    if subset.startswith("synth"):  # soundscapes without a target event are not in the table
        names += sorted({file.stem for file in folder.glob("*.wav")} - set(names), key=_numerically)
    origin = whose.of(project.data, corpus, subset, names)
    notes = origin.notes
    if subset == "validation" and origin.kind == whose.OFFICIAL:
        notes += _version_note(path)
    notes += _arriving(place, project)
    if subset == "strong_real":
        names, note = _without_validation(names, root, project)
        notes += note
    present = [name for name in names if (folder / f"{name}.wav").exists()]
    paths = [folder / f"{name}.wav" for name in present]
    folds = _weak_folds(table, present, project) if subset == "weak" else [""] * len(present)
    clips = tables.clip_table(
        Clip(name, subset, seconds, fold, str(path))
        for name, seconds, fold, path in zip(present, _lengths(paths), folds, paths, strict=True)
    )
    events = events[events["clip"].isin(present)]
    if place.labels == "strong":
        events, cut = within_clips(path, events, clips)
        notes += cut
        separate = merge_overlaps(events)
        if len(separate) < len(events):
            notes.append(f"{len(events) - len(separate)} overlapping events of one class merged")
        events = separate
    events = events.reset_index(drop=True)
    return clips, events, _audit(subset, len(names), len(present), "; ".join(notes), origin)


def within_clips(
    path: Path, events: pd.DataFrame, clips: pd.DataFrame
) -> tuple[pd.DataFrame, list[str]]:
    """Timed events, none of which goes on after its clip ends, and what was cut.

    An event may reach a frame too far, or as far as DESED's own rule lengthens it; and of a video
    that lost its end less may be left than the clip's name promises. Anything else is a mistake.
    """
    seconds = events["clip"].map(dict(zip(clips["clip"], clips["seconds"], strict=True)))
    beyond = events["offset"] > seconds
    lengthened = (events["offset"] - events["onset"] < SHORTEST + 0.001) & (
        events["onset"] < seconds
    )
    promised = events["clip"].map(lambda clip: promised_seconds(f"{clip}.wav") or 0.0)
    lost = beyond & (promised > seconds + FRAME) & (events["offset"] <= promised + FRAME)
    wrong = beyond & (events["offset"] > seconds + FRAME) & ~lengthened & ~lost
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        event = events.iloc[row]
        raise SedreproError(
            f"{path}: row {events.index[row] + 2}: event {event['label']!r} of clip "
            f"{event['clip']!r} ends at {event['offset']:g} s, and the clip is "
            f"{seconds.iloc[row]:g} s long; correct the time, or the recording"
        )
    notes = []
    if (beyond & ~lost).any():
        notes.append(f"{(beyond & ~lost).sum()} events end within a frame after their clip: cut")
    if lost.any():
        notes.append(f"{lost.sum()} events reach beyond the end of shortened recordings: cut")
    cut = events.assign(offset=events["offset"].where(~beyond, seconds))
    return cut[cut["onset"] < cut["offset"]], notes


def merge_overlaps(events: pd.DataFrame) -> pd.DataFrame:
    """Timed events, those of one class and clip that overlap made one: psds_eval refuses them."""
    merged: list[dict] = []
    latest: dict[tuple[str, str], dict] = {}
    for event in events.sort_values(["clip", "onset"], kind="stable").to_dict("records"):
        key = event["clip"], event["label"]
        if key in latest and event["onset"] < latest[key]["offset"]:
            latest[key]["offset"] = max(latest[key]["offset"], event["offset"])
        else:
            latest[key] = event
            merged.append(event)
    return pd.DataFrame(merged, columns=tables.EVENTS)


def _root(subset: str, project: Project) -> Path:
    """The user's own tree, where one is set; soundscapes mixed here are never in it."""
    if _is_mixed(subset, project):
        return Path(Layout.of(project).raw("desed"))
    return registry.raw(project, "desed")


def _is_mixed(subset: str, project: Project) -> bool:
    """Whether a subset is mixed here, from a sound bank."""
    return subset.startswith("synth") and project.data.desed.synthetic == "mix"


def recordings(subset: str, project: Project) -> Path:
    """Where a subset's audio lies."""
    return _audio_folder(_root(subset, project), PLACES[subset].audio)


def _audio_folder(root: Path, audio_folder: str) -> Path:
    """The folder of a subset's audio, or the baselines' copy of it resampled to 16 kHz."""
    folder = root / audio_folder
    resampled = folder.with_name(f"{folder.name}_16k")
    return resampled if resampled.is_dir() and not any(folder.glob("*.wav")) else folder


def read_table(path: Path, labels: str, classes: list[str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """A subset's official table with a `clip` column, and its events, checked."""
    columns = {"weak": ["event_labels"], "none": [], "strong": ["onset", "offset", "event_label"]}
    table = tables.read(path, ["filename", *columns[labels]])
    table["clip"] = table["filename"].map(clip_of)
    if labels == "none":
        return table, pd.DataFrame(columns=tables.EVENTS)
    if labels == "weak":
        events = table.assign(label=table["event_labels"].str.split(",")).explode("label")
        events = events.drop_duplicates(["clip", "label"])  # three rows name a class twice
        events["onset"] = events["offset"] = float("nan")
    else:
        events = table.rename(columns={"event_label": "label"})
        for column in ("onset", "offset"):
            events[column] = tables.numbers(path, events, column)
        # A clip without any event has one row with empty cells.
        events = events[events[["label", "onset", "offset"]].replace("", pd.NA).notna().any(axis=1)]
        untimed = events["onset"].isna() | events["offset"].isna()
        if untimed.any():
            row = events.index[untimed][0]
            raise SedreproError(f"{path}: row {row + 2}: an event needs both onset and offset")
    tables.check_events(path, events, classes)
    return table, events.assign(confidence=1.0)[tables.EVENTS]


def clip_of(filename: str) -> str:
    """The clip of a table's file name; some synthetic tables name the annotation, not the audio."""
    return filename.removesuffix(".wav").removesuffix(".jams")


def _numerically(stem: str) -> tuple[int, str]:
    return (int(stem), "") if stem.isdigit() else (10**12, stem)


def _weak_folds(table: pd.DataFrame, present: list[str], project: Project) -> list[str]:
    """The cut is drawn on all rows of the table, so that it does not depend on what is missing."""
    split = project.data.desed.weak_split
    train = set(table.sample(frac=split.fraction, random_state=split.seed)["clip"])
    return ["train" if name in train else "held_out" for name in present]


def _lengths(paths: Iterable[Path]) -> list[float]:
    """Seconds of every file, from the headers; waiting for a disk is done in parallel."""
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(audio.seconds, paths))


def _version_note(path: Path) -> list[str]:
    if hashlib.md5(path.read_bytes()).hexdigest() == VALIDATION_MD5:
        return []
    return [f"{path.name} is another version than the one with md5 {VALIDATION_MD5}"]


def _without_validation(
    names: list[str], root: Path, project: Project
) -> tuple[list[str], list[str]]:
    """AudioSet-strong holds some validation recordings; to train on them is a leak."""
    path = root / PLACES["validation"].table
    if not path.exists():
        return names, ["validation.tsv is absent: overlap with it unknown"]
    validation = set(tables.read(path, ["filename"])["filename"].map(clip_of))
    kept = [name for name in names if name not in validation]
    shared = len(names) - len(kept)
    if project.data.desed.strong_real_in_validation == "kept":
        return names, [f"{shared} recordings of the validation set kept"] if shared else []
    return kept, [f"{shared} recordings of the validation set left out"] if shared else []


def _unavailable(place: Place, project: Project) -> str | None:
    """Why the table is not there, if fetching it came to that end.

    What brings the table may have brought another (`partial`); lost clips are no reason.
    """
    for resource in place.resources:
        path = Path(Layout.of(project).status(resource))
        ends = ("unavailable", "partial") if resource == place.resources[0] else ("unavailable",)
        if path.exists() and (status := read_json(path))["status"] in ends:
            return f"{resource}: {status['reason']}"
    return None


def _arriving(place: Place, project: Project) -> list[str]:
    """That not all clips are there yet which there will be (`data.allow_partial`)."""
    paths = [Path(Layout.of(project).status(resource)) for resource in place.resources]
    found = {path: read_json(path) for path in paths if path.exists()}
    arriving = {path: said for path, said in found.items() if said["status"] == "arriving"}
    if arriving and not project.data.allow_partial:
        path = next(iter(arriving))
        raise SedreproError(
            f"{path}: clips are still arriving; delete this file and run `snakemake data` to fetch "
            "them, or set `data.allow_partial: true` to go on without them"
        )
    return [f"still arriving: {said['files']:,} so far" for said in arriving.values()]


def _absent(subset: str, expected: int, reason: str, origin: whose.Origin) -> Tables:
    return (
        tables.clip_table([]),
        pd.DataFrame(columns=tables.EVENTS),
        _audit(subset, expected, 0, reason, origin),
    )


def _audit(subset: str, expected: int, found: int, note: str, origin: whose.Origin) -> pd.DataFrame:
    return pd.DataFrame([[subset, expected, found, note, origin.kind]], columns=tables.AUDIT)
