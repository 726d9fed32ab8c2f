"""The image and audio towers of AudioCLIP, loaded from its checkpoint by the names it uses.

Image: CLIP's ResNet-50. Audio: ESResNeXt on a learned spectrogram (frequency B-splines). Sizes are
read off the checkpoint; the text tower is left aside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..checkpoints import load_checkpoint
from ..errors import SedreproError

RATE = 44100  # Hz of the audio tower
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
WINDOW, HOP, FFT = 1654, 561, 2048
BANDS = 3  # the spectrum is cut into so many stacked bands: the network's channels
HEAD = 64  # dimensions per attention head
GROUPS = 32  # of the audio tower's convolutions
OPTIONAL_KEYS = ("fbsp.bias", "num_batches_tracked")  # may be absent from a checkpoint


class Spectrogram(nn.Module):
    """Samples at int16 scale (clip, samples) → decibels (clip, 3, 341, frames)."""

    def __init__(self, bins: int = 1025) -> None:
        super().__init__()
        self.m = nn.Parameter(torch.zeros(bins))
        self.fb = nn.Parameter(torch.ones(bins))
        self.fc = nn.Parameter(torch.arange(bins, dtype=torch.float32))
        self.bias = nn.Parameter(torch.empty(0))

    def kernels(self) -> tuple[Tensor, Tensor]:
        """Real and imaginary part of each bin's complex kernel (bin, 2048)."""
        steps = torch.linspace(-1, 1, FFT, device=self.m.device, dtype=self.m.dtype)
        t = math.pi * steps + 1e-8
        m, fb, fc = self.m[:, None], self.fb[:, None], self.fc[:, None]
        u = fb * t / (m + 1e-8)
        s = torch.where(u == 0, torch.ones_like(u), u.sin() / u)
        # The complex power of a real number: its sign becomes a phase of 0 or pi.
        phase = torch.where(s < 0, math.pi * m, torch.zeros_like(m)) - fc * t
        size = (fb / FFT).sqrt() * s.abs().pow(m)
        return size * phase.cos(), size * phase.sin()

    def forward(self, samples: Tensor, window: Tensor) -> Tensor:
        x = (samples + 32768) * 2 / 65535 - 1
        count = 1 + max(0, math.ceil((x.shape[-1] - WINDOW) / HOP))
        missing = (count - 1) * HOP + WINDOW - x.shape[-1]
        x = F.pad(x, (missing // 2, missing - missing // 2))
        frames = x.unfold(-1, WINDOW, HOP) * window
        frames = F.pad(frames, ((FFT - WINDOW) // 2, FFT - WINDOW - (FFT - WINDOW) // 2))
        real, imaginary = self.kernels()
        power = (frames @ real.T).square() + (frames @ imaginary.T).square()
        used = power.shape[-1] // BANDS * BANDS
        power = power[..., :used].mT.unflatten(1, (BANDS, used // BANDS))
        return 10 * torch.where(power <= 0, torch.full_like(power, 1e-18), power).log10()


class Attention(nn.Module):
    """A map in (0, 1) for a stage's output, from its input."""

    def __init__(self, channels: int, out: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.conv_depth = nn.Conv2d(channels, channels, kernel, padding=padding, groups=channels)
        self.conv_point = nn.Conv2d(channels, out, 1)
        self.bn = nn.BatchNorm2d(out)

    def forward(self, x: Tensor, size: torch.Size | tuple[int, int]) -> Tensor:
        x = F.adaptive_max_pool2d(x, size)
        return torch.sigmoid(self.bn(self.conv_point(self.conv_depth(x))))


class ResNeXt(nn.Module):
    """A bottleneck of grouped convolutions."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        out = 2 * width
        self.conv1 = nn.Conv2d(channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, groups=GROUPS, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = self.downsample(x) if hasattr(self, "downsample") else x
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        return F.relu(self.bn3(self.conv3(y)) + identity)


class AudioTower(nn.Module):
    """Samples (clip, samples) at 44.1 kHz and int16 scale → embeddings (clip, out)."""

    def __init__(
        self, layers: tuple[int, ...] = (3, 4, 6, 3), width: int = 64, out: int = 1024
    ) -> None:
        super().__init__()
        self.register_buffer("window", torch.ones(WINDOW))
        self.fbsp = Spectrogram()
        self.conv1 = nn.Conv2d(BANDS, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage, depth in enumerate(layers, 1):
            inner = 2**stage * width
            kernel = (3, 1) if stage % 2 else (1, 5)
            setattr(self, f"att{stage}", Attention(channels, 2 * inner, kernel))
            blocks = []
            for block in range(depth):
                stride = 2 if block == 0 and stage > 1 else 1
                blocks.append(ResNeXt(channels, inner, stride))
                channels = 2 * inner
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.att5 = Attention(channels, channels, (3, 5))
        self.fc = nn.Linear(channels, out)

    def forward(self, samples: Tensor) -> Tensor:
        x = self.fbsp(samples, self.window)
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for stage in range(1, 5):
            y = getattr(self, f"layer{stage}")(x)
            x = y * getattr(self, f"att{stage}")(x, y.shape[-2:])
        pooled = F.adaptive_avg_pool2d(x, 1) * self.att5(x, (1, 1))
        return self.fc(pooled.flatten(1))


class Bottleneck(nn.Module):
    """CLIP's: strides are average pools."""

    def __init__(self, channels: int, planes: int, stride: int) -> None:
        super().__init__()
        out = 4 * planes
        self.conv1 = nn.Conv2d(channels, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, out, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out)
        self.stride = stride
        if stride != 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Tensor) -> Tensor:
        identity = x
        if hasattr(self, "downsample"):
            identity = self.downsample(F.avg_pool2d(x, self.stride) if self.stride > 1 else x)
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = F.avg_pool2d(y, self.stride) if self.stride > 1 else y
        return F.relu(self.bn3(self.conv3(y)) + identity)


class AttentionPool(nn.Module):
    """One query, the mean, over the map's places; or every place's own projection."""

    def __init__(self, channels: int, places: int, out: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(places + 1, channels))
        self.q_proj = nn.Linear(channels, channels)
        self.k_proj = nn.Linear(channels, channels)
        self.v_proj = nn.Linear(channels, channels)
        self.c_proj = nn.Linear(channels, out)

    def forward(self, x: Tensor) -> Tensor:
        """(clip, channels, height, width) → (clip, out)."""
        places = x.flatten(2).mT
        tokens = torch.cat([places.mean(1, keepdim=True), places], 1) + self.positional_embedding
        query, key, value = self.q_proj(tokens[:, :1]), self.k_proj(tokens), self.v_proj(tokens)
        heads = [t.unflatten(-1, (-1, HEAD)).transpose(1, 2) for t in (query, key, value)]
        pooled = F.scaled_dot_product_attention(*heads)
        return self.c_proj(pooled.transpose(1, 2).flatten(2)[:, 0])

    def places(self, x: Tensor) -> Tensor:
        """(clip, channels, height, width) → (clip, place, out), in the space of the embeddings."""
        return self.c_proj(self.v_proj(x.flatten(2).mT + self.positional_embedding[1:]))


class ImageTower(nn.Module):
    """Normalised pictures (clip, 3, 224, 224) → embeddings, or a map of them."""

    def __init__(
        self,
        layers: tuple[int, ...] = (3, 4, 6, 3),
        width: int = 64,
        out: int = 1024,
        places: int = 49,
    ) -> None:
        super().__init__()
        half = width // 2
        self.conv1 = nn.Conv2d(3, half, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(half)
        self.conv2 = nn.Conv2d(half, half, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(half)
        self.conv3 = nn.Conv2d(half, width, 3, 1, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        channels = width
        for stage, depth in enumerate(layers, 1):
            planes = 2 ** (stage - 1) * width
            blocks = []
            for block in range(depth):
                stride = 2 if block == 0 and stage > 1 else 1
                blocks.append(Bottleneck(channels, planes, stride))
                channels = 4 * planes
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
        self.attnpool = AttentionPool(channels, places, out)

    def body(self, pictures: Tensor) -> Tensor:
        x = pictures
        for index in (1, 2, 3):
            x = F.relu(getattr(self, f"bn{index}")(getattr(self, f"conv{index}")(x)))
        x = F.avg_pool2d(x, 2)
        for stage in range(1, 5):
            x = getattr(self, f"layer{stage}")(x)
        return x

    def forward(self, pictures: Tensor) -> Tensor:
        return self.attnpool(self.body(pictures))

    def places(self, pictures: Tensor) -> Tensor:
        """(clip, place, out): the map that audio-guided attention looks at."""
        return self.attnpool.places(self.body(pictures))


def normalised(pictures: Tensor) -> Tensor:
    """uint8 pictures (…, 3, height, width) as the image tower reads them."""
    shape = (3, 1, 1)
    mean, deviation = (torch.tensor(v, device=pictures.device) for v in (MEAN, DEVIATION))
    return (pictures.float() / 255 - mean.view(shape)) / deviation.view(shape)


def load(path: str | Path, tower: str) -> AudioTower | ImageTower:
    """The `audio` or `visual` tower of a checkpoint, in evaluation mode; every weight is placed."""
    state = load_checkpoint(path, mapped=True)  # most of it is of the other towers
    if not isinstance(state, dict):
        raise SedreproError(f"{path}: holds a {type(state).__name__} where weights should be")
    prefix = f"{tower}."
    own = {
        key.removeprefix(prefix): value.float() if value.is_floating_point() else value
        for key, value in state.items()
        if str(key).startswith(prefix) and isinstance(value, Tensor)
    }
    try:
        built = _audio(own) if tower == "audio" else _visual(own)
        found = built.load_state_dict(own, strict=False)
    except (KeyError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SedreproError(f"{path}: not the {tower} tower of AudioCLIP ({reason})") from None
    missing = [key for key in found.missing_keys if not key.endswith(OPTIONAL_KEYS)]
    if missing or found.unexpected_keys:
        names = [*missing, *found.unexpected_keys]
        raise SedreproError(
            f"{path}: not the {tower} tower of AudioCLIP (does not match: {', '.join(names[:4])})"
        )
    return built.eval().requires_grad_(False)


def _depths(state: Mapping[str, Tensor]) -> tuple[int, ...]:
    return tuple(
        len({key.split(".")[1] for key in state if key.startswith(f"layer{stage}.")})
        for stage in range(1, 5)
    )


def _audio(state: Mapping[str, Tensor]) -> AudioTower:
    return AudioTower(_depths(state), len(state["conv1.weight"]), len(state["fc.weight"]))


def _visual(state: Mapping[str, Tensor]) -> ImageTower:
    return ImageTower(
        _depths(state),
        len(state["conv3.weight"]),
        len(state["attnpool.c_proj.weight"]),
        len(state["attnpool.positional_embedding"]) - 1,
    )
