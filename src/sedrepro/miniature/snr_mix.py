"""Look-alikes of FSDKaggle2018 and of the urban scene sets, in their layouts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr

from .. import audio
from ..errors import SedreproError
from ..files import write_text
from ..settings import Layout, Project
from ..sources import fsdkaggle2018, scenes
from . import instruments, machines, places, rendering, tones, voices
from .models import Model

VERSION = 1  # of the models: raise it when a sound changes, so that rendered data is renewed

EVENTS = {
    "Bark": Model(voices.dog, 0.4, 1.6),
    "Bass_drum": Model(instruments.bass_drum, 0.4, 0.9),
    "Bus": Model(instruments.bus, 1.2, 3.0),
    "Cowbell": Model(instruments.cowbell, 0.5, 1.6),
    "Flute": Model(instruments.flute, 0.7, 2.2),
    "Gong": Model(instruments.gong, 1.2, 3.0),
    "Hi-hat": Model(instruments.hi_hat, 0.3, 1.2),
    "Meow": Model(voices.cat, 0.5, 1.5),
    "Shatter": Model(instruments.shatter, 0.6, 1.6),
    "Telephone": Model(instruments.telephone, 0.9, 2.4),
}
UNVERIFIED = 0.2  # of the recordings: they are listed and never mixed

CITIES = ("barcelona", "helsinki", "lisbon", "london", "lyon", "milan", "paris", "prague")
# Scenes by what is heard in them: traffic, people, the hum of a vehicle (shares of the air's RMS).
SCENES = {
    "airport": (0.1, 0.5, 0.2),
    "bus": (0.4, 0.2, 1.0),
    "metro": (0.2, 0.2, 1.2),
    "metro_station": (0.3, 0.4, 0.6),
    "park": (0.3, 0.1, 0.0),
    "public_square": (0.6, 0.4, 0.0),
    "shopping_mall": (0.1, 0.6, 0.2),
    "street_pedestrian": (0.5, 0.5, 0.0),
    "street_traffic": (1.2, 0.1, 0.2),
    "tram": (0.3, 0.2, 0.9),
}
SCENE_RATE = 48000


def _files(project: Project) -> list[tuple[str, str, bool, int]]:
    """Every event recording in the table's order: file name, label, verified, its number."""
    look, found = project.data.look, []
    for place, label in enumerate(project.data.snr_mix.classes):
        if label not in EVENTS:
            raise SedreproError(
                f"the miniature has no sound of {label!r}; data.snr_mix.classes may name "
                f"{', '.join(EVENTS)}"
            )
        for index in range(look.fsd_files):
            rng = np.random.default_rng([look.seed, 21, place, index])
            name = f"{rng.bytes(4).hex()}.wav"
            found.append((name, label, index >= UNVERIFIED * look.fsd_files, index))
    return sorted(found)


def _write_events(project: Project, folder: Path) -> None:
    classes = project.data.snr_mix.classes
    for name, label, _, index in _files(project):
        rng = np.random.default_rng([project.data.look.seed, 22, classes.index(label), index])
        model = EVENTS[label]
        sound = model.synthesize(rng, float(rng.uniform(model.shortest, model.longest)))
        sound = tones.reflections(rng, sound, rng.uniform(0, 0.2))
        # Some recordings begin before their sound does.
        lead = np.zeros(tones.samples(rng.choice([0.0, 0.0, 0.05, 0.2])), np.float32)
        sound = np.concatenate([lead, sound * np.float32(rng.uniform(0.2, 0.95))])
        audio.write(folder / name, sound / max(1.0, np.abs(sound).max()), tones.RATE)


def _events(resource: str, project: Project) -> dict[str, int]:
    root = Path(Layout.of(project).raw(fsdkaggle2018.CORPUS))
    look, classes = project.data.look, project.data.snr_mix.classes
    recipe = {"models": VERSION, "seed": look.seed, "files": look.fsd_files, "classes": classes}
    made = rendering.folder(
        root / fsdkaggle2018.FOLDERS[0], recipe, lambda folder: _write_events(project, folder)
    )
    rows = [
        f"{name},{label},{int(verified)},{number},Creative Commons 0"
        for number, (name, label, verified, _) in enumerate(_files(project))
    ]
    head = "fname,label,manually_verified,freesound_id,license"
    write_text(root / fsdkaggle2018.TABLES[0], "\n".join([head, *rows]) + "\n")
    return made


def _recordings(project: Project) -> list[tuple[str, str, str]]:
    """Every scene in the table's order: file name, label, identifier."""
    found = []
    for index in range(project.data.look.scenes):
        label = list(SCENES)[index % len(SCENES)]
        place = f"{CITIES[index % len(CITIES)]}-{1000 + index // 4}"
        found.append((f"audio/{label}-{place}-{40000 + index}-a.wav", label, place))
    return found


def _write_scenes(project: Project, folder: Path) -> None:
    seconds = project.data.snr_mix.seconds
    for index, (name, label, _) in enumerate(_recordings(project)):
        rng = np.random.default_rng([project.data.look.seed, 23, index])
        sound = soxr.resample(scene(rng, label, seconds), tones.RATE, SCENE_RATE)
        sound *= np.float32(rng.uniform(0.05, 0.3) / np.abs(sound).max())
        both = np.stack([sound, np.roll(sound, 9) * np.float32(0.9)], axis=1)
        soundfile.write(folder / Path(name).name, both, SCENE_RATE, subtype="PCM_24")


def scene(rng: np.random.Generator, label: str, seconds: float) -> np.ndarray:
    """The air of a place, its traffic, its people and its machines."""
    n = tones.samples(seconds)
    traffic, people, hum = SCENES[label]
    air = places.background(rng, seconds)
    road = tones.noise(rng, n, [(40, -6), (120, 0), (700, -8), (2500, -18), (9000, -40)])
    air = air + np.float32(traffic) * road * tones.wander(rng, n, 0.7, 0.4, 1.4)
    if people > 0.3:
        babble = voices.speech(rng, seconds) + np.roll(voices.speech(rng, seconds), n // 3)
        air += np.float32(people * 0.5) * babble / np.float32(tones.rms(babble))
    if hum:
        motor = machines.vacuum(rng, seconds)
        air += np.float32(hum * 0.4) * motor / np.float32(tones.rms(motor))
    return air.astype(np.float32)


def _scenes(resource: str, project: Project) -> dict[str, int]:
    top = Path(Layout.of(project).raw(resource)) / scenes.TOPS[resource]
    look, seconds = project.data.look, project.data.snr_mix.seconds
    recipe = {"models": VERSION, "seed": look.seed, "scenes": look.scenes, "seconds": seconds}
    made = rendering.folder(top / "audio", recipe, lambda folder: _write_scenes(project, folder))
    rows = [f"{name}\t{label}\t{place}\ta" for name, label, place in _recordings(project)]
    write_text(
        top / "meta.csv",
        "\n".join(["filename\tscene_label\tidentifier\tsource_label", *rows]) + "\n",
    )
    return made


_RENDERERS: dict[str, Callable[[str, Project], dict[str, int]]] = {
    "fsdkaggle2018": _events,
    "tau2019": _scenes,
    "tut2018": _scenes,
}


def render(resource: str, project: Project) -> dict[str, int]:
    """Render a resource where its download would lie; returns files and bytes."""
    return _RENDERERS[resource](resource, project)
