"""Draws docs/images/sound-models.png: spectrograms of the miniature's sound models, unseen draws.

Run it from the project folder: .venv/bin/python docs/make_contact_sheet.py
"""

from __future__ import annotations

import io
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from PIL import Image

from sedrepro.miniature import models, places, tones

matplotlib.use("Agg")
PICTURE = Path(__file__).parent / "images" / "sound-models.png"
EXAMPLES, SECONDS, SEED = 5, 3.0, 2025


def spectrogram(sound: np.ndarray) -> np.ndarray:
    """Decibels below the maximum over 0-11 kHz (513-point bins, a column every 6 ms)."""
    frames = np.lib.stride_tricks.sliding_window_view(sound, 1024)[::256]
    power = np.abs(np.fft.rfft(frames * np.hanning(1024), axis=1)) ** 2
    decibels = 10 * np.log10(power[:, :256].T + 1e-10)
    return np.clip(decibels - decibels.max(), -70, 0)


def example(label: str, index: int) -> np.ndarray:
    """One draw, placed at the start of SECONDS of silence."""
    rng = np.random.default_rng([SEED, list(models.MODELS).index(label), index])
    out = np.zeros(tones.samples(SECONDS), dtype=np.float32)
    tones.add(out, 0, models.draw(label, rng, models.duration(label, rng, SECONDS)))
    return out


def main() -> None:
    rows = [*models.MODELS, "background"]
    figure, axes = plt.subplots(len(rows), EXAMPLES, figsize=(11, 14), sharex=True, sharey=True)
    for row, label in zip(axes, rows, strict=True):
        for index, axis in enumerate(row):
            if label == "background":
                sound = places.background(np.random.default_rng([SEED, index]), SECONDS)
            else:
                sound = example(label, index)
            axis.imshow(
                spectrogram(sound),
                origin="lower",
                aspect="auto",
                cmap="magma",
                extent=(0, SECONDS, 0, 11.025),
            )
            axis.set(xticks=range(4), yticks=(0, 5, 10))
            axis.tick_params(labelsize=7)
        row[0].set_title(label.replace("_", " "), fontsize=8, loc="left", pad=2)
    figure.supxlabel("seconds across, 0 to 11 kHz upwards", fontsize=9)
    figure.tight_layout(pad=0.6)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=80, metadata={"Software": None})
    palette = Image.open(buffer).convert("RGB").quantize(64)  # half the size, looks the same
    PICTURE.parent.mkdir(exist_ok=True)
    palette.save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1024:.0f} KB")


if __name__ == "__main__":
    main()
