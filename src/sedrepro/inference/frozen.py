"""Frozen networks that make stores: what each of them reads, and how it is loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..clips import Clip, read_clips
from ..mixtures import origins
from ..networks import audioclip
from ..networks.pretrained import FrozenEncoder
from ..settings import FrontEnd, Layout, Project, Subset
from ..sources import video
from ..store import Store, intact
from .networks import as_input


@dataclass(frozen=True)
class Inputs:
    """What a network reads of a subset's clips."""

    clips: Sequence[str]
    seconds: Sequence[float] | np.ndarray
    read: Callable[[range], np.ndarray]
    """The inputs of some of the clips, by their places."""
    attributes: dict[str, Any]
    """What the store says of them."""


@dataclass(frozen=True)
class Source:
    """Where a network's inputs come from."""

    inputs: Callable[[Project, Subset, FrontEnd], Inputs]
    parents: Callable[[Layout, Subset, FrontEnd], dict[str, Any]]
    """What the inputs are made of: links in the chain of keys."""
    lacking: Callable[[Project], str] = lambda project: ""
    """Why there is no input, or nothing."""


@dataclass(frozen=True)
class FrozenKind:
    """A kind of front end whose stores a frozen network makes."""

    source: Source
    load: Callable[[FrontEnd, Path], nn.Module]
    """The network of a file of weights: a batch of inputs → what the store holds of each clip."""
    batch: int
    """Clips at a time."""


# --- from waveform stores: pooled tokens of 10-second clips ---------------------------------------


class Tokens(nn.Module):
    """Waveforms as stored → pooled tokens (clip, frame, width)."""

    def __init__(self, front_end: FrontEnd, path: Path) -> None:
        super().__init__()
        self.encoder = FrozenEncoder(front_end.kind, path, front_end.channels)
        self.front_end = front_end

    def forward(self, stored: Tensor) -> Tensor:
        return self.encoder(as_input(stored), self.front_end.steps, self.front_end.pooling)


def _waveforms(project: Project, subset: Subset, front_end: FrontEnd) -> Inputs:
    waves = intact(Layout.of(project).store(subset, front_end.waveform))
    return Inputs(waves.clips, waves.seconds, waves.read, {"waves": waves.content_key})


def _of_waveforms(layout: Layout, subset: Subset, front_end: FrontEnd) -> dict[str, Any]:
    return {"waves": Store(layout.store(subset, front_end.waveform)).content_key}


# --- from videos: features of each second ---------------------------------------------------------


class SoundOfSeconds(nn.Module):
    """Sound tracks (clip, samples) in ±1 → embeddings (clip, second, width)."""

    def __init__(self, front_end: FrontEnd, path: Path) -> None:
        super().__init__()
        self.tower = audioclip.load(path, "audio")
        self.segments = front_end.segments

    def forward(self, samples: Tensor) -> Tensor:
        seconds = samples.unflatten(1, (self.segments, -1)).flatten(0, 1)
        return self.tower(seconds * 32768).unflatten(0, (-1, self.segments))


class PicturesOfSeconds(nn.Module):
    """Pictures (clip, picture, 3, height, width) → maps (clip, second, row, column, width).

    A second's map is the mean of its pictures' maps.
    """

    def __init__(self, front_end: FrontEnd, path: Path) -> None:
        super().__init__()
        tower = audioclip.load(path, "visual")
        assert isinstance(tower, audioclip.ImageTower)
        self.tower = tower
        self.front_end = front_end

    def forward(self, pictures: Tensor) -> Tensor:
        each = (self.front_end.segments, self.front_end.per_second)
        seconds = audioclip.normalised(pictures).unflatten(1, each).flatten(0, 1)
        maps = torch.stack([self.tower.places(second).mean(0) for second in seconds])
        return maps.reshape(-1, *self.front_end.shape)


def _sounds(project: Project, subset: Subset, front_end: FrontEnd) -> Inputs:
    def read(clip: Clip) -> np.ndarray:
        return video.sound(clip.path, front_end.sample_rate, front_end.samples)

    return _videos(project, subset, front_end, read)


def _pictures(project: Project, subset: Subset, front_end: FrontEnd) -> Inputs:
    each = front_end.per_second
    times = (np.arange(front_end.segments * each) + 0.5) / each

    def read(clip: Clip) -> np.ndarray:
        return video.pictures(clip.path, times, front_end.pixels)

    return _videos(project, subset, front_end, read)


def _videos(
    project: Project,
    subset: Subset,
    front_end: FrontEnd,
    read: Callable[[Clip], np.ndarray],
) -> Inputs:
    listed = read_clips(Layout.of(project).table(subset, "clips"))
    clips = [clip for clip in listed if clip.path]
    return Inputs(
        [clip.name for clip in clips],
        [min(clip.seconds, front_end.seconds) for clip in clips],
        lambda places: np.stack([read(clips[place]) for place in places]),
        {},
    )


def _of_videos(layout: Layout, subset: Subset, front_end: FrontEnd) -> dict[str, Any]:
    return origins.of_clips(subset, layout)


def _no_videos(project: Project) -> str:
    return "" if project.data.ave.videos else "videos are not used: data.ave.videos is false"


TOKENS = FrozenKind(Source(_waveforms, _of_waveforms), Tokens, batch=32)
AUDIOCLIP_AUDIO = FrozenKind(Source(_sounds, _of_videos, _no_videos), SoundOfSeconds, batch=1)
AUDIOCLIP_VISUAL = FrozenKind(Source(_pictures, _of_videos, _no_videos), PicturesOfSeconds, batch=1)
