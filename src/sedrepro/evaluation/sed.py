"""The `sed` family: what DESED's papers report, from frame and clip scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import SedreproError
from ..metrics import f1, packages
from ..metrics.bootstrap import Interval, Resampled
from ..metrics.decode import detect, median_filter, operating_points, peak_quantiles
from ..metrics.events import Events
from ..metrics.intersection import Counts, count
from ..metrics.psds import SCENARIOS, Roc, Scenario, psds, roc
from ..settings import PaperSettings
from ..settings.project import Report
from .measures import Measures, Scored, Truth

OWN = "sedrepro"
STRICT = "sedrepro (strict)"
DENSE = 200
"""Thresholds per class that stand for all of them in the interval of sed_scores_eval's PSDS: on
them our PSDS comes within 0.01 of the package's, and the interval is moved by the difference."""
CURVE_POINTS = 199
"""Most steps of a stored PSD-ROC, its end not counted."""


def measure(scored: Scored, truth: Truth, settings: PaperSettings, report: Report) -> Measures:
    """Everything for a selected checkpoint; of the last one only what our own code computes.

    A set without timed events has weak F1 only.
    """
    found = Measures()
    if len(truth.reference.events):
        _Frames(scored, truth, settings, report).measure(found)
    if "clip" in scored.arrays:
        counts = f1.clip_counts(
            scored.arrays["clip"], truth.tags, threshold=settings.decoding.threshold
        )
        found.add("weak_f1", OWN, truth.drawing(report).interval(counts, f1.macro_f1))
    return found


class _Frames:
    """Metrics of frame scores: decoded once, counted per clip once."""

    def __init__(
        self, scored: Scored, truth: Truth, settings: PaperSettings, report: Report
    ) -> None:
        decoding = settings.decoding
        self.truth, self.hop = truth.reference, scored.hop
        self.drawing = truth.drawing(report)
        self.official, self.trim = not scored.is_last, decoding.trim
        if decoding.scores not in scored.arrays:
            raise SedreproError(
                f"{scored.model} has no scores {decoding.scores!r} of {scored.set!r}; it has "
                f"{', '.join(scored.arrays)}"
            )
        frames = scored.arrays[decoding.scores]
        self.scores = median_filter(frames, decoding.windows(truth.classes))
        self.points = self._points(operating_points(decoding.operating_points))
        self.detected = self._points([decoding.threshold])[0]()

    def _points(self, thresholds: Sequence[Any] | np.ndarray) -> list[Callable[[], Events]]:
        seconds = self.truth.seconds if self.trim else None
        return [
            lambda t=threshold: detect(self.scores, t, hop=self.hop, seconds=seconds)
            for threshold in thresholds
        ]

    def measure(self, found: Measures) -> None:
        self._psds(found)
        self._intersection_f1(found)
        self._event_f1(found)
        self._segment_f1(found)

    def _count(self, points: list[Callable[[], Events]]) -> dict[str, Counts]:
        criteria = [scenario.criteria for scenario in SCENARIOS.values()]
        return dict(zip(SCENARIOS, count(points, self.truth, criteria), strict=True))

    def _psds(self, found: Measures) -> None:
        counted = self._count(self.points)
        if self.official:
            self._official_psds(found, counted)
        for name, scenario in SCENARIOS.items():
            found.add(name, OWN, self._psds_interval(counted[name], scenario))

    def _official_psds(self, found: Measures, counted: dict[str, Counts]) -> None:
        # Without intervals the dense thresholds need not be counted.
        points = peak_quantiles(self.scores, DENSE) if self.drawing.resamples else []
        dense = self._count(self._points(points))
        scenarios = list(SCENARIOS.values())
        values = packages.psds_eval_psds(self.points, self.truth, scenarios)
        for (name, scenario), value in zip(SCENARIOS.items(), values, strict=True):
            near = self._psds_interval(counted[name], scenario)
            found.add(name, "psds_eval", _moved(near, value))
            value = packages.sed_scores_eval_psds(
                self.scores, self.truth, scenario, hop=self.hop, trim=self.trim
            )
            near = self._psds_interval(dense[name], scenario)
            found.add(name, "sed_scores_eval", _moved(near, value))
            found.curves[name] = _thin(roc(counted[name].total(), scenario), scenario.e_max)

    def _psds_interval(self, counts: Counts, scenario: Scenario) -> Interval:
        return self.drawing.interval(counts, lambda total: psds(total, scenario))

    def _intersection_f1(self, found: Measures) -> None:
        (counts,) = count([lambda: self.detected], self.truth, [f1.INTERSECTION])
        counted = f1.intersection_counts(counts)
        if self.official:
            value = packages.psds_eval_f1(self.detected, self.truth, f1.INTERSECTION)
            own = self.drawing.interval(counted, f1.macro_f1_of_found)
            found.add("intersection_f1", "psds_eval", _moved(own, value))
        found.add("intersection_f1", STRICT, self.drawing.interval(counted, f1.macro_f1))

    def _event_f1(self, found: Measures) -> None:
        counts = f1.collar_counts(self.detected, self.truth)
        own = self.drawing.interval(counts, f1.macro_f1)
        if self.official:
            official = packages.sed_eval_event_f1(self.detected, self.truth)
            found.add("event_f1", "sed_eval", _moved(own, official.macro))
            for index, label in enumerate(self.truth.classes):
                if label in official.by_class:
                    one = self.drawing.interval(counts, lambda t, k=index: f1.class_f1(t)[k])
                    found.add("event_f1", "sed_eval", _moved(one, official.by_class[label]), label)
        found.add("event_f1", OWN, own)

    def _segment_f1(self, found: Measures) -> None:
        own = self.drawing.interval(f1.segment_counts(self.detected, self.truth), f1.macro_f1)
        if self.official:
            official = packages.sed_eval_segment_f1(self.detected, self.truth)
            found.add("segment_f1", "sed_eval", _moved(own, official.macro))
        found.add("segment_f1", OWN, own)


def _moved(own: Interval, value: float) -> Interval:
    """A package's value with our interval, moved by what the two values differ (mostly nothing)."""
    if own.low is None or own.high is None or np.isnan(own.value):
        return Interval(value, own.low, own.high)
    by = value - own.value
    moved = Interval(value, own.low + by, own.high + by)
    return Resampled.of(moved, own.values + by) if isinstance(own, Resampled) else moved


def _thin(curve: Roc, e_max: float) -> dict[str, list[float]]:
    """The steps of the PSD-ROC up to e_max, at most CURVE_POINTS of them."""
    inside = curve.efpr <= e_max
    efpr, etpr = curve.efpr[inside], curve.etpr[inside]
    steps = np.flatnonzero(np.append(True, np.diff(etpr) != 0))
    if len(steps) > CURVE_POINTS:
        steps = steps[np.linspace(0, len(steps) - 1, CURVE_POINTS).round().astype(int)]
    return {
        "efpr": [*efpr[steps].round(4).tolist(), e_max],
        "etpr": [*etpr[steps].round(5).tolist(), round(float(etpr[-1]), 5)],
    }
