"""From frame scores to events: median filter, threshold, intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from .events import Events


def operating_points(n: int) -> np.ndarray:
    """n thresholds in the middles of n equal parts of 0…1 (50: 0.01, 0.03, …, 0.99)."""
    return (np.arange(n) + 0.5) / n


def peak_quantiles(scores: np.ndarray, n: int) -> np.ndarray:
    """n thresholds per class (point, class), dense where the class's operating points are.

    They are quantiles of the clips' highest scores of the class: each step lets about the same
    number of further clips have a detection, however the scores are distributed.
    """
    return np.quantile(scores.max(axis=1), 1 - operating_points(n), axis=0)


def median_filter(scores: np.ndarray, windows: Sequence[int]) -> np.ndarray:
    """Scores (clip, frame, class) as float32, each class filtered along time by its window.

    Windows are in frames. The result is scipy.ndimage.median_filter's, even windows and mirrored
    borders included. A rank filter commutes with thresholding: filtered scores serve every
    threshold.
    """
    clips, frames, _ = scores.shape
    filtered = np.array(scores, dtype=np.float32)
    for window in sorted(set(windows) - {1}):
        columns = np.flatnonzero(np.equal(windows, window))
        rows = filtered[:, :, columns].transpose(0, 2, 1).reshape(-1, frames)
        # One long signal with its own borders takes scipy's fast filter for one dimension.
        border = window // 2
        rows = np.pad(rows, ((0, 0), (border, border)), mode="symmetric")
        rows = ndimage.median_filter(rows.ravel(), size=window).reshape(rows.shape)
        rows = rows[:, border : border + frames].reshape(clips, len(columns), frames)
        filtered[:, :, columns] = rows.transpose(0, 2, 1)
    return filtered


def gated(frames: np.ndarray, clips: np.ndarray, gate: float) -> np.ndarray:
    """Frame scores (…, frame, class) without the classes whose clip score (…, class) is not above
    the gate; 0 lets everything through."""
    return np.where(clips[..., None, :] > gate, frames, 0) if gate else frames


def frame_times(frames: int, hop: float, seconds: float | None = None) -> np.ndarray:
    """When frames begin, and when the last one ends; with `seconds` at the end of the clip."""
    times = np.arange(frames + 1) * hop
    if seconds is not None and seconds < times[-1]:
        times = np.append(times[times < seconds], seconds)
    return times


def detect(
    scores: np.ndarray,
    threshold: float | Sequence[float] | np.ndarray,
    *,
    hop: float,
    seconds: np.ndarray | None = None,
) -> Events:
    """The events where scores (clip, frame, class) exceed a threshold (one, or one per class).

    `hop` is the length of a frame in seconds. With `seconds`, events end where their clip ends and
    those that start later are dropped; without, they may reach into the padding of short clips.
    """
    clips, frames, classes = scores.shape
    active = np.zeros((clips, classes, frames + 2), dtype=bool)
    active[:, :, 1:-1] = (scores > np.asarray(threshold, dtype=scores.dtype)).transpose(0, 2, 1)
    # In each row starts and ends alternate, and every row has as many of one as of the other.
    edges = np.flatnonzero(active[:, :, 1:] != active[:, :, :-1])
    row, frame = np.divmod(edges, frames + 1)
    clip, label = np.divmod(row[::2], classes)
    events = Events(clip, label, frame[::2] * hop, frame[1::2] * hop)
    if seconds is None:
        return events
    end = np.asarray(seconds, dtype=float)[clip]
    trimmed = Events(clip, label, events.onset, np.minimum(events.offset, end))
    return trimmed[events.onset < end]
