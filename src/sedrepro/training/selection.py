"""The numbers checkpoints are chosen by, computed during training from scores in memory."""

from __future__ import annotations

import numpy as np

from .. import tables
from ..metrics import maestro, segments
from ..metrics.decode import median_filter
from ..metrics.events import columns, reference
from ..metrics.f1 import clip_counts, intersection_f1, macro_f1, macro_f1_of_all
from ..metrics.ranking import Rankings
from ..settings import Layout, Plan, declared
from .data import EvalSet
from .scoring import Scores


class Judge:
    """Scores → `{metric: value}` for one held-out set; the truth is prepared once."""

    def __init__(self, eval_set: EvalSet, plan: Plan, layout: Layout) -> None:
        self.decoding = plan.settings.training.select_decoding
        self.hop = plan.grid.seconds
        self.windows = self.decoding.windows(plan.classes)
        clips, seconds = eval_set.data.names, eval_set.data.seconds
        events = tables.read_events(layout.table(eval_set.spec.subset, "events"), plan.classes)
        self.clips = clips
        self.seconds = seconds
        self.events = events
        self.classes = plan.classes
        self.tags = tables.clip_targets(events, clips, plan.classes)
        timed = events[events["onset"].notna()]
        self.truth = reference(
            clips=clips, seconds=seconds, classes=plan.classes, events=columns(timed)
        )
        families = [declared.METRICS[name] for name in eval_set.spec.metrics]
        self.families = [declared.resolve(family.judge) for family in families]

    def __call__(self, scores: Scores) -> dict[str, float]:
        found: dict[str, float] = {}
        for family in self.families:
            found |= family(self, scores)
        return found


def judge_events(judge: Judge, scores: Scores) -> dict[str, float]:
    """Strict intersection F1: the package's value flatters a system that finds few classes."""
    value = intersection_f1(
        scores=scores["frame"],
        truth=judge.truth,
        hop=judge.hop,
        windows=judge.windows,
        trim=judge.decoding.trim,
        threshold=judge.decoding.threshold,
    )
    return {"intersection_f1": value}


def judge_tags(judge: Judge, scores: Scores) -> dict[str, float]:
    counts = clip_counts(scores["clip"], judge.tags, threshold=judge.decoding.threshold)
    return {"weak_f1": macro_f1(counts.total())}


def judge_tagging(judge: Judge, scores: Scores) -> dict[str, float]:
    """The authors' rule, on the scores of all clips and classes together."""
    return {"micro_ap": Rankings(scores["clip"], judge.tags).micro_ap()}


def judge_desed_tags(judge: Judge, scores: Scores) -> dict[str, float]:
    """Clip scores under DESED's class mask; classes without a clip count as 0, as torchmetrics has
    it, so that the value cannot exceed the share of DESED's classes."""
    counts = clip_counts(scores["clip_desed"], judge.tags, threshold=judge.decoding.threshold)
    return {"weak_f1": macro_f1_of_all(counts.total())}


def judge_maestro(judge: Judge, scores: Scores) -> dict[str, float]:
    """Segment F1 at each class's best threshold, on windows apart from each other."""
    found = maestro.separate(
        median_filter(scores["frame"], judge.windows),
        judge.hop,
        clips=judge.clips,
        seconds=judge.seconds,
        classes=judge.classes,
        events=judge.events,
    )
    return {"segment_f1_best": found.best_f1() if found else 0.0}


def judge_segments(judge: Judge, scores: Scores) -> dict[str, float]:
    label = segments.labels(judge.truth, scores["frame"].shape[1])
    return {"segment_accuracy": segments.share(segments.accuracy(scores["frame"], label).total())}


def is_finite(scores: Scores) -> bool:
    return all(np.isfinite(values).all() for values in scores.values())
