"""The `tagging` family: how well clips are ranked, and frames where they have true times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..metrics.bootstrap import Drawing, Interval
from ..metrics.decode import gated, median_filter
from ..metrics.f1 import F1Counts, macro_f1
from ..metrics.ranking import Ranking, Rankings, macro
from ..settings import PaperSettings
from ..settings.project import Report
from .measures import Measures, Scored, Truth

OWN = "sedrepro"
"""Average precision and AUC are scikit-learn's, recomputed: tests hold them equal."""


def measure(scored: Scored, truth: Truth, settings: PaperSettings, report: Report) -> Measures:
    """Micro and macro average precision, macro AUC, one AP per class; frame metrics as extras."""
    found = Measures()
    clip = Rankings(scored.arrays["clip"], truth.tags)
    drawing = truth.drawing(report)
    weights = [None, *drawing.weights]

    def resampled(values: np.ndarray) -> Interval:
        return drawing.around(float(values[0]), values[1:])

    by_class = np.array([clip.class_ap(w) for w in weights])
    found.add("micro_ap", OWN, resampled(np.array([clip.micro_ap(w) for w in weights])))
    found.add("macro_ap", OWN, resampled(macro(by_class)))
    auc = np.array([clip.class_auc(w) for w in weights])
    found.add("macro_auc", OWN, resampled(macro(auc)))
    for index, label in enumerate(truth.classes):
        if not np.isnan(by_class[0, index]):
            found.add("ap", OWN, resampled(by_class[:, index]), label)
    found.add("classes_ranked", OWN, Interval(float((~np.isnan(auc[0])).sum())))
    # What scores without knowledge reach: the share of true pairs of clip and class.
    found.add("micro_ap_chance", OWN, Interval(float((truth.tags > 0).mean())))
    if "frame" in scored.arrays and len(truth.reference.events):
        _frames(scored, truth, settings, drawing, found)
    return found


def _frames(
    scored: Scored, truth: Truth, settings: PaperSettings, drawing: Drawing, found: Measures
) -> None:
    """Per class, then the mean over the classes that occur; classes a clip lacks are gated out."""
    decoding = settings.decoding
    scores = gated(scored.arrays["frame"], scored.arrays["clip"], decoding.gate)
    scores = median_filter(scores, decoding.windows(truth.classes))
    true = frame_truth(truth, scores.shape[1], scored.hop)
    detected = scores > decoding.threshold
    counts = F1Counts(
        *(
            pairs.sum(axis=1).astype(float)
            for pairs in (detected & true, detected & ~true, ~detected & true)
        )
    )
    statistics: dict[str, Callable[[F1Counts], float]] = {
        "frame_f1": macro_f1,
        "frame_precision": _precision,
        "frame_recall": _recall,
    }
    for name, statistic in statistics.items():
        found.add(name, OWN, drawing.interval(counts, statistic))
    where = np.zeros(true[..., 0].size, dtype=np.int64)
    each = [
        Ranking(scores[..., k].ravel(), true[..., k].ravel(), where)
        for k in range(len(truth.classes))
    ]
    ap = np.array([ranking.average_precision() for ranking in each])
    auc = np.array([ranking.roc_auc() for ranking in each])
    found.add("frame_ap", OWN, Interval(float(macro(ap))))
    found.add("frame_auc", OWN, Interval(float(macro(auc))))


def frame_truth(truth: Truth, frames: int, hop: float) -> np.ndarray:
    """(clip, frame, class): frames floor(onset / hop) to floor(offset / hop), both included."""
    true = np.zeros((len(truth.clips), frames, len(truth.classes)), dtype=bool)
    events = truth.reference.events
    first = np.floor(events.onset / hop + 1e-9).astype(int)
    last = np.floor(events.offset / hop + 1e-9).astype(int)
    for clip, label, start, end in zip(events.clip, events.label, first, last, strict=True):
        true[clip, start : end + 1, label] = True
    return true


def _precision(total: F1Counts) -> float:
    """Over the classes that occur; one that is never detected has a precision of 0."""
    occurs = total.tp + total.fn > 0
    return float(np.mean((total.tp / np.maximum(total.tp + total.fp, 1))[occurs]))


def _recall(total: F1Counts) -> float:
    occurs = total.tp + total.fn > 0
    return float(np.mean((total.tp / np.maximum(total.tp + total.fn, 1))[occurs]))
