"""A tiny random stand-in for AudioCLIP's checkpoint, under the names of the real one."""

from __future__ import annotations

import numpy as np

WIDTH, OUT, PLACES = 16, 64, 49  # the audio tower's grouped convolutions need 16 at least
GROUPS, BINS, WINDOW = 32, 1025, 1654
KERNELS = {1: (3, 1), 2: (1, 5), 3: (3, 1), 4: (1, 5), 5: (3, 5)}

State = dict[str, np.ndarray]


class _Drawn(dict):
    """Weights by name, drawn one after the other."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng([seed, 35])

    def weight(self, name: str, *shape: int) -> None:
        deviation = (2 / np.prod(shape[1:])) ** 0.5
        self[f"{name}.weight"] = self.rng.normal(0, deviation, shape).astype(np.float32)

    def biased(self, name: str, *shape: int) -> None:
        self.weight(name, *shape)
        self[f"{name}.bias"] = np.zeros(shape[0], np.float32)

    def norm(self, name: str, width: int) -> None:
        for part, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
            self[f"{name}.{part}"] = np.full(width, value, np.float32)
        self[f"{name}.num_batches_tracked"] = np.zeros((), np.int64)


def _stages(drawn: _Drawn, tower: str, *, inner: int, grow: int, groups: int) -> int:
    """One bottleneck per stage; returns the channels of the last."""
    channels = WIDTH
    for stage in range(1, 5):
        block, middle = f"{tower}.layer{stage}.0", inner * 2 ** (stage - 1)
        out = grow * middle
        drawn.weight(f"{block}.conv1", middle, channels, 1, 1)
        drawn.weight(f"{block}.conv2", middle, middle // groups, 3, 3)
        drawn.weight(f"{block}.conv3", out, middle, 1, 1)
        for number, width in enumerate((middle, middle, out), 1):
            drawn.norm(f"{block}.bn{number}", width)
        drawn.weight(f"{block}.downsample.0", out, channels, 1, 1)
        drawn.norm(f"{block}.downsample.1", out)
        if groups > 1:
            _attention(drawn, stage, channels, out)
        channels = out
    return channels


def _attention(drawn: _Drawn, stage: int, channels: int, out: int) -> None:
    drawn.biased(f"audio.att{stage}.conv_depth", channels, 1, *KERNELS[stage])
    drawn.biased(f"audio.att{stage}.conv_point", out, channels, 1, 1)
    drawn.norm(f"audio.att{stage}.bn", out)


def audioclip(seed: int) -> State:
    """A checkpoint with one block per stage; the text tower is only hinted at."""
    drawn = _Drawn(seed)
    n = np.arange(WINDOW)
    cosines = [np.cos(2 * np.pi * k * n / WINDOW) for k in range(4)]
    window = sum(
        c * w for c, w in zip((0.35875, -0.48829, 0.14128, -0.01168), cosines, strict=True)
    )
    drawn["audio.window"] = window.astype(np.float32)
    drawn["audio.fbsp.m"] = np.zeros(BINS, np.float32)
    drawn["audio.fbsp.fb"] = np.ones(BINS, np.float32)
    drawn["audio.fbsp.fc"] = np.arange(BINS, dtype=np.float32)
    drawn.weight("audio.conv1", WIDTH, 3, 7, 7)
    drawn.norm("audio.bn1", WIDTH)
    last = _stages(drawn, "audio", inner=2 * WIDTH, grow=2, groups=GROUPS)
    _attention(drawn, 5, last, last)
    drawn.biased("audio.fc", OUT, last)
    for number, (inputs, outputs) in enumerate(((3, WIDTH // 2), (WIDTH // 2,) * 2), 1):
        drawn.weight(f"visual.conv{number}", outputs, inputs, 3, 3)
        drawn.norm(f"visual.bn{number}", outputs)
    drawn.weight("visual.conv3", WIDTH, WIDTH // 2, 3, 3)
    drawn.norm("visual.bn3", WIDTH)
    last = _stages(drawn, "visual", inner=WIDTH, grow=4, groups=1)
    place = drawn.rng.normal(0, last**-0.5, (PLACES + 1, last))
    drawn["visual.attnpool.positional_embedding"] = place.astype(np.float32)
    for name in ("q_proj", "k_proj", "v_proj"):
        drawn.biased(f"visual.attnpool.{name}", last, last)
    drawn.biased("visual.attnpool.c_proj", OUT, last)
    for name in ("logit_scale", "logit_scale_ai", "logit_scale_at"):
        drawn[name] = np.zeros((), np.float32)
    return dict(drawn)
