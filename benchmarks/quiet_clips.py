"""Quiet clips in stores of waveforms: what each form of the samples costs and does to the input.

OMP_NUM_THREADS=1 python benchmarks/quiet_clips.py

The input is what the DESED networks read: decibels of the mel spectrum, each clip within [0, 1].
Clips are pink noise, the same below 2 kHz, and a tone in faint noise, at several levels; the error
is the RMS difference from the same clip kept in float32.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from machine import line, table

from sedrepro.features.front_ends import Mel
from sedrepro.features.kinds import scaled
from sedrepro.features.normalise import decibels, min_max
from sedrepro.inference.networks import as_input
from sedrepro.settings import FrontEnd

LEVELS = (-20, -40, -55, -70, -85)
FRONT_END = FrontEnd(kind="waveform")


def int16(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * 32768), -32768, 32767).astype(np.float32) / 32768


FORMS = {
    "int16": (int16, 2),
    "int16, doubled (scaled)": (lambda x: as_input(torch.from_numpy(scaled(x))).numpy(), 2),
    "float16": (lambda x: x.astype(np.float16).astype(np.float32), 2),
    "float32": (lambda x: x.astype(np.float32), 4),
}


def sounds(random: np.random.Generator) -> dict[str, np.ndarray]:
    """Clips at 0 dBFS RMS."""
    count = FRONT_END.samples
    frequency = np.fft.rfftfreq(count, 1 / FRONT_END.sample_rate)
    spectrum = np.fft.rfft(random.standard_normal(count)) / np.sqrt(np.maximum(frequency, 20))
    pink = np.fft.irfft(spectrum, count)
    dull = np.fft.irfft(spectrum * (frequency < 2000), count)
    time = np.arange(count) / FRONT_END.sample_rate
    tone = np.sin(2 * np.pi * 440 * time) + 1e-3 * random.standard_normal(count)
    made = {"pink noise": pink, "below 2 kHz": dull, "tone": tone}
    return {name: values / np.sqrt(np.mean(values**2)) for name, values in made.items()}


def main() -> None:
    mel, random = Mel(FRONT_END), np.random.default_rng(0)

    def heard(samples: np.ndarray) -> torch.Tensor:
        return min_max(decibels(mel(torch.from_numpy(samples)[None])))

    clips, rows = sounds(random), []
    for form, (keep, size) in FORMS.items():
        for name, clip in clips.items():
            errors = []
            for level in LEVELS:
                samples = (clip * 10 ** (level / 20)).clip(-1, 1).astype(np.float32)
                error = heard(keep(samples)) - heard(samples)
                errors.append(f"{error.square().mean().sqrt().item():.1e}")
            megabytes = size * FRONT_END.samples / 1e6
            rows.append([form, f"{megabytes:.2f} MB", name, *errors])
    table(["form", "10 s", "clip", *(f"{level} dBFS" for level in LEVELS)], rows)
    line()


if __name__ == "__main__":
    main()
