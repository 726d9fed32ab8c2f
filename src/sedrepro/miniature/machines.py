"""Motors and alarms: blender, electric shaver or toothbrush, vacuum cleaner, alarm bells."""

from __future__ import annotations

import numpy as np

from . import tones
from .tones import samples


def blender(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A fast motor that spins up, labours under its load and stops: a full, wavering comb."""
    n = samples(seconds)
    pitch = tones.uniform_log(rng, 130, 250)
    partials = tones.harmonics(pitch, 9000)
    body = [(rng.uniform(700, 1400), 500, 1.0), (rng.uniform(2200, 3800), 900, 0.7)]
    amplitudes = tones.formants(partials, body, -1.5) * np.exp(rng.normal(0, 0.6, len(partials)))
    table = tones.wave_table(amplitudes, rng)
    rise, fall = min(0.35, 0.25 * seconds), min(0.3, 0.2 * seconds)
    run = [0.35, 1, 1, 0.45]
    speed = tones.curve(n, run, [0, rise / seconds, 1 - fall / seconds, 1])
    speed *= tones.wander(rng, n, rng.uniform(4, 10), 0.93, 1.04)
    chopping = tones.noise(
        rng, n, [(100, -24), (400, -6), (1500, 0), (5000, -4), (12000, -22)]
    ) * tones.wander(rng, n, 14, 0.25, 1)
    out = table[tones.steps(pitch * speed)] + np.float32(rng.uniform(0.35, 0.8)) * chopping
    return out * speed**2 * tones.envelope(n, 0.03, 0.08)


def shaver(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A thin steady buzz whose resonance moves with the hand; abrupt at both ends."""
    n = samples(seconds)
    toothbrush = rng.random() < 0.4
    pitch = (
        rng.uniform(215, 275) if toothbrush else rng.choice([100, 120]) * rng.uniform(0.95, 1.08)
    )
    partials = tones.harmonics(pitch, 11000)
    odd = np.where(np.arange(1, len(partials) + 1) % 2, 1.0, rng.uniform(0.2, 0.7))
    centre = tones.uniform_log(rng, 3200, 5200)
    tables = [
        tones.wave_table(
            odd
            * tones.formants(
                partials, [(300, 250, 0.25), (centre * move, 500, 1.0), (7000, 900, 0.25)], 0
            ),
            rng,
        )
        for move in (0.8, 1.25)
    ]
    steps = tones.steps(pitch * tones.wander(rng, n, 1.0, 0.995, 1.005))
    hand = tones.wander(rng, n, rng.uniform(1.5, 4), 0, 1)
    out = tables[0][steps] * (1 - hand) + tables[1][steps] * hand
    bristles = tones.noise(rng, n, [(1500, -40), (5000, -8), (8000, 0), (15000, -12)])
    out += bristles * hand * np.float32(rng.uniform(0.08, 0.2))
    return out * tones.wander(rng, n, 5, 0.75, 1) * tones.envelope(n, 0.03, 0.03)


def vacuum(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A slow roar: wide noise around a few whistling lines that wind up and down."""
    n = samples(seconds)
    pitch = tones.uniform_log(rng, 330, 720)
    lines = np.array([1, 0.5, 0.6, 0.25, 0.3]) * np.exp(rng.normal(0, 0.3, 5))
    table = tones.wave_table(lines, rng)
    rise, fall = min(0.5, 0.25 * seconds), min(0.45, 0.2 * seconds)
    speed = tones.curve(
        n, [0.45, 0.85, 1, 1, 0.5], [0, 0.5 * rise / seconds, rise / seconds, 1 - fall / seconds, 1]
    )
    hump = tones.uniform_log(rng, 300, 650)
    roar = tones.noise(
        rng, n, [(50, -20), (hump, 0), (2 * hump, -5), (4000, -20), (9000, -26), (16000, -45)]
    )
    floor = tones.noise(rng, n, [(400, -30), (1500, -3), (3500, 0), (9000, -12), (16000, -35)])
    nozzle = tones.wander(rng, n, 1.2, 0.05, 0.3)
    whistle = table[tones.steps(pitch * speed * tones.wander(rng, n, 0.8, 0.985, 1.015))]
    out = roar + nozzle * floor + np.float32(rng.uniform(0.5, 0.9)) * whistle
    return out * speed * tones.envelope(n, 0.06, 0.12)


def alarm(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A hammered bell, an electronic beeper or a telephone's warble."""
    return (_bell, _beeper, _warble)[int(rng.integers(3))](rng, seconds)


def _bell(rng: np.random.Generator, seconds: float) -> np.ndarray:
    n = samples(seconds)
    base = tones.uniform_log(rng, 900, 1500)
    modes = base * np.array([1, 1.52, 2.0, 2.74, 3.76, 5.1]) * rng.uniform(0.98, 1.02, 6)
    decays = rng.uniform(0.35, 0.9, 6) / np.arange(1, 7) ** 0.4
    strike = tones.ring(
        rng, modes, decays, np.array([0.7, 0.5, 1, 0.8, 0.6, 0.4]) * rng.uniform(0.5, 1, 6)
    )
    out = np.zeros(n, dtype=np.float32)
    every = 1 / rng.uniform(9, 17)
    for start in np.arange(0, seconds - 0.15, every):
        tones.add(
            out,
            samples(start + rng.uniform(0, 0.08 * every)),
            strike * np.float32(rng.uniform(0.7, 1)),
        )
    return out * tones.envelope(n, 0.002, 0.12)


def _beeper(rng: np.random.Generator, seconds: float) -> np.ndarray:
    n = samples(seconds)
    pitch = tones.uniform_log(rng, 1100, 2700)
    table = tones.wave_table(np.array([1, 0.1, 0.45, 0.05, 0.2]) * rng.uniform(0.5, 1, 5), rng)
    beep, pause = rng.uniform(0.06, 0.2), rng.uniform(0.05, 0.16)
    group, rest = int(rng.integers(2, 5)), rng.uniform(0.15, 0.4)
    starts = [0.0]
    while starts[-1] < seconds:
        starts.append(starts[-1] + beep + (rest if len(starts) % group == 0 else pause))
    starts = [start for start in starts if start + beep <= seconds] or [0.0]
    if starts[-1]:  # spread them so that the last beep ends the sound
        stretch = (seconds - beep) / starts[-1]
        starts = [start * stretch for start in starts]
    m = min(samples(beep), n)
    tone = table[tones.steps(np.full(m, pitch))] * tones.envelope(m, 0.004, 0.008)
    out = np.zeros(n, dtype=np.float32)
    for start in starts:
        tones.add(out, samples(start), tone)
    return out


def _warble(rng: np.random.Generator, seconds: float) -> np.ndarray:
    n = samples(seconds)
    pitch = tones.uniform_log(rng, 900, 1600)
    ratio = rng.choice([1.19, 1.25, 1.33, 1.5])
    table = tones.wave_table(
        np.array([1, 0.3, 0.35, 0.15, 0.2, 0.08]) * rng.uniform(0.5, 1, 6), rng
    )
    turns = np.floor(np.arange(n) * (rng.uniform(7, 22) / tones.RATE)).astype(int) % 2
    out = table[tones.steps(pitch * np.where(turns, ratio, 1.0))]
    return out * tones.envelope(n, 0.01, 0.03)
