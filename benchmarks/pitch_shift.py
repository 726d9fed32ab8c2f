"""Three ways to shift the pitch of a batch of clips, and what they cost and get wrong.

    python benchmarks/pitch_shift.py [--clips 24] [--device cuda]

What training needs is the mel spectrum of the shifted clips, so the mel is part of every time. The
error is against clips of harmonic sounds with noise that are rendered at the shifted pitch: mean
absolute difference of the mel in decibels, of bands within 40 dB of the loudest.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import machine
import numpy as np
import torch
import torchaudio
from torch import Tensor

from sedrepro.features.front_ends import Mel
from sedrepro.features.normalise import decibels
from sedrepro.objectives.rct import pitch_shifted, resample
from sedrepro.settings import FrontEnd

CENTS = [-250, -150, -50, 50, 150, 250]


def sounds(clips: int, front_end: FrontEnd, cents: float) -> Tensor:
    """Gliding harmonic sounds; the same at any shift but for their pitch."""
    draw = np.random.default_rng(0)
    t = np.arange(front_end.samples) / front_end.sample_rate
    rendered = np.zeros((clips, front_end.samples))
    for clip in rendered:
        pitch, glide = draw.uniform(150, 700), draw.uniform(-0.05, 0.05)
        phase = 2 * np.pi * pitch * (t + glide * t**2 / 2) * 2 ** (cents / 1200)
        for harmonic in range(1, 9):
            clip += np.sin(harmonic * phase + draw.uniform(0, 2 * np.pi)) / harmonic
        beat = 0.55 + 0.45 * np.sin(2 * np.pi * draw.uniform(0.5, 3) * t)
        clip *= 0.2 * beat
    return torch.from_numpy(rendered).float()


def played(wave: Tensor, cents: float, mel: Mel) -> Tensor:
    return pitch_shifted(wave, cents, mel, 1 + wave.shape[-1] // mel.spectrum.hop_length)


def vocoder(wave: Tensor, cents: float, mel: Mel) -> Tensor:
    """Phase vocoder and band-limited resampling, each over the whole batch."""
    samples, rate = wave.shape[-1], 2 ** (-cents / 1200)
    window = torch.hann_window(2048, device=wave.device)
    spectrum = torch.stft(wave, 2048, 512, window=window, return_complex=True)
    advance = torch.linspace(0, torch.pi * 512, 1025, device=wave.device)[:, None]
    stretched = torchaudio.functional.phase_vocoder(spectrum, rate, advance)
    length = round(samples / rate)
    return mel(resample(torch.istft(stretched, 2048, 512, window=window, length=length), samples))


def library(wave: Tensor, cents: float, mel: Mel) -> Tensor:
    rate = mel.spectrum.sample_rate
    return mel(torchaudio.functional.pitch_shift(wave, rate, int(cents), bins_per_octave=1200))


def bank(wave: Tensor, cents: float, mel: Mel) -> Tensor:
    """Clips shifted beforehand: nothing is left to do, but for the room they need."""
    return mel(wave)


WAYS: dict[str, Callable[[Tensor, float, Mel], Tensor]] = {
    "played faster, frames interpolated (used)": played,
    "phase vocoder + Fourier resampling": vocoder,
    "torchaudio.functional.pitch_shift": library,
    "a bank of shifted clips (+10 stores)": bank,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clips", type=int, default=24, help="24: a full-size unlabelled part x 2")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    front_end, device = FrontEnd(kind="waveform"), torch.device(options.device)
    mel = Mel(front_end).to(device)
    wave = sounds(options.clips, front_end, 0).to(device)
    truth = {c: decibels(mel(sounds(options.clips, front_end, c).to(device))) for c in CENTS}
    rows = []
    for name, way in WAYS.items():
        errors = []
        for cents in CENTS:
            given = sounds(options.clips, front_end, cents).to(device) if way is bank else wave
            found, true = decibels(way(given, cents, mel)), truth[cents]
            loud = true > true.amax((1, 2), keepdim=True) - 40
            errors.append(float((found - true).abs()[loud].mean()))
        began, rounds = time.perf_counter(), 10 if device.type == "cuda" else 2
        for _ in range(rounds):
            for cents in (-150, 150):
                way(wave, cents, mel)
        if device.type == "cuda":
            torch.cuda.synchronize()
        spent = (time.perf_counter() - began) / (2 * rounds * options.clips)
        rows.append([name, f"{1e3 * spent:.2f}", f"{np.mean(errors):.2f}"])
    machine.table(["way", "ms per 10-s clip", "error (dB)"], rows)
    machine.line()


if __name__ == "__main__":
    main()
