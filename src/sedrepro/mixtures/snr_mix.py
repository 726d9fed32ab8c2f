"""Mixtures of three events over a scene at a fixed SNR: their recipe is kept, their audio is not.

`read` mixes a clip from the recordings that its recipe lists.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile

from .. import audio, tables
from ..clips import Clip, read_clips
from ..errors import SedreproError
from ..files import read_json
from ..settings import Layout, Project, Subset
from ..sources import fsdkaggle2018, scenes, whose
from . import recipe

CORPUS = "snr_mix"
RECIPE = ["clip", "seconds", "scene", "file", "onset", "offset", "snr"]
WAV_RATE = 32000  # Hz, of wavs written on request


class Event(NamedTuple):
    """An event recording in a mixture; onset and offset in seconds."""

    file: str
    onset: float
    offset: float


class Mixture(NamedTuple):
    """What one clip is mixed from; `snr` in dB."""

    seconds: float
    scene: str
    snr: float
    events: tuple[Event, ...]


def snr_of(subset: str) -> float:
    """The SNR that a subset's name says: `snr20` is 20 dB, `snr-5` is -5 dB."""
    found = re.fullmatch(r"snr(-?\d+(?:\.\d+)?)", subset)
    if not found:
        raise SedreproError(f"snr_mix has no subset {subset!r}; subsets are snr20, snr0, snr-5, …")
    return float(found[1])


# Recipe


def write_recipe(project: Project, subset: str) -> None:
    """The recipe of a subset and its clip tables; the same mixtures in every subset but the SNR.

    Mixtures of which a recording is missing are left out and counted.
    """
    snr, layout, where = snr_of(subset), Layout.of(project), Subset(CORPUS, subset)
    listed = _listed(project)
    expected = project.data.snr_mix.clips_per_fold * len(recipe.FOLDS)
    if listed is None:
        steps, note = pd.DataFrame(columns=[*RECIPE, "label", "fold"]), _reason(project)
    else:
        steps, note = _present(listed, project)
    path = recipe_path(project, subset)
    tables.write(path, steps.assign(snr=snr), RECIPE)
    each = steps.drop_duplicates("clip")
    clips = [
        Clip(name, subset, float(seconds), str(fold), recipe=path)
        for name, seconds, fold in zip(each["clip"], each["seconds"], each["fold"], strict=True)
    ]
    origin = _origin(project)
    note = "; ".join(filter(None, [*origin.notes, note]))
    audit = pd.DataFrame([[subset, expected, len(clips), note, origin.kind]], columns=tables.AUDIT)
    tables.write(layout.table(where, "events"), steps.assign(confidence=1.0), tables.EVENTS)
    tables.write(layout.table(where, "audit"), audit, tables.AUDIT)
    tables.write(layout.table(where, "clips"), tables.clip_table(clips), tables.CLIPS)


def recipe_path(project: Project, subset: str) -> str:
    return Layout.of(project).recipe(Subset(CORPUS, subset))


def _origin(project: Project) -> whose.Origin:
    """Whose the recordings are that mixtures are made of: events and scenes."""
    files, places = fsdkaggle2018.read(project), scenes.read(project)
    names = [] if files is None else files["fname"].tolist()
    corpus = project.data.snr_mix.scenes
    events = whose.of(project.data, fsdkaggle2018.CORPUS, "train", names)
    return whose.worst([events, whose.of(project.data, corpus, "development", places or [])])


def _listed(project: Project) -> pd.DataFrame | None:
    """Every mixture the recipe draws, one row per event; None where a table is missing."""
    settings = project.data.snr_mix
    files, places = fsdkaggle2018.read(project), scenes.read(project)
    if files is None or places is None:
        return None
    known = set(settings.classes)
    if foreign := sorted(set(files.loc[files["verified"], "label"]) - known):
        raise SedreproError(f"FSDKaggle2018: label {foreign[0]!r} is not in data.snr_mix.classes")
    draws = recipe.draw(files["verified"].to_numpy(), len(places), settings)
    clips, each = len(draws.fold), len(settings.onsets)
    rows = files.iloc[draws.events.reshape(-1)]
    folder, top = fsdkaggle2018.audio_folder(project), scenes.root(project)
    return pd.DataFrame(
        {
            "clip": np.repeat([f"{number:05d}" for number in range(clips)], each),
            "fold": np.repeat(draws.fold, each),
            "seconds": settings.seconds,
            "scene": np.repeat([str(top / places[row]) for row in draws.scene], each),
            "file": [str(folder / name) for name in rows["fname"]],
            "label": rows["label"].to_numpy(),
            "onset": np.tile(settings.onsets, clips),
        }
    )


def _present(listed: pd.DataFrame, project: Project) -> tuple[pd.DataFrame, str]:
    """The mixtures that can be made, their offsets, and what there is to say about the rest."""
    settings = project.data.snr_mix
    lengths = _lengths({*listed["file"], *listed["scene"]})
    files, places = listed["file"].map(lengths), listed["scene"].map(lengths)
    lacking = set(listed.loc[files.isna() | places.isna(), "clip"])
    notes = []
    if lacking:
        absent = sorted(path for path, length in lengths.items() if length is None)
        notes.append(
            f"{len(lacking)} mixtures left out, of which a recording is missing "
            f"({len(absent)} in all, the first {Path(absent[0]).name})"
        )
    kept = listed[~listed["clip"].isin(lacking)]
    short = kept.loc[places[kept.index] < settings.seconds, "scene"].nunique()
    if short:
        notes.append(f"{short} scenes shorter than {settings.seconds:g} s, padded with silence")
    sounding = files[kept.index].astype(float).clip(upper=settings.longest)
    return kept.assign(offset=kept["onset"] + sounding), "; ".join(notes)


def _lengths(paths: Iterable[str]) -> dict[str, float | None]:
    """Seconds of every recording from its header, None where there is no file."""
    paths = sorted(paths)
    with ThreadPoolExecutor(8) as pool:
        return dict(zip(paths, pool.map(_length, paths), strict=True))


def _length(path: str) -> float | None:
    return audio.seconds(path) if Path(path).exists() else None


def _reason(project: Project) -> str:
    """Why a table is missing, as the fetch of its resource ended; it may have brought the rest."""
    found = {
        fsdkaggle2018.CORPUS: fsdkaggle2018.read(project),
        project.data.snr_mix.scenes: scenes.read(project),
    }
    for resource in [name for name, table in found.items() if table is None]:
        path = Path(Layout.of(project).status(resource))
        if path.exists() and (status := read_json(path))["status"] != "ok":
            return f"{resource}: {status['reason']}"
    raise SedreproError(
        f"neither {fsdkaggle2018.root(project)} holds {' or '.join(fsdkaggle2018.TABLES)}, or "
        f"{scenes.root(project)} holds no meta.csv"
    )


# Audio


def read(clip: Clip, sample_rate: int) -> np.ndarray:
    """A mixture as mono float32: the mean of its two tracks."""
    return tracks(mixture(clip), sample_rate).mean(axis=0)


def mixture(clip: Clip) -> Mixture:
    known = _mixtures(clip.recipe)
    if clip.name not in known:
        raise SedreproError(f"{clip.recipe}: has no mixture {clip.name!r}")
    return known[clip.name]


def tracks(mixture: Mixture, sample_rate: int) -> np.ndarray:
    """(2, samples) float32: events and scene, divided by their joint peak.

    The scene has RMS 1 over its whole length. An event has the RMS the SNR asks for over its whole
    recording, before it is cut: leading silence counts.
    """
    mixed = np.zeros((2, round(mixture.seconds * sample_rate)), np.float32)
    for event in mixture.events:
        sound = _levelled(event.file, sample_rate) * np.float32(10 ** (mixture.snr / 20))
        first = int(event.onset * sample_rate)
        sound = sound[: int(event.offset * sample_rate) - first][: mixed.shape[1] - first]
        mixed[0, first : first + len(sound)] = sound
    mixed[1] = audio.fit(_levelled(mixture.scene, sample_rate), mixed.shape[1])
    return mixed / np.abs(mixed).max()


def write_wavs(project: Project, subset: str, folder: str | Path) -> None:
    """The mixtures as the original recipe leaves them on disk: events left, scene right."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for clip in read_clips(Layout.of(project).table(Subset(CORPUS, subset), "clips")):
        both = tracks(mixture(clip), WAV_RATE)
        soundfile.write(Path(folder) / f"{clip.name}.wav", both.T, WAV_RATE, subtype="PCM_16")


def _levelled(path: str, sample_rate: int) -> np.ndarray:
    """A recording with an RMS of 1."""
    samples = audio.read(path, sample_rate)
    rms = np.sqrt(np.mean(np.square(samples, dtype=np.float64)))
    if rms == 0:
        raise SedreproError(
            f"{path}: is silent, so no SNR can be set; replace it, or delete it to have the "
            "mixtures that need it left out and counted"
        )
    return samples / np.float32(rms)


@lru_cache(maxsize=4)
def _mixtures(path: str) -> dict[str, Mixture]:
    found: dict[str, Mixture] = {}
    for row in tables.read(path, RECIPE)[RECIPE].itertuples(index=False):
        clip, seconds, scene, *event, snr = row
        before = found.get(clip, Mixture(seconds, scene, snr, ()))
        found[clip] = before._replace(events=(*before.events, Event(*event)))
    return found
