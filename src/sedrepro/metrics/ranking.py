"""Ranking metrics of clip scores: average precision and ROC AUC by scikit-learn's definitions.

Sorted once, they are sums over clips, so a resample of the clips is another set of weights.
"""

from __future__ import annotations

import numpy as np


class Ranking:
    """Scores of one class (or of all pairs of clip and class) sorted downwards, ties grouped."""

    def __init__(self, scores: np.ndarray, truth: np.ndarray, clips: np.ndarray) -> None:
        """All three flat: a score, whether it is true, and the number of its clip."""
        order = np.argsort(-scores, kind="stable")
        self.truth = truth[order] > 0
        self.clips = clips[order]
        self.ends = np.flatnonzero(np.diff(scores[order], append=np.inf))
        """The last place of each group of equal scores: a threshold cannot fall inside one."""

    def counts(self, weights: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
        """True and false positives at each threshold; `weights` (clip): how often each counts."""
        weight = np.ones(len(self.clips)) if weights is None else weights[self.clips]
        true = np.cumsum(weight * self.truth)[self.ends]
        return true, np.cumsum(weight)[self.ends] - true

    def average_precision(self, weights: np.ndarray | None = None) -> float:
        """The sum of precision over the steps of recall; NaN without a positive."""
        true, false = self.counts(weights)
        if not len(true) or true[-1] == 0:
            return float("nan")
        precision = true / np.maximum(true + false, 1)
        return float(np.sum(np.diff(true, prepend=0) * precision) / true[-1])

    def roc_auc(self, weights: np.ndarray | None = None) -> float:
        """The area under true over false positive rate; NaN without a positive or a negative."""
        true, false = self.counts(weights)
        if not len(true) or true[-1] == 0 or false[-1] == 0:
            return float("nan")
        before = np.append(0, true[:-1])
        area = np.sum(np.diff(false, prepend=0) * (true + before) / 2)
        return float(area / (true[-1] * false[-1]))


class Rankings:
    """The rankings of clip scores and tags (clip, class): every class, and all pairs together.

    A class without positives (or negatives) has no value (NaN), and no part in a mean.
    """

    def __init__(self, scores: np.ndarray, tags: np.ndarray) -> None:
        self.n_clips, n_classes = scores.shape
        clips = np.arange(self.n_clips)
        self.classes = [Ranking(scores[:, k], tags[:, k], clips) for k in range(n_classes)]
        self.pairs = Ranking(scores.ravel(), tags.ravel(), np.repeat(clips, n_classes))

    def micro_ap(self, weights: np.ndarray | None = None) -> float:
        return self.pairs.average_precision(weights)

    def class_ap(self, weights: np.ndarray | None = None) -> np.ndarray:
        return np.array([one.average_precision(weights) for one in self.classes])

    def class_auc(self, weights: np.ndarray | None = None) -> np.ndarray:
        return np.array([one.roc_auc(weights) for one in self.classes])


def macro(values: np.ndarray) -> np.ndarray:
    """The mean over the classes (last axis) that have a value."""
    defined = ~np.isnan(values)
    count = defined.sum(-1)
    total = np.where(defined, values, 0.0).sum(-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
