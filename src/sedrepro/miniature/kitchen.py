"""Small events in great number: dishes, frying, running water."""

from __future__ import annotations

import numpy as np

from . import tones
from .tones import samples


def dishes(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Plates and cutlery that touch: short inharmonic rings, singly and in flurries."""
    n = samples(seconds)
    out = np.zeros(n, dtype=np.float32)
    pieces = [_dish(rng) for _ in range(3)]
    at = 0.0
    while at < seconds - 0.12:
        piece = pieces[int(rng.integers(len(pieces)))] * np.float32(tones.uniform_log(rng, 0.35, 1))
        tones.add(out, samples(at), piece)
        at += rng.uniform(0.03, 0.09) if rng.random() < 0.5 else rng.uniform(0.09, 0.24)
    return out * tones.envelope(n, 0, 0.06)


def _dish(rng: np.random.Generator) -> np.ndarray:
    """One thing struck: porcelain rings lower and shorter than metal or glass."""
    lowest = tones.uniform_log(rng, 900, 3400)
    modes = lowest * np.cumprod(np.r_[1, rng.uniform(1.18, 1.75, 6)])
    modes = modes[modes < 15000]
    decays = rng.uniform(0.3, 0.9) * rng.uniform(0.5, 1, len(modes))
    body = tones.ring(rng, modes, decays, rng.uniform(0.3, 1, len(modes)))
    click = tones.noise(rng, samples(0.012), [(300, -20), (2000, 0), (12000, -6)])
    fall = np.exp(-np.arange(len(click), dtype=np.float32) / 120)
    tones.add(body, 0, click * fall * np.float32(rng.uniform(0.5, 1.5)))
    return body


def frying(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Fat that spits: a high hiss and hundreds of tiny pops a second, some of them large."""
    n = samples(seconds)
    heat = tones.wander(rng, n, 2, 0.5, 1)
    pops = np.zeros(n, dtype=np.float32)
    for per_second, low, high in ((rng.uniform(150, 500), 0.2, 1.5), (rng.uniform(6, 22), 2, 5)):
        count = max(1, round(per_second * seconds))
        where = rng.integers(0, n, count)
        pops[where] += (
            np.exp(rng.uniform(np.log(low), np.log(high), count)) * rng.choice([-1, 1], count)
        ).astype(np.float32)
    centre = tones.uniform_log(rng, 3500, 6500)
    spit = tones.shaped(
        pops, [(400, -34), (1200, -20), (centre, 0), (2 * centre, -8), (18000, -26)]
    )
    hiss = tones.noise(rng, n, [(500, -40), (2500, -14), (6000, 0), (11000, -2), (18000, -16)])
    out = spit / tones.rms(spit) * np.float32(rng.uniform(1.0, 1.7)) + hiss
    return out * heat * tones.envelope(n, min(0.25, seconds / 5), min(0.3, seconds / 5))


def water(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A tap into a basin: a broad splash in the middle frequencies, full of rising bubbles."""
    n = samples(seconds)
    basin = tones.uniform_log(rng, 1100, 2200)
    out = tones.noise(
        rng, n, [(80, -46), (400, -18), (basin, 0), (2 * basin, -3), (7000, -12), (14000, -28)]
    ) * tones.wander(rng, n, 6, 0.7, 1)
    drops = [_bubble(rng) for _ in range(8)]
    for start in rng.integers(0, n, round(rng.uniform(20, 45) * seconds)):
        piece = drops[int(rng.integers(len(drops)))]
        tones.add(out, int(start), piece * np.float32(tones.uniform_log(rng, 0.8, 5)))
    flow = tones.curve(n, [0.4, 1, 0.9, 0.35], [0, min(0.15 / seconds, 0.3), 0.85, 1])
    return out * flow * tones.envelope(n, 0.02, 0.12)


def _bubble(rng: np.random.Generator) -> np.ndarray:
    """A bubble's note rises as it closes."""
    n = samples(rng.uniform(0.02, 0.06))
    t = np.arange(n, dtype=np.float32) / np.float32(n)
    pitch = tones.uniform_log(rng, 400, 1800) * (1 + np.float32(rng.uniform(0.2, 0.9)) * t)
    turns = np.cumsum(pitch) * np.float32(2 * np.pi / tones.RATE)
    return (np.sin(turns) * np.exp(-5 * t)).astype(np.float32)
