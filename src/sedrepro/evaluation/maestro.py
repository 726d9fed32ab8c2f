"""The `maestro` family: segments of recordings, ranked per class (mpAUC)."""

from __future__ import annotations

import numpy as np

from ..metrics import maestro, packages
from ..metrics.bootstrap import Interval
from ..metrics.decode import median_filter
from ..metrics.ranking import macro
from ..settings import PaperSettings
from ..settings.project import Report
from .measures import Measures, Scored, Truth

OWN = "sedrepro"
"""Ties of the false positive rate keep the largest true positive rate, whatever the machine."""
LIBRARY = "sed_scores_eval"


def measure(scored: Scored, truth: Truth, settings: PaperSettings, report: Report) -> Measures:
    """mpAUC and mAUC, class-wise pAUC, and the segment F1 of each class's best threshold.

    Intervals resample recordings. The library's values stand beside ours; of last checkpoints only
    ours are made.
    """
    found = Measures()
    joined = maestro.together(
        median_filter(scored.arrays["frame"], settings.decoding.windows(truth.classes)),
        scored.hop,
        clips=truth.clips,
        seconds=truth.seconds,
        classes=truth.classes,
        events=truth.events,
    )
    if joined is None:
        return found
    rankings = joined.rankings()
    drawing = truth.drawing(report)
    # The windows of a recording all have its weight, so any of them will do.
    window = {maestro.window_of(clip)[0]: number for number, clip in enumerate(truth.clips)}
    weights = [None, *drawing.weights[:, [window[name] for name in joined.recordings]]]

    def interval(values: np.ndarray) -> Interval:
        return drawing.around(float(values[0]), values[1:])

    partial = np.array([[maestro.partial_auc(r, weights=w) for r in rankings] for w in weights])
    means = macro(partial)
    found.add("mpauc", OWN, interval(means))
    for index, label in enumerate(joined.classes):
        found.add("pauc", OWN, interval(partial[:, index]), label)
    full = np.array([[maestro.partial_auc(r, 1.0, w) for r in rankings] for w in weights])
    found.add("mauc", OWN, interval(macro(full)))
    best = np.array([[maestro.best_f1(r, w) for r in rankings] for w in weights])
    found.add("segment_f1_best", OWN, interval(macro(best)))
    if not scored.is_last:
        split = np.flatnonzero(np.diff(joined.owner)) + 1
        pieces = dict(zip(joined.recordings, np.split(joined.scores, split), strict=True))
        seconds = dict(zip(joined.recordings, joined.seconds.tolist(), strict=True))
        area, f1 = packages.sed_scores_eval_segments(
            pieces, joined.events, joined.classes, seconds, maestro.MAX_FPR
        )
        found.add("mpauc", LIBRARY, Interval(area))
        found.add("segment_f1_best", LIBRARY, Interval(f1))
    return found
