"""Where sounds are heard: backgrounds, rooms and microphones."""

from __future__ import annotations

import functools

import numpy as np
from scipy import fft

from . import tones
from .tones import RATE, samples


def background(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A quiet place of unit RMS: an empty room, a fridge, a street far off, wind or a clock."""
    n = samples(seconds)
    slope = rng.uniform(-7, -4.5)  # dB per octave
    air = tones.noise(
        rng, n, [(30, 0), (60, 0), (120, slope), (16000, 8 * slope), (20000, 9 * slope)]
    )
    kind = int(rng.integers(5))
    if kind == 1:  # fridge
        hum = tones.wave_table(np.array([0.3, 1, 0.2, 0.6, 0.1, 0.3, 0.05, 0.1]), rng)
        mains = np.full(n, rng.choice([50.0, 60.0]))
        air = air + np.float32(0.5) * hum[tones.steps(mains)]
    elif kind == 2:  # street
        rumble = tones.noise(rng, n, [(30, 0), (150, -2), (600, -18), (3000, -36), (10000, -60)])
        air = air + rumble * tones.wander(rng, n, 0.5, 0.3, 1.6)
    elif kind == 3:  # wind
        air = air * tones.wander(rng, n, 1.5, 0.4, 1.6)
    elif kind == 4:  # clock
        tick = tones.ring(
            rng, rng.uniform(1500, 5000, 4), rng.uniform(0.02, 0.05, 4), np.full(4, 0.6)
        )
        every = rng.uniform(0.5, 1.0)
        for beat in range(int(seconds / every)):
            tones.add(air, samples((beat + 0.5) * every), tick * np.float32(0.8 + 0.4 * (beat % 2)))
    return (air / tones.rms(air)).astype(np.float32)


LONGEST_TAIL = 0.55  # seconds


@functools.lru_cache(maxsize=64)
def room(seed: tuple[int, ...], size: int) -> np.ndarray:
    """The transfer function of a room: the direct sound and a decaying, darkening tail."""
    rng = np.random.default_rng(seed)
    decay = rng.uniform(0.15, 0.5)  # seconds to -60 dB
    tail = rng.standard_normal(samples(decay), dtype=np.float32)
    tail *= np.exp(np.float32(-6.9 / decay / RATE) * np.arange(len(tail), dtype=np.float32))
    tail = tones.shaped(tail, [(100, -12), (400, 0), (3000, -3), (9000, -14)])
    tail *= np.float32(10 ** (rng.uniform(-12, -5) / 20) / np.sqrt(np.sum(np.square(tail))))
    response = np.zeros(size, dtype=np.float32)
    response[0] = 1
    tones.add(response, samples(rng.uniform(0.004, 0.012)), tail)
    return fft.rfft(response)


def microphone(rng: np.random.Generator, size: int) -> np.ndarray:
    """The gain of a device per bin: it loses the lows and highs and colours the middle."""
    low, high = tones.uniform_log(rng, 50, 180), tones.uniform_log(rng, 7500, 16000)
    middle = tones.uniform_log(rng, 800, 4000)
    return tones.response(
        size,
        [
            (low / 4, -30),
            (low, -3),
            (2 * low, 0),
            (middle, rng.uniform(-3, 4)),
            (high / 1.3, rng.uniform(-3, 2)),
            (high, -6),
            (1.35 * high, -40),
        ],
    )
