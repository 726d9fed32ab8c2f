"""The `tags` and `desed_tags` families: how well a set's clips are tagged at the threshold."""

from __future__ import annotations

from collections.abc import Callable

from ..metrics.f1 import F1Counts, clip_counts, macro_f1, macro_f1_of_all
from ..settings import PaperSettings
from ..settings.declared import OWN
from ..settings.project import Report
from .measures import Measures, Scored, Truth


def measure(scored: Scored, truth: Truth, settings: PaperSettings, report: Report) -> Measures:
    """Weak F1 of the clip scores."""
    return _weak_f1(scored, truth, settings, report, "clip", macro_f1)


def measure_desed(
    scored: Scored, truth: Truth, settings: PaperSettings, report: Report
) -> Measures:
    """Weak F1 of the clip scores under DESED's class mask, over all classes."""
    return _weak_f1(scored, truth, settings, report, "clip_desed", macro_f1_of_all)


def _weak_f1(
    scored: Scored,
    truth: Truth,
    settings: PaperSettings,
    report: Report,
    name: str,
    statistic: Callable[[F1Counts], float],
) -> Measures:
    counts = clip_counts(scored.arrays[name], truth.tags, threshold=settings.decoding.threshold)
    found = Measures()
    found.add("weak_f1", OWN, truth.drawing(report).interval(counts, statistic))
    return found
