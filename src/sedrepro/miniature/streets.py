"""The sound models of MAESTRO's classes: streets, stations, shops and gardens."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import kitchen, tones, voices
from .tones import RATE, samples

VERSION = 1  # of the models: raise it when a sound changes, so that rendered data is renewed

Generator = np.random.Generator


def _crowd(rng: Generator, seconds: float) -> np.ndarray:
    return voices.speech(rng, seconds) + np.float32(0.7) * voices.speech(rng, seconds)


def _children(rng: Generator, seconds: float) -> np.ndarray:
    """Voices of small throats: everything is higher and quicker."""
    n, faster = samples(seconds), rng.uniform(1.7, 2.1)
    voice = voices.speech(rng, seconds * faster + 0.1)
    return voice[(np.arange(n) * faster).astype(int)]


def _announcement(rng: Generator, seconds: float) -> np.ndarray:
    """A voice out of a small loudspeaker, with its echo."""
    horn = [(200, -40), (500, -4), (1200, 0), (3000, 0), (4500, -30), (9000, -60)]
    return tones.reflections(rng, tones.shaped(voices.speech(rng, seconds), horn), 0.8)


def _repeated(
    rng: Generator, seconds: float, every: tuple[float, float], piece: Callable[[], np.ndarray]
) -> np.ndarray:
    out, at = np.zeros(samples(seconds), dtype=np.float32), 0.0
    while at < seconds - 0.05:
        tones.add(out, samples(at), piece() * np.float32(rng.uniform(0.6, 1)))
        at += rng.uniform(*every)
    return out


def _footsteps(rng: Generator, seconds: float) -> np.ndarray:
    pace = rng.uniform(0.42, 0.6)
    floor = tones.uniform_log(rng, 180, 700)

    def step() -> np.ndarray:
        n = samples(0.12)
        points = [(40, -10), (floor, 0), (4 * floor, -14), (9000, -40)]
        return tones.noise(rng, n, points) * np.exp(
            -np.arange(n, dtype=np.float32) / (0.018 * RATE)
        )

    return _repeated(rng, seconds, (0.96 * pace, 1.04 * pace), step)


def _passing(
    rng: Generator, seconds: float, hump: tuple[float, float], engine: float
) -> np.ndarray:
    """A vehicle comes and goes: tyres, and an engine below them."""
    n, centre = samples(seconds), tones.uniform_log(rng, *hump)
    tyres = tones.noise(
        rng, n, [(30, -12), (centre, 0), (3 * centre, -8), (6000, -24), (15000, -50)]
    )
    pitch = tones.curve(n, [1.06, 1.0, 0.94]) * np.float32(rng.uniform(0.8, 1.25) * engine)
    motor = tones.wave_table(1 / np.arange(1.0, 13.0), rng)[tones.steps(pitch)]
    out = tyres + np.float32(0.8 if engine < 60 else 0.3) * motor
    return out * tones.curve(n, [0.15, 1, 0.15], [0, rng.uniform(0.35, 0.65), 1])


def _brakes(rng: Generator, seconds: float) -> np.ndarray:
    n, pitch = samples(seconds), tones.uniform_log(rng, 1900, 3600)
    table = tones.wave_table(np.array([1, 0.35, 0.2, 0.1]), rng)
    squeal = table[tones.steps(pitch * tones.wander(rng, n, 6, 0.985, 1.015))]
    return squeal * tones.wander(rng, n, 9, 0.5, 1) * tones.envelope(n, 0.1, 0.3)


def _beeps(rng: Generator, seconds: float) -> np.ndarray:
    n, pitch = samples(0.11), tones.uniform_log(rng, 1300, 2500)
    table = tones.wave_table(np.array([1, 0.05, 0.3]), rng)
    beep = table[tones.steps(np.full(n, pitch))] * tones.envelope(n, 0.004, 0.01)
    return _repeated(rng, seconds, (0.5, 1.1), lambda: beep)


def _coffee(rng: Generator, seconds: float) -> np.ndarray:
    n = samples(seconds)
    steam = tones.noise(rng, n, [(400, -40), (2500, -6), (6000, 0), (12000, -3), (18000, -20)])
    pump = tones.wave_table(1 / np.arange(1.0, 20.0), rng)[tones.steps(np.full(n, 50.0))]
    return (steam + np.float32(0.5) * pump) * tones.wander(rng, n, 4, 0.7, 1)


def _dragging(rng: Generator, seconds: float) -> np.ndarray:
    """Legs of a chair that stick and slip."""
    n = samples(seconds)
    edge = tones.uniform_log(rng, 350, 800)
    scrape = tones.noise(rng, n, [(100, -20), (edge, 0), (2 * edge, -4), (5000, -22), (12000, -45)])
    rough = tones.wave_table(1 / np.arange(1.0, 9.0), rng)
    slips = rough[tones.steps(rng.uniform(18, 34) * tones.wander(rng, n, 5, 0.7, 1.3))]
    return scrape * np.clip(slips, 0, 2) * tones.envelope(n, 0.05, 0.1)


def _cart(rng: Generator, seconds: float) -> np.ndarray:
    """Small wheels that rattle a wire basket."""
    rings = [
        tones.ring(rng, rng.uniform(1200, 6500, 5), rng.uniform(0.03, 0.12, 5), np.full(5, 0.7))
        for _ in range(4)
    ]
    rattle = _repeated(rng, seconds, (0.03, 0.11), lambda: rings[int(rng.integers(4))])
    return rattle + np.float32(0.1) * tones.noise(
        rng, len(rattle), [(80, -10), (300, 0), (1500, -12), (9000, -40)]
    )


def _metro(rng: Generator, seconds: float, leaving: bool) -> np.ndarray:
    """A train in a tube; its motors' whine follows its speed."""
    n = samples(seconds)
    rumble = tones.noise(rng, n, [(25, -6), (70, 0), (250, -4), (1200, -16), (6000, -34)])
    speed = tones.curve(n, [0.3, 1.0] if leaving else [1.0, 0.3])
    whine = tones.wave_table(np.array([1, 0.6, 0.5, 0.3, 0.2]), rng)
    pitch = rng.uniform(380, 620) * speed
    loud = tones.curve(n, [0.5, 1, 0.2] if leaving else [0.2, 1, 0.5])
    return (rumble + np.float32(0.6) * whine[tones.steps(pitch)]) * loud


def _door(rng: Generator, seconds: float) -> np.ndarray:
    n = samples(seconds)
    pitch = rng.uniform(250, 500) * tones.curve(n, [0.8, 1.2, 0.9])
    creak = tones.wave_table(np.ones(10), rng)[tones.steps(pitch)] * tones.wander(rng, n, 14, 0, 1)
    out = np.float32(0.25) * creak * tones.envelope(n, 0.05, 0.2)
    thud = tones.ring(rng, rng.uniform(70, 420, 6), rng.uniform(0.1, 0.3, 6), np.ones(6))
    tones.add(out, max(0, n - len(thud)), thud)
    return out


def _wind(rng: Generator, seconds: float) -> np.ndarray:
    n = samples(seconds)
    gust = tones.noise(rng, n, [(20, 0), (120, -2), (400, -14), (1500, -34), (8000, -60)])
    return gust * tones.wander(rng, n, 1.2, 0.4, 1)


def _birds(rng: Generator, seconds: float) -> np.ndarray:
    base = tones.uniform_log(rng, 2800, 5200)
    table = tones.wave_table(np.array([1, 0.08]), rng)

    def chirp() -> np.ndarray:
        n = samples(rng.uniform(0.05, 0.16))
        glide = base * tones.curve(n, rng.uniform(0.8, 1.3, 3))
        return table[tones.steps(glide)] * tones.envelope(n, 0.01, 0.03)

    return _repeated(rng, seconds, (0.1, 0.35), chirp)


MODELS: dict[str, Callable[[Generator, float], np.ndarray]] = {
    "cutlery and dishes": kitchen.dishes,
    "furniture dragging": _dragging,
    "people talking": _crowd,
    "children voices": _children,
    "coffee machine": _coffee,
    "footsteps": _footsteps,
    "large_vehicle": lambda rng, seconds: _passing(rng, seconds, (90, 200), 38.0),
    "car": lambda rng, seconds: _passing(rng, seconds, (500, 1100), 85.0),
    "brakes_squeaking": _brakes,
    "cash register beeping": _beeps,
    "announcement": _announcement,
    "shopping cart": _cart,
    "metro leaving": lambda rng, seconds: _metro(rng, seconds, True),
    "metro approaching": lambda rng, seconds: _metro(rng, seconds, False),
    "door opens/closes": _door,
    "wind_blowing": _wind,
    "birds_singing": _birds,
}


def draw(label: str, rng: Generator, seconds: float) -> np.ndarray:
    """A sound of the class that lasts `seconds`, peak 1."""
    sound = MODELS[label](rng, seconds)
    return sound / (np.max(np.abs(sound)) + np.float32(1e-9))
