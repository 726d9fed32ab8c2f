"""F1 scores from counts per clip and class: collar, intersection, segment and clip based."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .decode import detect, median_filter
from .events import Events, Reference
from .intersection import Counts, Criteria, count

INTERSECTION = Criteria(dtc=0.5, gtc=0.5)


@dataclass(frozen=True)
class F1Counts:
    """True positives, false positives and false negatives per clip and class (clip, class)."""

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray

    @property
    def n_clips(self) -> int:
        return len(self.tp)

    def total(self) -> F1Counts:
        """Over all clips (class)."""
        return F1Counts(*(counts.sum(axis=0) for counts in (self.tp, self.fp, self.fn)))

    def resampled(self, weights: np.ndarray) -> list[F1Counts]:
        """Totals of each row of weights (resample, clip): how often each clip is drawn."""
        summed = (weights @ counts for counts in (self.tp, self.fp, self.fn))
        return [F1Counts(*row) for row in zip(*summed, strict=True)]


def class_f1(total: F1Counts) -> np.ndarray:
    """F1 per class (class); NaN for classes without truth."""
    with np.errstate(invalid="ignore"):
        f1 = 2 * total.tp / (2 * total.tp + total.fp + total.fn)
    return np.where(total.tp + total.fn > 0, f1, np.nan)


def macro_f1(total: F1Counts) -> float:
    """The mean over the classes that have truth; a class never found counts as 0."""
    f1 = class_f1(total)
    return float(np.mean(f1[~np.isnan(f1)])) if not np.isnan(f1).all() else float("nan")


def micro_f1(total: F1Counts) -> float:
    """The F1 of the counts of all classes that have truth, as one."""
    judged = total.tp + total.fn > 0
    tp, fp, fn = (counts[judged].sum() for counts in (total.tp, total.fp, total.fn))
    return float(2 * tp / (2 * tp + fp + fn)) if judged.any() else float("nan")


def macro_f1_of_all(total: F1Counts) -> float:
    """The mean over all classes; one without truth counts as 0, as torchmetrics has it."""
    return float(np.nan_to_num(class_f1(total)).mean())


def macro_f1_of_found(total: F1Counts) -> float:
    """The mean over the classes found at least once, as psds_eval has it: flatters weak systems."""
    found = total.tp > 0
    return float(np.mean(class_f1(total)[found])) if found.any() else float("nan")


def intersection_counts(counts: Counts, point: int = 0) -> F1Counts:
    """Intersection counts at one operating point, as F1 counts."""
    tp = counts.tp[:, point].astype(float)
    return F1Counts(tp, counts.fp[:, point].astype(float), counts.n_events - tp)


def intersection_f1(
    *,
    scores: np.ndarray,
    truth: Reference,
    hop: float,
    windows: Sequence[int],
    threshold: float = 0.5,
    trim: bool = True,
) -> float:
    """The strict macro F1 (DTC = GTC = 0.5) of the raw scores (clip, frame, class) of a truth.

    Fast enough to choose checkpoints by. `hop` in seconds, `windows` in frames, one per class.
    """
    detected = detect(
        median_filter(scores, windows), threshold, hop=hop, seconds=truth.seconds if trim else None
    )
    (counts,) = count([lambda: detected], truth, [INTERSECTION])
    return macro_f1(intersection_counts(counts).total())


def collar_counts(
    detected: Events,
    truth: Reference,
    *,
    onset_collar: float = 0.2,
    offset_collar: float = 0.2,
    offset_share: float = 0.2,
) -> F1Counts:
    """Event-based counts: onset and offset within their collars, in seconds.

    The offset's collar is at least `offset_share` of the true length. Detections and truths are
    matched so that as many pairs as possible hold.
    """
    # Imported here: choosing checkpoints does without it.
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import maximum_bipartite_matching

    events, shape = truth.events, (len(truth.clips), len(truth.classes))
    # Truth is sorted by clip, then class: the truths of one cell lie side by side.
    cells = events.clip * shape[1] + events.label
    detected_cells = detected.clip * shape[1] + detected.label
    first = np.searchsorted(cells, detected_cells, side="left")
    n = np.searchsorted(cells, detected_cells, side="right") - first
    left = np.repeat(np.arange(len(detected)), n)
    right = np.arange(len(left)) - np.repeat(np.cumsum(n) - n, n) + np.repeat(first, n)
    collar = np.maximum(offset_collar, offset_share * (events.offset - events.onset))[right]
    hit = (np.abs(detected.onset[left] - events.onset[right]) <= onset_collar) & (
        np.abs(detected.offset[left] - events.offset[right]) <= collar
    )
    tp = np.zeros(shape)
    if hit.any():
        edges = csr_array(
            (np.ones(hit.sum(), bool), (left[hit], right[hit])), shape=(len(detected), len(events))
        )
        matched = maximum_bipartite_matching(edges, perm_type="column") >= 0
        np.add.at(tp.reshape(-1), detected_cells[matched], 1)
    n_detected = np.bincount(detected_cells, minlength=tp.size).reshape(shape)
    return F1Counts(tp, n_detected - tp, truth.n_events - tp)


def segment_counts(detected: Events, truth: Reference, *, seconds: float = 1.0) -> F1Counts:
    """Segment-based counts: a segment is active if any event of the class touches it."""
    last = [events.offset.max(initial=0.0) for events in (detected, truth.events)]
    segments = int(np.ceil(max(last) / seconds))

    def active(events: Events) -> np.ndarray:
        steps = np.zeros((len(truth.clips), len(truth.classes), segments + 1), dtype=np.int32)
        start = np.floor(events.onset / seconds).astype(int)
        end = np.ceil(events.offset / seconds).astype(int)
        np.add.at(steps, (events.clip, events.label, start), 1)
        np.subtract.at(steps, (events.clip, events.label, end), 1)
        return steps.cumsum(axis=-1)[:, :, :segments] > 0

    return _compare(active(detected), active(truth.events))


def clip_counts(scores: np.ndarray, tags: np.ndarray, *, threshold: float = 0.5) -> F1Counts:
    """Weak counts: clip scores and tags (clip, class); a score above the threshold is a tag."""
    return _compare((scores > threshold)[..., None], (np.asarray(tags) > 0)[..., None])


def _compare(detected: np.ndarray, true: np.ndarray) -> F1Counts:
    """Counts over the last axis of two boolean arrays (clip, class, segment)."""
    return F1Counts(
        (detected & true).sum(axis=-1).astype(float),
        (detected & ~true).sum(axis=-1).astype(float),
        (~detected & true).sum(axis=-1).astype(float),
    )
