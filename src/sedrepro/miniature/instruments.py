"""Sounds of FSDKaggle2018 that DESED lacks: struck, blown and broken things, and a bus."""

from __future__ import annotations

import numpy as np
from scipy import fft

from . import tones
from .tones import RATE, samples


def bass_drum(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A low skin whose pitch drops as it settles, and the thud of the beater."""
    n = samples(seconds)
    t = np.arange(n, dtype=np.float32) / RATE
    pitch = tones.uniform_log(rng, 48, 78) * (1 + rng.uniform(0.6, 1.6) * np.exp(-t / 0.035))
    skin = np.sin(2 * np.pi * np.cumsum(pitch) / RATE) * np.exp(-6.9 * t / rng.uniform(0.3, 0.7))
    thud = tones.noise(rng, n, [(60, -6), (250, 0), (1200, -12), (4000, -40)])
    return (skin + rng.uniform(0.1, 0.3) * thud * np.exp(-t / 0.008)).astype(np.float32)


def cowbell(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Two strong inharmonic modes, struck a few times."""
    low = tones.uniform_log(rng, 480, 640)
    modes = low * np.array([1, 1.47, 2.09, 2.56, 3.9, 5.2]) * rng.uniform(0.99, 1.01, 6)
    decays = rng.uniform(0.25, 0.6) / np.arange(1, 7) ** 0.3
    strike = tones.ring(rng, modes, decays, np.array([0.9, 1.0, 0.35, 0.3, 0.25, 0.15]))
    return _struck(rng, seconds, strike, rng.uniform(0.18, 0.5))


def gong(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A large plate: many modes that build up slowly and ring on."""
    low = tones.uniform_log(rng, 70, 150)
    modes = low * np.cumsum(np.r_[1, rng.uniform(0.25, 0.8, 26)])
    decays = rng.uniform(2.5, 5.0) * (modes / low) ** -0.35
    sound = tones.ring(rng, modes, decays, (modes / low) ** -0.5 * rng.uniform(0.4, 1, 27))
    n = min(len(sound), samples(seconds))
    bloom = tones.curve(n, [0.35, 1, 0.8, 0.6], [0, 0.12, 0.4, 1])
    return sound[:n] * bloom * tones.envelope(n, 0.01, 0.1)


def hi_hat(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A hiss far above everything else, short when closed and long when open."""
    n = samples(min(seconds, 0.7))
    edge = tones.uniform_log(rng, 6000, 8500)
    hiss = tones.noise(rng, n, [(edge / 4, -60), (edge / 1.5, -18), (edge, 0), (20000, -6)])
    t = np.arange(n, dtype=np.float32) / RATE
    return _struck(rng, seconds, hiss * np.exp(-t / rng.uniform(0.03, 0.15)), 0.25)


def flute(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A nearly pure tone with vibrato and breath, in one to three notes."""
    n = samples(seconds)
    notes = int(rng.integers(1, 4))
    scale = 2 ** (rng.choice([-5, -3, 0, 2, 4, 7], notes) / 12)
    pitch = tones.uniform_log(rng, 480, 1000) * np.repeat(scale, -(-n // notes))[:n]
    beat = np.sin(2 * np.pi * rng.uniform(4.5, 6) * np.arange(n) / RATE)
    table = tones.wave_table(np.array([1, 0.35, 0.12, 0.05]) * rng.uniform(0.6, 1, 4), rng)
    tone = table[tones.steps(pitch * (1 + 0.008 * beat))] * (1 + 0.15 * beat)
    breath = tones.noise(rng, n, [(300, -20), (1500, -4), (4000, 0), (12000, -10)])
    return ((tone + 0.06 * breath) * tones.envelope(n, 0.06, 0.1)).astype(np.float32)


def shatter(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Glass breaks: one crack, then shards that ring high, ever fewer of them."""
    n = samples(seconds)
    out = np.zeros(n, dtype=np.float32)
    crack = tones.noise(rng, samples(0.06), [(300, -16), (2500, 0), (9000, -2), (18000, -10)])
    tones.add(out, 0, crack * tones.envelope(len(crack), 0.0005, 0.05) * np.float32(1.4))
    for start in rng.exponential(0.28 * seconds, int(rng.integers(20, 45))):
        modes = tones.uniform_log(rng, 2200, 6500) * np.array([1, 1.62, 2.31])
        decays = rng.uniform(0.06, 0.3) * np.array([1, 0.8, 0.6])
        shard = tones.ring(rng, modes[modes < 18000], decays[modes < 18000], np.ones(3))
        tones.add(out, samples(start), shard * np.float32(tones.uniform_log(rng, 0.08, 0.6)))
    return out * tones.envelope(n, 0, 0.1)


def bus(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A diesel engine that pulls away: low firing strokes, rumble, air brakes."""
    n = samples(seconds)
    firing = tones.uniform_log(rng, 26, 42) * tones.curve(n, [0.9, rng.uniform(1.1, 1.5)])
    strokes = tones.wave_table(1 / np.arange(1, 24) ** 0.7 * rng.uniform(0.3, 1, 23), rng)
    engine = strokes[tones.steps(firing)] * tones.wander(rng, n, 3, 0.7, 1)
    rumble = tones.noise(rng, n, [(40, -4), (120, 0), (400, -8), (1500, -22), (6000, -44)])
    out = engine + rng.uniform(0.5, 0.9) * rumble
    if rng.random() < 0.5:
        m = min(n, samples(0.5))
        air = tones.noise(rng, m, [(800, -30), (4000, -4), (9000, 0), (16000, -8)])
        tones.add(out, n - m, (0.3 * air * tones.envelope(m, 0.02, 0.3)).astype(np.float32))
    return (out * tones.envelope(n, 0.15, 0.15)).astype(np.float32)


def telephone(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Rings of two fast alternating tones, with rests between them."""
    n = samples(seconds)
    low = tones.uniform_log(rng, 900, 1500)
    turn = rng.uniform(14, 26)
    high = np.floor(np.arange(n) / RATE * turn) % 2
    table = tones.wave_table(np.array([1, 0.1, 0.4, 0.05, 0.2]) * rng.uniform(0.5, 1, 5), rng)
    tone = table[tones.steps(low * np.where(high > 0, rng.choice([1.25, 1.33]), 1.0))]
    period = samples(rng.uniform(0.7, 1.0))
    open_ = (np.arange(n) % period < 0.65 * period).astype(np.float32)
    smooth = fft.irfft(fft.rfft(open_, n) * np.sinc(fft.rfftfreq(n) * 400), n)
    return (tone * smooth).astype(np.float32) * tones.envelope(n, 0.005, 0.02)


def _struck(
    rng: np.random.Generator, seconds: float, strike: np.ndarray, every: float
) -> np.ndarray:
    """One strike again and again, a little unevenly, until the sound is over."""
    n = samples(seconds)
    out = np.zeros(n, dtype=np.float32)
    for start in np.arange(0, max(0.05, seconds - 0.1), every):
        late = 0 if start == 0 else rng.uniform(0, 0.06) * every
        tones.add(out, samples(start + late), strike * np.float32(rng.uniform(0.6, 1)))
    return out * tones.envelope(n, 0, 0.05)
