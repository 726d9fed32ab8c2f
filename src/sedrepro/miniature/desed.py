"""A look-alike of DESED: its sound bank, its recordings and its tables, rendered from sound models.

Recordings are planned first (names, lengths, events); tables and audio are two views of one plan.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soxr
from scipy import fft

from .. import audio
from ..files import write_text
from ..settings import Layout, Project
from ..settings.data import Look
from . import models, places, rendering, tones

# Where the official download puts the audio and the table of each subset of recordings.
AUDIO = {
    "weak": "audio/train/weak",
    "unlabelled": "audio/train/unlabel_in_domain",
    "validation": "audio/validation/validation",
    "public_eval": "audio/eval/public",
    "strong_real": "audio/train/strong_label_real",
}
TABLES = {
    "weak": "metadata/train/weak.tsv",
    "unlabelled": "metadata/train/unlabel_in_domain.tsv",
    "validation": "metadata/validation/validation.tsv",
    "public_eval": "metadata/eval/public.tsv",
    "strong_real": "metadata/train/audioset_strong.tsv",
}
# Independent streams of random numbers; a new kind of draw takes a new number.
STREAM = {
    "weak": 1,
    "unlabelled": 2,
    "validation": 3,
    "public_eval": 4,
    "train": 5,
    "bank_validation": 6,
    "strong_real": 7,
}
# Label suffixes of sounds that were cut from a longer one: they have no natural onset or offset.
UNBOUNDED = {"Frying": {3: "_nOff"}, "Vacuum_cleaner": {5: "_nOn_nOff"}}
LONGEST = 0.6  # of the clip: most events must begin and end inside it


@dataclass(frozen=True)
class Event:
    """A sound in a recording; lasting sounds may start before it or end after it (seconds)."""

    label: str
    start: float
    seconds: float
    decibels: float  # over the background

    def visible(self, clip_seconds: float) -> tuple[float, float]:
        return max(0.0, self.start), min(clip_seconds, self.start + self.seconds)


@dataclass(frozen=True)
class Recording:
    """One clip of a plan."""

    filename: str
    seconds: float
    events: tuple[Event, ...]
    seed: tuple[int, ...]
    channels: int = 1
    sample_rate: int = tones.RATE


def plan(subset: str, look: Look) -> list[Recording]:
    """Every recording of a subset, without a sample of audio."""
    return [_recording(subset, index, look) for index in range(look.clips.get(subset, 0))]


def _recording(subset: str, index: int, look: Look) -> Recording:
    seed = (look.seed, STREAM[subset], index)
    rng = np.random.default_rng([*seed, 0])
    seconds = float(look.seconds)
    if index % 9 == 4:  # cut short by the end of its video
        seconds = round(look.seconds * rng.uniform(0.55, 0.95), 3)
    silent = subset == "validation" and index % 30 == 7
    return Recording(
        filename=_filename(rng, subset, look.seconds),
        seconds=seconds,
        events=() if silent else _events(rng, index, seconds, look.seconds),
        seed=seed,
        channels=2 if index == 1 else 1,
        sample_rate=48000 if index == 2 else tones.RATE,
    )


def _filename(rng: np.random.Generator, subset: str, seconds: float) -> str:
    """The name of a cut from a video: its 11-character id, start and end."""
    video = base64.urlsafe_b64encode(rng.bytes(9)).decode()[:11]
    start = 10 * int(rng.integers(0, 30))
    if subset == "public_eval":
        return f"{video}_{start}_{start + seconds:g}.wav"
    return f"Y{video}_{start:.3f}_{start + seconds:.3f}.wav"


def _events(
    rng: np.random.Generator, index: int, seconds: float, nominal: float
) -> tuple[Event, ...]:
    """One to four events; the first one's class takes turns, so that small sets have all."""
    labels = list(models.MODELS)
    count = int(rng.choice([1, 2, 3, 4], p=[0.35, 0.35, 0.2, 0.1]))
    chosen = [labels[index % len(labels)], *rng.choice(labels, count - 1)]
    events: list[Event] = []
    for label in chosen:
        length = models.duration(label, rng, LONGEST * nominal)
        beyond = 0.3 * length if models.MODELS[label].lasting else 0.0
        latest = max(-beyond, seconds - length + beyond)
        start = round(float(rng.uniform(-beyond, latest)), 3)
        event = Event(label, start, length, round(float(rng.uniform(10, 28)), 1))
        if all(_apart(event, other, seconds) for other in events):
            events.append(event)
    return tuple(sorted(events, key=lambda event: event.start))


def _apart(event: Event, other: Event, seconds: float) -> bool:
    """Sounds of one class neither overlap nor nearly touch: the annotators would hear one."""
    if event.label != other.label:
        return True
    (onset, offset), (other_onset, other_offset) = event.visible(seconds), other.visible(seconds)
    return onset > other_offset + 0.25 or other_onset > offset + 0.25


def _table(subset: str, recordings: list[Recording]) -> str:
    """The text of the official table; a clip without events has one row with empty cells."""
    if subset == "unlabelled":
        return "\n".join(["filename", *(r.filename for r in recordings)]) + "\n"
    if subset == "weak":
        rows = [
            f"{r.filename}\t{','.join(sorted({event.label for event in r.events}))}"
            for r in recordings
        ]
        return "\n".join(["filename\tevent_labels", *rows]) + "\n"
    rows = []
    for r in recordings:
        for event in r.events:
            onset, offset = event.visible(r.seconds)
            rows.append(f"{r.filename}\t{onset:.3f}\t{offset:.3f}\t{event.label}")
        if not r.events:
            rows.append(f"{r.filename}\t\t\t")
    return "\n".join(["filename\tonset\toffset\tevent_label", *rows]) + "\n"


def render_recording(recording: Recording) -> np.ndarray:
    """The audio at 44.1 kHz: events in a room, over a background, through a microphone."""
    rng = np.random.default_rng([*recording.seed, 1])
    n = tones.samples(recording.seconds)
    size = tones.block(n + tones.samples(places.LONGEST_TAIL))  # or the end rings at the start
    dry = np.zeros(n, dtype=np.float32)
    for event in recording.events:
        sound = models.draw(event.label, rng, event.seconds)
        gain = 10 ** (event.decibels / 20) / _loudness(sound)
        tones.add(dry, round(event.start * tones.RATE), sound * np.float32(gain))
    ambience = places.background(rng, recording.seconds)
    room = places.room((*recording.seed[:2], int(rng.integers(12))), size)
    spectrum = fft.rfft(dry, size) * room + fft.rfft(ambience, size)
    mono = fft.irfft(spectrum * places.microphone(rng, size), size)[:n]
    return mono * np.float32(rng.uniform(0.15, 0.85) / np.max(np.abs(mono)))


def _loudness(sound: np.ndarray) -> float:
    """RMS of the louder parts: what is between the barks does not make a dog quieter."""
    frames = sound[: len(sound) // 441 * 441].reshape(-1, 441)
    power = np.sort(np.mean(np.square(frames), axis=1))
    return float(np.sqrt(np.mean(power[len(power) // 2 :]))) + 1e-6


def _write_recordings(recordings: list[Recording], folder: Path) -> None:
    for recording in recordings:
        sound = render_recording(recording)
        if recording.sample_rate != tones.RATE:
            sound = soxr.resample(sound, tones.RATE, recording.sample_rate)
        if recording.channels == 2:  # a second microphone, a little further away
            sound = np.stack([sound, 0.7 * np.roll(sound, 20)], axis=1)
        audio.write(folder / recording.filename, sound, recording.sample_rate)


def _write_soundbank(look: Look, folder: Path) -> None:
    splits = (
        ("train", "train", look.foregrounds, look.backgrounds),
        ("validation", "bank_validation", -(-look.foregrounds // 2), -(-2 * look.backgrounds // 3)),
    )
    for split, stream, foregrounds, backgrounds in splits:
        bank = folder / split / "soundbank"
        for number, label in enumerate(models.MODELS):
            seed = [look.seed, STREAM[stream], number]
            names = _source_names(np.random.default_rng(seed), foregrounds)
            for index, name in enumerate(names):
                suffix = UNBOUNDED.get(label, {}).get(index % 16, "")
                place = bank / "foreground" / (label + suffix) / name
                place.parent.mkdir(parents=True, exist_ok=True)
                rng = np.random.default_rng([*seed, index])
                audio.write(place, _foreground(label, suffix, rng, look.seconds), tones.RATE)
        seed = [look.seed, STREAM[stream], len(models.MODELS)]
        for index in range(backgrounds):
            place = bank / "background" / _background_name(index, split)
            place.parent.mkdir(parents=True, exist_ok=True)
            sound = places.background(np.random.default_rng([*seed, index]), look.seconds)
            audio.write(place, sound * np.float32(0.5 / np.max(np.abs(sound))), tones.RATE)


def _foreground(
    label: str, suffix: str, rng: np.random.Generator, clip_seconds: float
) -> np.ndarray:
    """A close recording of one sound; without natural edges it is cut from a longer one."""
    seconds = models.duration(label, rng, LONGEST * clip_seconds)
    edge = 1.0
    begin, end = ("_nOn" in suffix), ("_nOff" in suffix)
    if begin and end:  # fills any clip
        seconds = clip_seconds + 1
    sound = models.draw(label, rng, seconds + edge * (begin + end))
    sound = sound[tones.samples(edge * begin) : len(sound) - tones.samples(edge * end)]
    sound = tones.reflections(rng, sound, rng.uniform(0, 0.15))
    return sound * np.float32(tones.uniform_log(rng, 0.2, 0.95) / np.max(np.abs(sound)))


def _source_names(rng: np.random.Generator, count: int) -> list[str]:
    """Names as in the real bank: a number, some with several cuts (87151.wav, 258175_0.wav)."""
    names: list[str] = []
    numbers = iter(rng.permutation(np.arange(20000, 430000, 7))[:count])
    while len(names) < count:
        number = next(numbers)
        cuts = int(rng.integers(2, 5)) if rng.random() < 0.2 else 0
        names += [f"{number}_{cut}.wav" for cut in range(cuts)] or [f"{number}.wav"]
    return names[:count]


def _background_name(index: int, split: str) -> str:
    """Names of the two sources of the real bank's backgrounds."""
    node, scene = (87, 113) if split == "validation" else (12, 20)
    if index % 3 == 2:
        return f"tut-scenes-2017-dev/b{scene}_{10 * index}_{10 * index + 10}.wav"
    return f"sins/DevNode{index % 4 + 1}_ex{node}_{index + 1}.wav"


def _recipe(resource: str, look: Look, **numbers: int) -> dict:
    """What a rendered folder depends on."""
    return {
        "resource": resource,
        "models": models.VERSION,
        "seed": look.seed,
        "seconds": look.seconds,
        **numbers,
    }


def _metadata(root: Path, look: Look) -> dict[str, int]:
    sizes = []
    for subset in ("weak", "unlabelled", "validation"):
        text = _table(subset, plan(subset, look))
        write_text(root / TABLES[subset], text)
        sizes.append(len(text))
    return {"files": len(sizes), "bytes": sum(sizes)}


def _recordings(subset: str) -> Callable[[str, Path, Look], dict[str, int]]:
    def render(resource: str, root: Path, look: Look) -> dict[str, int]:
        recordings = plan(subset, look)
        made = rendering.folder(
            root / AUDIO[subset],
            _recipe(resource, look, clips=len(recordings)),
            lambda folder: _write_recordings(recordings, folder),
        )
        if subset in ("public_eval", "strong_real"):  # these bring their own tables
            write_text(root / TABLES[subset], _table(subset, recordings))
        return made

    return render


def _soundbank(resource: str, root: Path, look: Look) -> dict[str, int]:
    recipe = _recipe(resource, look, foregrounds=look.foregrounds, backgrounds=look.backgrounds)
    return rendering.folder(root / "audio", recipe, lambda folder: _write_soundbank(look, folder))


_RENDERERS: dict[str, tuple[str, Callable[[str, Path, Look], dict[str, int]]]] = {
    "desed_metadata": ("desed", lambda resource, root, look: _metadata(root, look)),
    "desed_weak": ("desed", _recordings("weak")),
    "desed_unlabelled": ("desed", _recordings("unlabelled")),
    "desed_validation": ("desed", _recordings("validation")),
    "desed_public_eval": ("desed", _recordings("public_eval")),
    "desed_strong_real": ("desed", _recordings("strong_real")),
    "desed_soundbank": ("desed_soundbank", _soundbank),
}
RESOURCES = tuple(_RENDERERS)


def render(resource: str, project: Project) -> dict[str, int]:
    """Render one of RESOURCES where its download would lie; returns files and bytes."""
    corpus, renderer = _RENDERERS[resource]
    return renderer(resource, Path(Layout.of(project).raw(corpus)), project.data.look)
