"""MAESTRO Real as DCASE 2024 scores it: windows become one-second segments of their recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..settings.classes import MAESTRO_SCORED
from .ranking import Ranking

SURE = 0.5  # a class is there where more than this share of the annotators heard it
MAX_FPR = 0.1
DIGITS = 6  # of a second: borders that should meet do


@dataclass(frozen=True)
class Segments:
    """Scores and truth of all segments of all recordings, one after the other."""

    recordings: list[str]
    seconds: np.ndarray
    """The recordings' lengths."""
    classes: list[str]
    owner: np.ndarray
    """The recording of each segment, as an index (segment)."""
    scores: np.ndarray
    """(segment, class); 0 where no window covers the segment."""
    truth: np.ndarray
    """(segment, class), boolean."""
    events: dict[str, list[tuple[float, float, str]]]
    """Per recording the events in its time: (onset, offset, class)."""

    def rankings(self) -> list[Ranking]:
        """Per class; the unit that may be drawn again is the recording."""
        columns = range(len(self.classes))
        return [Ranking(self.scores[:, k], self.truth[:, k], self.owner) for k in columns]

    def best_f1(self) -> float:
        """Each class at the threshold that suits it best: optimistic. The mean over classes."""
        return float(np.mean([best_f1(ranking) for ranking in self.rankings()]))


def partial_auc(
    ranking: Ranking, max_fpr: float = MAX_FPR, weights: np.ndarray | None = None
) -> float:
    """The area under the ROC's staircase up to a false positive rate, as a share of it.

    A rate of false positives earns the largest rate of true positives that is reached at it. No
    McClish correction. NaN without a positive or a negative.
    """
    true, false = ranking.counts(weights)
    if not len(true) or true[-1] == 0 or false[-1] == 0:
        return float("nan")
    fpr, tpr = np.append(0, false / false[-1]), np.append(0, true / true[-1])
    last = np.append(np.diff(fpr) > 0, True)  # of the points at one rate the highest is the last
    fpr, tpr = fpr[last], tpr[last]
    inside = fpr < max_fpr
    edges = np.append(fpr[inside], max_fpr)
    return float(np.sum(np.diff(edges) * tpr[inside]) / max_fpr)


def best_f1(ranking: Ranking, weights: np.ndarray | None = None) -> float:
    """The largest F1 of any threshold; NaN without a positive."""
    true, false = ranking.counts(weights)
    if not len(true) or true[-1] == 0:
        return float("nan")
    return float(np.max(2 * true / (true + false + true[-1])))


def per_second(frames: np.ndarray, hop: float) -> np.ndarray:
    """Scores (window, frame, class) → (window, second, class): means weighted by overlap."""
    n = frames.shape[1]
    seconds = int(np.ceil(round(n * hop, DIGITS)))
    edges = np.arange(n + 1) * hop
    second = np.arange(seconds)[:, None]
    overlap = np.minimum(edges[1:], second + 1) - np.maximum(edges[:-1], second)
    share = np.clip(overlap, 0, None)
    share /= share.sum(axis=1, keepdims=True)
    return np.einsum("st,wtk->wsk", share, frames.astype(np.float64))


def window_of(clip: str) -> tuple[str, float]:
    """Recording and start in seconds of a window, from its name."""
    recording, start, _ = clip.rsplit("-", 2)
    return recording, int(start) / 100


def sure_events(events: pd.DataFrame, classes: Sequence[str]) -> pd.DataFrame:
    """The rows that count as true, of the scored classes that the method knows."""
    scored = [name for name in MAESTRO_SCORED if name in classes]
    return events[(events["confidence"] > SURE) & events["label"].isin(scored)]


def together(
    frames: np.ndarray,
    hop: float,
    *,
    clips: Sequence[str],
    seconds: np.ndarray,
    classes: Sequence[str],
    events: pd.DataFrame,
) -> Segments | None:
    """Filtered scores (window, frame, class) of overlapping windows, averaged in their recordings.

    Only recordings and classes with a true event have a part; None if there is none.
    """
    true = sure_events(events[events["clip"].isin(set(clips))], classes)
    occurring = [name for name in MAESTRO_SCORED if name in set(true["label"])]
    places = {clip: window_of(clip) for clip in clips}
    recordings = list(dict.fromkeys(places[clip][0] for clip in true["clip"]))
    if not recordings:
        return None
    length = dict.fromkeys(recordings, 0.0)
    for clip, own in zip(clips, seconds, strict=True):
        name, start = places[clip]
        if name in length:
            length[name] = max(length[name], start + float(own))
    counts = {name: int(np.ceil(round(length[name], DIGITS))) for name in recordings}
    columns = [list(classes).index(name) for name in occurring]
    means = per_second(frames[:, :, columns], hop)
    sums = {name: np.zeros((counts[name], len(occurring))) for name in recordings}
    cover = {name: np.zeros((counts[name], 1)) for name in recordings}
    for clip, own, mean in zip(clips, seconds, means, strict=True):
        name, start = places[clip]
        if name in sums:
            first = int(start)
            whole = min(int(np.ceil(round(float(own), DIGITS))), len(mean), counts[name] - first)
            sums[name][first : first + whole] += mean[:whole]
            cover[name][first : first + whole] += 1
    told: dict[str, list[tuple[float, float, str]]] = {name: [] for name in recordings}
    for clip, label, onset, offset in zip(
        *(true[c] for c in ("clip", "label", "onset", "offset")), strict=True
    ):
        name, start = places[clip]
        told[name].append((start + float(onset), start + float(offset), label))
    return _segments(
        {name: sums[name] / np.maximum(cover[name], 1) for name in recordings},
        {name: _merged(rows) for name, rows in told.items()},
        occurring,
        length,
    )


def separate(
    frames: np.ndarray,
    hop: float,
    *,
    clips: Sequence[str],
    seconds: np.ndarray,
    classes: Sequence[str],
    events: pd.DataFrame,
) -> Segments | None:
    """As the baseline validates: each window with a true event by itself, up to its last event."""
    true = sure_events(events[events["clip"].isin(set(clips))], classes)
    occurring = [name for name in MAESTRO_SCORED if name in set(true["label"])]
    columns = [list(classes).index(name) for name in occurring]
    told: dict[str, list[tuple[float, float, str]]] = {}
    for clip, label, onset, offset in zip(
        *(true[c] for c in ("clip", "label", "onset", "offset")), strict=True
    ):
        told.setdefault(clip, []).append((float(onset), float(offset), label))
    if not told:
        return None
    length = {clip: max(offset for _, offset, _ in rows) for clip, rows in told.items()}
    place = {clip: index for index, clip in enumerate(clips)}
    means = per_second(frames[[place[clip] for clip in told]][:, :, columns], hop)
    scores = {}
    for clip, mean in zip(told, means, strict=True):
        count = int(np.ceil(round(length[clip], DIGITS)))
        scores[clip] = np.pad(mean[:count], ((0, max(0, count - len(mean))), (0, 0)))
    return _segments(scores, told, occurring, length)


def _segments(
    scores: dict[str, np.ndarray],
    events: dict[str, list[tuple[float, float, str]]],
    classes: list[str],
    length: dict[str, float],
) -> Segments:
    truth = []
    for name, values in scores.items():
        positive = np.zeros(values.shape, dtype=bool)
        begin = np.arange(len(values))
        for onset, offset, label in events[name]:
            touched = (begin < round(offset, DIGITS)) & (begin + 1 > round(onset, DIGITS))
            positive[touched, classes.index(label)] = True
        truth.append(positive)
    return Segments(
        recordings=list(scores),
        seconds=np.array([length[name] for name in scores]),
        classes=classes,
        owner=np.repeat(np.arange(len(scores)), [len(values) for values in scores.values()]),
        scores=np.concatenate(list(scores.values())),
        truth=np.concatenate(truth),
        events=events,
    )


def _merged(rows: list[tuple[float, float, str]]) -> list[tuple[float, float, str]]:
    """Events of one class that overlap or touch made one."""
    merged: list[list] = []
    for onset, offset, label in sorted(rows, key=lambda row: (row[2], row[0])):
        if merged and merged[-1][2] == label and onset <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], offset)
        else:
            merged.append([onset, offset, label])
    return [tuple(row) for row in merged]
