"""The sounds of ToyAVE: seven timbres in four registers over pink noise."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

RATE = 16000
FADE = 0.02  # seconds
Timbre = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def _phase(frequency: np.ndarray | float, t: np.ndarray) -> np.ndarray:
    return 2 * np.pi * np.cumsum(np.broadcast_to(frequency, t.shape)) / RATE


def _harmonic(t: np.ndarray, f: float, draw: np.random.Generator) -> np.ndarray:
    return sum(np.sin(_phase(f * k, t)) / k for k in range(1, 6))


def _siren(t: np.ndarray, f: float, draw: np.random.Generator) -> np.ndarray:
    return np.sin(_phase(f * (1.5 + 0.5 * np.sin(2 * np.pi * 1.5 * t)), t))


def _band(t: np.ndarray, f: float, draw: np.random.Generator) -> np.ndarray:
    """Noise around f, loud and quiet four times a second."""
    spectrum = np.fft.rfft(draw.standard_normal(len(t)))
    distance = np.log2(np.maximum(np.fft.rfftfreq(len(t), 1 / RATE), 1) / (2 * f))
    noise = np.fft.irfft(spectrum * np.exp(-0.5 * (distance / 0.4) ** 2), len(t))
    return noise / (noise.std() + 1e-9) * (0.55 + 0.45 * np.sin(2 * np.pi * 4 * t))


def _clicks(t: np.ndarray, f: float, draw: np.random.Generator) -> np.ndarray:
    since = t % (1 / 8)
    return np.exp(-since * 120) * np.sin(2 * np.pi * 4 * f * since)


def _chirp(t: np.ndarray, f: float, draw: np.random.Generator) -> np.ndarray:
    return np.sin(_phase(f * 2 ** (2 * ((t * 2) % 1)), t))


def _pluck(t: np.ndarray, f: float, draw: np.random.Generator) -> np.ndarray:
    since = t % 0.5
    waves = sum(np.sin(2 * np.pi * f * k * since) * np.exp(-since * 4 * k) for k in range(1, 7))
    return waves * np.minimum(1, since * 200)


def _alarm(t: np.ndarray, f: float, draw: np.random.Generator) -> np.ndarray:
    return np.sign(np.sin(_phase(np.where((t * 3) % 1 < 0.5, f, f * 1.6), t)))


TIMBRES: tuple[Timbre, ...] = (_harmonic, _siren, _band, _clicks, _chirp, _pluck, _alarm)
LOWEST = 200.0  # Hz; a register is an octave


def sound(category: int, seconds: float, draw: np.random.Generator) -> np.ndarray:
    """A category's sound at unit RMS; the first 28 all differ."""
    timbre, register = category % len(TIMBRES), category // len(TIMBRES)
    pitch = LOWEST * 2 ** ((register + timbre) % 4) * 2 ** draw.uniform(-0.08, 0.08)
    t = np.arange(round(seconds * RATE)) / RATE
    wave = TIMBRES[timbre](t, pitch, draw)
    return wave / (np.sqrt(np.mean(np.square(wave))) + 1e-9)


def track(draw: np.random.Generator, heard: Sequence[int]) -> np.ndarray:
    """The sound track: what is heard in each second, over noise 5 to 25 dB below it."""
    n = len(heard) * RATE
    spectrum = np.fft.rfft(draw.standard_normal(n))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 50)), n)
    out = pink / pink.std() * 10 ** (-draw.uniform(5, 25) / 20)
    first = 0
    while first < len(heard):
        last = first
        while last < len(heard) and heard[last] == heard[first]:
            last += 1
        if heard[first] >= 0:
            piece = sound(heard[first], last - first, draw)
            edge = round(FADE * RATE)
            ramp = np.linspace(0, 1, edge)
            piece[:edge] *= ramp
            piece[-edge:] *= ramp[::-1]
            out[first * RATE : last * RATE] += piece
        first = last
    return (out * (draw.uniform(0.2, 0.9) / np.abs(out).max())).astype(np.float32)
