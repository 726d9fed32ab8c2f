"""The numbers checkpoints are chosen by, computed during training from scores in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .. import tables
from ..metrics.selection import clip_f1, intersection_f1
from ..settings import Layout, Plan
from .data import Held
from .scoring import Scores


class Judge:
    """Scores → `{metric: value}` for one held-out set; the truth is prepared once."""

    def __init__(self, held: Held, plan: Plan, layout: Layout) -> None:
        self.plan, self.seconds = plan, held.data.seconds
        self.events = tables.read_events(layout.table(held.held.subset, "events"), plan.classes)
        self.names = held.data.names
        self.clips = tables.clip_targets(self.events, self.names, plan.classes)
        self.families = [FAMILIES[name] for name in held.held.metrics if name in FAMILIES]

    def __call__(self, scores: Scores) -> dict[str, float]:
        found: dict[str, float] = {}
        for family in self.families:
            found |= family(self, scores)
        return found


def _events(judge: Judge, scores: Scores) -> dict[str, float]:
    decoding = judge.plan.settings.decoding
    value = intersection_f1(
        scores["frame"],
        judge.events,
        clips=judge.names,
        classes=judge.plan.classes,
        seconds=judge.seconds,
        hop=judge.plan.grid.seconds,
        windows=decoding.windows(judge.plan.classes),
        threshold=decoding.threshold,
    )
    return {"intersection_f1": value, **_tags(judge, scores)}


def _tags(judge: Judge, scores: Scores) -> dict[str, float]:
    threshold = judge.plan.settings.decoding.threshold
    return {"weak_f1": clip_f1(scores["clip"], judge.clips, threshold=threshold)}


FAMILIES: dict[str, Callable[[Judge, Scores], dict[str, float]]] = {"sed": _events, "tags": _tags}


def is_finite(scores: Scores) -> bool:
    return all(np.isfinite(values).all() for values in scores.values())
