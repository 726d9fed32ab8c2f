"""A small sound bank in DESED's layout, rendered once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sedrepro import audio

RATE = 44100


def render(folder: Path) -> None:
    """Two files per class; Blender has sounds without a natural beginning or end."""
    random = np.random.default_rng(0)
    plan = {
        "foreground/Dog": 0.4,
        "foreground/Speech": 1.5,
        "foreground/Blender_nOn": 3.0,
        "foreground/Blender_nOff": 6.0,
        "foreground/Blender_nOn_nOff": 7.0,
        "background/sins": 6.0,
    }
    for number, (place, seconds) in enumerate(plan.items()):
        for take in range(2):
            time = np.arange(int(seconds * RATE)) / RATE
            tone = np.sin(2 * np.pi * (300 + 170 * number + 40 * take) * time)
            sound = 0.2 * tone + 0.02 * random.standard_normal(len(time))
            path = folder / place / f"{take}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            audio.write(path, sound, RATE)


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """<bank>/audio/{train,validation}/soundbank."""
    folder = tmp_path_factory.mktemp("bank")
    for split in ("train", "validation"):
        render(folder / "audio" / split / "soundbank")
    return folder


@pytest.fixture(scope="session")
def render_bank() -> Callable[[Path], None]:
    """Renders the sound bank into a folder."""
    return render
