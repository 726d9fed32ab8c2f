"""What sound models are made of: coloured noise, periodic tones, curves, rings, rooms.

Everything is float32 at 44.1 kHz and random only through the generator that is handed in.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from scipy import fft

RATE = 44100
TABLE = 8192  # samples of one period in a wave table

Points = Sequence[tuple[float, float]]  # (Hz, dB), straight lines over log frequency


def samples(seconds: float) -> int:
    return round(seconds * RATE)


def uniform_log(rng: np.random.Generator, low: float, high: float) -> float:
    """A draw that is as likely in every octave."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def block(n: int) -> int:
    """A transform length of at least n; half-second steps are fast and let spectra be cached."""
    return -(-n // (RATE // 2)) * (RATE // 2)


@functools.lru_cache(maxsize=32)
def _log_frequencies(size: int) -> np.ndarray:
    return np.log(np.maximum(fft.rfftfreq(size, 1 / RATE), 1.0)).astype(np.float32)


def response(size: int, points: Points) -> np.ndarray:
    """The gain of every bin of a transform of `size` samples."""
    hertz, decibels = np.array(points, dtype=np.float32).T
    curve = np.interp(_log_frequencies(size), np.log(hertz), decibels)
    return np.exp(curve.astype(np.float32) * np.float32(np.log(10) / 20))


def shaped(x: np.ndarray, points: Points) -> np.ndarray:
    """A signal through a filter."""
    size = block(len(x))
    return fft.irfft(fft.rfft(x, size) * response(size, points), size)[: len(x)]


def noise(rng: np.random.Generator, n: int, points: Points) -> np.ndarray:
    """Coloured noise of unit RMS, its spectrum drawn directly."""
    size = block(n)
    bins = size // 2 + 1
    spectrum = rng.standard_normal(2 * bins, dtype=np.float32).view(np.complex64)
    x = fft.irfft(spectrum * response(size, points), size)[:n]
    return x / rms(x)


def rms(x: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(x)))) + 1e-9


def curve(
    n: int, values: Sequence[float] | np.ndarray, times: Sequence[float] | None = None
) -> np.ndarray:
    """Straight lines through `values`, evenly spaced or at `times` (0…1 of the length)."""
    at = np.linspace(0, 1, len(values)) if times is None else np.asarray(times)
    return np.interp(np.arange(n), at * (n - 1), values).astype(np.float32)


def wander(
    rng: np.random.Generator, n: int, per_second: float, low: float, high: float
) -> np.ndarray:
    """A random curve with about this many turns a second."""
    knots = max(3, round(n / RATE * per_second) + 2)
    return curve(n, rng.uniform(low, high, knots))


def envelope(n: int, attack: float, release: float) -> np.ndarray:
    """One, with raised-cosine edges of these lengths in seconds (at most half the sound each)."""
    shape = np.ones(n, dtype=np.float32)
    for seconds, edge in ((attack, slice(None)), (release, slice(None, None, -1))):
        m = min(samples(seconds), n // 2)
        if m:
            ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(m) + 0.5) / m)
            shape[edge][:m] *= ramp.astype(np.float32)
    return shape


def wave_table(amplitudes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One period of a tone of unit RMS with these harmonics, in random phases."""
    spectrum = np.zeros(TABLE // 2 + 1, dtype=np.complex64)
    phases = np.exp(2j * np.pi * rng.random(len(amplitudes)))
    spectrum[1 : len(amplitudes) + 1] = amplitudes * phases
    table = fft.irfft(spectrum, TABLE)
    return table / rms(table)


def steps(frequency: np.ndarray) -> np.ndarray:
    """Positions in a wave table along a tone of this frequency (Hz per sample)."""
    return (np.cumsum(frequency, dtype=np.float64) * (TABLE / RATE)).astype(np.int64) & (TABLE - 1)


def harmonics(f0: float, highest: float) -> np.ndarray:
    """The frequencies of a tone's partials up to `highest` Hz."""
    return f0 * np.arange(1, max(2, int(highest / f0) + 1))


def formants(
    frequency: np.ndarray, peaks: Sequence[tuple[float, float, float]], tilt: float
) -> np.ndarray:
    """Amplitudes under resonances (Hz, bandwidth, gain) over a floor, tilted by dB/octave."""
    gain = np.full(len(frequency), 0.01)
    for centre, width, level in peaks:
        gain += level / (1 + ((frequency - centre) / width) ** 2)
    return gain * (frequency / 200) ** (tilt / 6.02)


def ring(
    rng: np.random.Generator, modes: np.ndarray, decays: np.ndarray, amplitudes: np.ndarray
) -> np.ndarray:
    """A struck body: decaying sines (Hz, seconds to -60 dB), long enough for the slowest."""
    t = np.arange(samples(float(decays.max()) * 0.8), dtype=np.float32) / np.float32(RATE)
    out = np.zeros(len(t), dtype=np.float32)
    phases = rng.uniform(0, 2 * np.pi, len(modes))
    for mode, decay, amplitude, phase in zip(modes, decays, amplitudes, phases, strict=True):
        m = min(len(t), samples(float(decay)))
        angle = np.float32(2 * np.pi * mode) * t[:m] + np.float32(phase)
        out[:m] += np.float32(amplitude) * np.sin(angle) * np.exp(np.float32(-6.9 / decay) * t[:m])
    return out


def add(out: np.ndarray, start: int, piece: np.ndarray) -> None:
    """Mix `piece` into `out` from sample `start`; what lies outside is lost."""
    first = max(0, -start)
    last = min(len(piece), len(out) - start)
    if last > first:
        out[start + first : start + last] += piece[first:last]


def reflections(rng: np.random.Generator, x: np.ndarray, strength: float) -> np.ndarray:
    """The first echoes of a small room."""
    wet = x.copy()
    for _ in range(5):
        delay = int(rng.integers(60, 1400))
        gain = np.float32(strength * rng.uniform(0.4, 1) * rng.choice([-1, 1]))
        if delay < len(x):
            wet[delay:] += gain * x[:-delay]
    return wet
