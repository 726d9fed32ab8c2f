"""Throats: speech, cat, dog. A source with harmonics under moving formants."""

from __future__ import annotations

import numpy as np

from . import tones
from .tones import RATE, samples

# Formants of a neutral adult voice, Hz.
VOWELS = (
    (730, 1090, 2440, 3440),
    (530, 1840, 2480, 3480),
    (270, 2290, 3010, 4010),
    (570, 840, 2410, 3410),
    (300, 870, 2240, 3240),
    (490, 1350, 1690, 2690),
    (660, 1720, 2410, 3410),
)


def speech(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Babble in syllables and words: a voice, its vowels, its consonants."""
    n = samples(seconds)
    pitch = tones.uniform_log(rng, 90, 270)
    size = (pitch / 150) ** 0.25 * rng.uniform(0.94, 1.06)
    partials = tones.harmonics(pitch, 7500)
    tilt = rng.uniform(-5, -2)
    tables = [
        tones.wave_table(
            tones.formants(
                partials, [(f * size, 60 + f / 18, 0.8**k) for k, f in enumerate(v)], tilt
            ),
            rng,
        )
        for v in VOWELS
    ]
    melody = tones.curve(n, [1.12, 0.86]) * tones.wander(rng, n, 2.5, 0.86, 1.2)
    steps = tones.steps(pitch * melody)
    hisses = [  # as in s, sh and f
        tones.noise(rng, n, [(edge / 4, -50), (edge, 0), (1.8 * edge, 0), (4 * edge, -30)])
        for edge in (size * 3600, size * 2000, size * 1200)
    ]
    out = np.zeros(n, dtype=np.float32)
    pace = rng.uniform(3.6, 6.2)
    at, vowel = 0, int(rng.integers(len(VOWELS)))
    while at < n - samples(0.05):
        length = min(samples(rng.uniform(0.7, 1.35) / pace), n - at)
        stretch = slice(at, at + length)
        following = int(rng.integers(len(VOWELS)))
        blend = tones.curve(length, [0, 0, 1], [0, rng.uniform(0.3, 0.7), 1])
        voice = (
            tables[vowel][steps[stretch]] * (1 - blend) + tables[following][steps[stretch]] * blend
        )
        out[stretch] += (
            voice * tones.envelope(length, 0.045, 0.07) * np.float32(rng.uniform(0.5, 1))
        )
        if rng.random() < 0.55:  # a consonant opens the syllable
            m = min(samples(rng.uniform(0.04, 0.11)), length)
            hiss = hisses[int(rng.integers(len(hisses)))]
            burst = hiss[at : at + m] * tones.envelope(m, 0.02, 0.03)
            out[at : at + m] *= np.float32(0.3)
            out[at : at + m] += burst * np.float32(rng.uniform(0.1, 0.4))
        at += length
        if rng.random() < 0.22 and at < n - samples(0.4):  # between words
            at += samples(rng.uniform(0.06, 0.2))
        vowel = following
    return out


def cat(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """One or two meows: the mouth opens and closes while the pitch rises and falls."""
    n = samples(seconds)
    calls = 2 if seconds > 1.1 and rng.random() < 0.6 else 1
    pitch = tones.uniform_log(rng, 380, 760)
    size = rng.uniform(0.85, 1.2)
    partials = tones.harmonics(pitch, 11000)
    shut, wide, round_ = (
        tones.wave_table(tones.formants(partials, [(f * size, b, g) for f, b, g in peaks], -3), rng)
        for peaks in (
            [(500, 200, 1.0), (2300, 500, 0.08)],
            [(1150, 350, 1.0), (2400, 500, 0.8), (4600, 900, 0.35)],
            [(800, 250, 1.0), (1700, 300, 0.25), (4200, 900, 0.06)],
        )
    )
    out = np.zeros(n, dtype=np.float32)
    gap = samples(0.12) if calls == 2 else 0
    first = n if calls == 1 else int((n - gap) * rng.uniform(0.4, 0.6))
    for at, length in [(0, first), (first + gap, n - first - gap)][:calls]:
        peak = rng.uniform(0.25, 0.55)
        glide = [
            rng.uniform(0.65, 0.9),
            rng.uniform(1.1, 1.35),
            rng.uniform(0.95, 1.15),
            rng.uniform(0.55, 0.8),
        ]
        frequency = pitch * tones.curve(length, glide, [0, peak, peak + 0.25, 1])
        vibrato = rng.uniform(5, 9)
        frequency *= 1 + np.float32(0.012) * np.sin(
            np.float32(2 * np.pi * vibrato / RATE) * np.arange(length, dtype=np.float32)
        )
        steps = tones.steps(frequency)
        opening = tones.curve(length, [0, 1, 0.8, 0.1], [0, peak, peak + 0.2, 1])
        rounding = tones.curve(length, [0, 0, 1], [0, peak + 0.1, 1])
        call = (
            shut[steps] * (1 - opening)
            + (wide[steps] * (1 - rounding) + round_[steps] * rounding) * opening
        )
        breath = tones.noise(rng, length, [(700, -30), (2000, -6), (5000, 0), (12000, -14)])
        call += breath * opening * np.float32(rng.uniform(0.03, 0.1))
        call *= tones.envelope(length, 0.07, 0.16) * (np.float32(0.45) + np.float32(0.55) * opening)
        tones.add(out, at, call)
    return out


def dog(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A few barks of one dog, small or large: a hard start, a falling pitch, a hoarse throat."""
    n = samples(seconds)
    pitch = tones.uniform_log(rng, 260, 780)
    size = (pitch / 420) ** 0.55 * rng.uniform(0.9, 1.1)
    partials = tones.harmonics(pitch, 9000)
    peaks = [(850 * size, 260, 1.0), (1750 * size, 380, 0.6), (3300 * size, 700, 0.2)]
    table = tones.wave_table(tones.formants(partials, peaks, -2), rng)
    hoarse = rng.uniform(0.3, 0.8)
    length = min(samples(rng.uniform(0.13, 0.26)), n)
    gap = samples(rng.uniform(0.1, 0.26))
    barks = 1 + (n - length) // (length + gap)
    if barks == 1:
        length = min(n, samples(0.45))
    out = np.zeros(n, dtype=np.float32)
    for at in np.linspace(0, n - length, barks).astype(int):
        strength = rng.uniform(0.7, 1.0)
        glide = [rng.uniform(0.8, 0.95), 1.2, 1.0, rng.uniform(0.5, 0.7)]
        steps = tones.steps(pitch * strength**0.3 * tones.curve(length, glide, [0, 0.18, 0.5, 1]))
        throat = [(200, -30), (700 * size, 0), (2000 * size, -3), (4500, -14), (12000, -32)]
        bark = table[steps] + np.float32(hoarse) * tones.noise(rng, length, throat)
        bark = np.tanh(bark * np.float32(1.6))
        fall = tones.curve(length, [0.25, 1, 0.75, 0.15, 0], [0, 0.08, 0.45, 0.85, 1])
        tones.add(out, at, bark * fall * np.float32(strength))
    return out
