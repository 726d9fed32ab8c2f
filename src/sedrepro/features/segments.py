"""What a store holds of each second of a video, by kind of front end; torch only for AudioCLIP."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..clips import Clip
from ..errors import SedreproError
from ..settings import FrontEnd, Project, Subset
from ..sources import ave, weights

WEIGHTS = "audioclip"  # the resource
Reader = Callable[[Clip], np.ndarray]


@dataclass(frozen=True)
class SegmentKind:
    """A kind of front end that reads videos (or what was made of them) by itself."""

    reader: Callable[[Project, Subset, FrontEnd], Reader]
    dtype: str
    has: Callable[[Clip], bool]
    lacking: Callable[[Project, Subset, FrontEnd], str]
    """Why no clip can be had, or nothing."""
    file: Callable[[Project, Subset, FrontEnd], Path | None] = lambda *_: None
    """What is read beside the clips: released features, or a network's weights."""


def _is_video(clip: Clip) -> bool:
    return bool(clip.path)


def _is_row(clip: Clip) -> bool:
    """Whether the clip is a row of the released features."""
    return clip.feature_row is not None


def _no_videos(project: Project, subset: Subset, front_end: FrontEnd) -> str:
    return "" if project.data.ave.videos else "videos are not used: data.ave.videos is false"


def _no_features(project: Project, subset: Subset, front_end: FrontEnd) -> str:
    if not project.data.ave.features:
        return "released features are not used: data.ave.features is false"
    path = _feature_file(project, subset, front_end)
    return "" if path.exists() else f"{path.name} is not there"


def _no_weights(project: Project, subset: Subset, front_end: FrontEnd) -> str:
    if reason := _no_videos(project, subset, front_end):
        return reason
    return weights.lacking(WEIGHTS, project) or ""


def _feature_file(project: Project, subset: Subset, front_end: FrontEnd) -> Path:
    return ave.root(project) / ave.FEATURES[subset.name == ave.NEGATIVES][front_end.kind]


def _weights_file(project: Project, subset: Subset, front_end: FrontEnd) -> Path:
    return weights.path(WEIGHTS, project)


def _released(project: Project, subset: Subset, front_end: FrontEnd) -> Reader:
    """Rows of the released arrays, float64 there, float16 in the store."""
    import h5py

    path = _feature_file(project, subset, front_end)
    try:
        data = h5py.File(path, "r", locking=False)["avadataset"]
    except (OSError, KeyError) as error:
        raise SedreproError(f"{path}: not a feature file ({error})") from None
    if data.shape[1:] != front_end.shape:
        raise SedreproError(
            f"{path}: holds features of shape {data.shape[1:]} per video, not {front_end.shape}"
        )

    def read(clip: Clip) -> np.ndarray:
        row = clip.feature_row
        if row is None or row >= len(data):
            raise SedreproError(f"{path}: holds {len(data)} videos, none for row {row}")
        values = data[row]
        limit = np.finfo(np.float16).max
        return np.clip(values, -limit, limit).astype(np.float16)

    return read


def _frames(project: Project, subset: Subset, front_end: FrontEnd) -> Reader:
    from ..sources import video

    times = np.arange(front_end.segments) + 0.5
    return lambda clip: video.pictures(clip.path, times, front_end.pixels)


def _segment_logmel(project: Project, subset: Subset, front_end: FrontEnd) -> Reader:
    from ..sources import video
    from .logmel import LogMel

    mel = LogMel(front_end)

    def read(clip: Clip) -> np.ndarray:
        samples = video.sound(clip.path, front_end.sample_rate, front_end.samples)
        return np.stack([mel(part) for part in samples.reshape(front_end.segments, -1)])

    return read


def _audioclip_audio(project: Project, subset: Subset, front_end: FrontEnd) -> Reader:
    import torch

    from ..sources import video
    from . import audioclip

    torch.set_num_threads(1)  # processes share the clips
    tower = audioclip.load(weights.path(WEIGHTS, project), "audio")

    @torch.inference_mode()
    def read(clip: Clip) -> np.ndarray:
        samples = video.sound(clip.path, front_end.sample_rate, front_end.samples)
        seconds = torch.from_numpy(samples).reshape(front_end.segments, -1)
        return tower(seconds * 32768).numpy()

    return read


def _audioclip_visual(project: Project, subset: Subset, front_end: FrontEnd) -> Reader:
    import torch

    from ..sources import video
    from . import audioclip

    torch.set_num_threads(1)
    tower = audioclip.load(weights.path(WEIGHTS, project), "visual")
    assert isinstance(tower, audioclip.ImageTower)
    each = front_end.per_second
    times = (np.arange(front_end.segments * each) + 0.5) / each

    @torch.inference_mode()
    def read(clip: Clip) -> np.ndarray:
        pictures = torch.from_numpy(video.pictures(clip.path, times, front_end.pixels))
        seconds = audioclip.normalised(pictures).unflatten(0, (front_end.segments, each))
        maps = torch.stack([tower.places(second).mean(0) for second in seconds])
        return maps.reshape(front_end.shape).numpy()

    return read


RELEASED = SegmentKind(_released, "float16", _is_row, _no_features, _feature_file)
AUDIOCLIP_VISUAL = SegmentKind(_audioclip_visual, "float16", _is_video, _no_weights, _weights_file)
AUDIOCLIP_AUDIO = SegmentKind(_audioclip_audio, "float16", _is_video, _no_weights, _weights_file)
FRAMES = SegmentKind(_frames, "uint8", _is_video, _no_videos)
SEGMENT_LOGMEL = SegmentKind(_segment_logmel, "float16", _is_video, _no_videos)
