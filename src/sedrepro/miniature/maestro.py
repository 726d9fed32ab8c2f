"""A look-alike of MAESTRO Real: recordings of five scenes, and what a crowd heard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import fft

from .. import audio
from ..files import write_text
from ..settings import Layout, Project
from ..settings.data import Look
from ..sources.maestro import SCENES, VALIDATION
from . import desed, places, rendering, streets, tones

HEARD = {
    "cafe_restaurant": (
        "cutlery and dishes",
        "people talking",
        "coffee machine",
        "children voices",
        "furniture dragging",
    ),
    "city_center": ("car", "large_vehicle", "footsteps", "brakes_squeaking", "people talking"),
    "grocery_store": (
        "cash register beeping",
        "announcement",
        "shopping cart",
        "people talking",
        "children voices",
    ),
    "metro_station": (
        "metro approaching",
        "metro leaving",
        "footsteps",
        "announcement",
        "door opens/closes",
    ),
    "residential_area": ("birds_singing", "wind_blowing", "car", "footsteps", "children voices"),
}
STREAM = 20  # of random numbers, apart from those of other look-alikes
DENSITY = 0.4  # events a second


def names(look: Look) -> list[str]:
    """The recordings, under official names: of each scene the first that train and validate."""
    training, validation = look.maestro
    chosen = []
    for scene in SCENES:
        numbers = [f"{k:02d}" for k in range(20)]
        train = [k for k in numbers if k not in VALIDATION[scene]][:training]
        chosen += [f"{scene}_{k}" for k in sorted([*train, *VALIDATION[scene][:validation]])]
    return chosen


def plan(recording: str, look: Look) -> list[desed.Event]:
    """The events of a recording, without a sample of audio; its classes take turns."""
    rng = _random(recording, look, 0)
    labels = HEARD[recording.rpartition("_")[0]]
    first, events = int(rng.integers(len(labels))), []
    for index in range(max(len(labels), round(DENSITY * look.maestro_seconds))):
        seconds = float(rng.uniform(2.0, 4.5))
        start = float(rng.uniform(-0.5, look.maestro_seconds - 1.5))
        label = labels[(first + index) % len(labels)]
        events.append(desed.Event(label, start, seconds, float(rng.uniform(4, 18))))
    return sorted(events, key=lambda event: event.start)


def soft_labels(recording: str, look: Look) -> str:
    """The annotation's text: per second and class how much of it is filled, as a crowd errs."""
    rng, rows = _random(recording, look, 1), []
    events = plan(recording, look)
    for second in range(int(np.ceil(look.maestro_seconds))):
        for label in dict.fromkeys(event.label for event in events):
            spans = [
                max(0.0, min(second + 1, e.start + e.seconds) - max(second, e.start))
                for e in events
                if e.label == label
            ]
            heard = min(1.0, max(spans)) * rng.uniform(0.8, 1.05) + rng.normal(0, 0.05)
            if heard > 0.08:
                end = min(second + 1.0, look.maestro_seconds)
                rows.append(f"{second:.1f}\t{end:.1f}\t{label}\t{min(heard, 1.0):.4f}\n")
    return "".join(rows)


def render_recording(recording: str, look: Look) -> np.ndarray:
    """The audio at 44.1 kHz (sample, channel): events in a place, through two microphones."""
    rng = _random(recording, look, 2)
    n = tones.samples(look.maestro_seconds)
    size = tones.block(n + tones.samples(places.LONGEST_TAIL))
    dry = np.zeros(n, dtype=np.float32)
    for event in plan(recording, look):
        sound = streets.draw(event.label, rng, event.seconds)
        level = np.sqrt(np.mean(np.square(sound))) + 1e-6
        sound = sound * tones.envelope(len(sound), 0.05, 0.05)
        gain = np.float32(10 ** (event.decibels / 20) / level)
        tones.add(dry, round(event.start * tones.RATE), sound * gain)
    ambience = places.background(rng, look.maestro_seconds)
    room = places.room((look.seed, STREAM, int(rng.integers(6))), size)
    spectrum = fft.rfft(dry, size) * room + fft.rfft(ambience, size)
    mono = fft.irfft(spectrum * places.microphone(rng, size), size)[:n]
    mono *= np.float32(rng.uniform(0.3, 0.8) / np.max(np.abs(mono)))
    return np.stack([mono, np.float32(0.8) * np.roll(mono, 15)], axis=1)


def _random(recording: str, look: Look, use: int) -> np.random.Generator:
    scene, _, number = recording.rpartition("_")
    return np.random.default_rng([look.seed, STREAM, SCENES.index(scene), int(number), use])


def _audio(folder: Path, look: Look) -> None:
    for recording in names(look):
        place = folder / recording.rpartition("_")[0] / f"{recording}.wav"
        place.parent.mkdir(exist_ok=True)
        audio.write(place, render_recording(recording, look), tones.RATE)


def _annotation(folder: Path, look: Look) -> None:
    for recording in names(look):
        place = folder / f"soft_labels_{recording.rpartition('_')[0]}" / f"{recording}.txt"
        write_text(place, soft_labels(recording, look))


def _durations(root: Path, look: Look) -> dict[str, int]:
    rows = [f"{recording}\t{look.maestro_seconds}\n" for recording in names(look)]
    text = "filename\tduration\n" + "".join(rows)
    write_text(root / "metadata" / "development_metadata.csv", text)
    return {"files": 1, "bytes": len(text)}


def _folder(
    name: str, fill: Callable[[Path, Look], None]
) -> Callable[[Path, Look], dict[str, int]]:
    def make(root: Path, look: Look) -> dict[str, int]:
        recipe = {
            "resource": name,
            "models": streets.VERSION,
            "seed": look.seed,
            "recordings": list(look.maestro),
            "seconds": look.maestro_seconds,
        }
        return rendering.folder(root / name, recipe, lambda folder: fill(folder, look))

    return make


_RENDERERS = {
    "maestro_audio": _folder("development_audio", _audio),
    "maestro_annotation": _folder("development_annotation", _annotation),
    "maestro_durations": _durations,
}
RESOURCES = tuple(_RENDERERS)


def render(resource: str, project: Project) -> dict[str, int]:
    """Render one of RESOURCES where its download would lie; returns files and bytes."""
    root = Path(Layout.of(project).raw("maestro"))
    return _RENDERERS[resource](root, project.data.look)
