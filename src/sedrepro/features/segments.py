"""What a store holds of each second of a video, by kind of front end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..clips import Clip
from ..errors import SedreproError
from ..settings import FrontEnd, Project, Subset
from ..sources import ave

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
    """What is read instead of the clips: released features."""


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


def _feature_file(project: Project, subset: Subset, front_end: FrontEnd) -> Path:
    return ave.root(project) / ave.FEATURES[subset.name == ave.NEGATIVES][front_end.kind]


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


RELEASED = SegmentKind(_released, "float16", _is_row, _no_features, _feature_file)
FRAMES = SegmentKind(_frames, "uint8", _is_video, _no_videos)
SEGMENT_LOGMEL = SegmentKind(_segment_logmel, "float16", _is_video, _no_videos)
