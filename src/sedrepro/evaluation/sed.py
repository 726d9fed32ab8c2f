"""The `sed` family: what DESED's papers report, from frame and clip scores, or detections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..errors import SedreproError
from ..metrics import f1, packages
from ..metrics.bootstrap import Drawing, Interval, Resampled
from ..metrics.boxes import QUARTERS, Tuned, box_scores, tune
from ..metrics.decode import detect, median_filter, operating_points, peak_quantiles
from ..metrics.events import Events
from ..metrics.intersection import Counts, count
from ..metrics.psds import SCENARIOS, Roc, Scenario, psds, roc
from ..settings import Decoding, PaperSettings
from ..settings.project import Report
from .measures import Measures, Scored, Truth

OWN = "sedrepro"
STRICT = "sedrepro (strict)"
DENSE = 200
"""Thresholds per class that stand for all of them in the interval of sed_scores_eval's PSDS: on
them our PSDS comes within 0.01 of the package's, and the interval is moved by the difference."""
CURVE_POINTS = 199
"""Most steps of a stored PSD-ROC, its end not counted."""


Point = Callable[[], Events]
"""An operating point makes its events when it is asked: only one set is in memory at a time."""


@dataclass(frozen=True)
class Frames:
    """Filtered scores (clip, frame, class), or those of boxes, from which events are made at any
    threshold."""

    scores: np.ndarray
    hop: float
    seconds: np.ndarray
    trim: bool

    @classmethod
    def of(cls, scored: Scored, truth: Truth, decoding: Decoding) -> Frames:
        raw = _decoded(scored, decoding)
        if decoding.boxes is not None and not scored.tuned:
            raise SedreproError(
                f"{scored.model}: boxes (decoding.boxes) are tuned on scores of "
                f"{decoding.boxes.tuned_on!r}, and here are none"
            )
        seconds = truth.reference.seconds
        if decoding.boxes is None:
            smooth = median_filter(raw, decoding.windows(truth.classes))
            return cls(smooth, scored.hop, seconds, decoding.trim)
        drawn = box_scores(raw, [one.shape for one in scored.tuned], scored.hop)
        return cls(drawn, scored.hop / QUARTERS, seconds, decoding.trim)

    def points(self, thresholds: Sequence[Any] | np.ndarray) -> list[Point]:
        seconds = self.seconds if self.trim else None
        return [
            partial(detect, self.scores, threshold, hop=self.hop, seconds=seconds)
            for threshold in thresholds
        ]

    def detections(self, decoding: Decoding) -> Detections:
        points = self.points(operating_points(decoding.operating_points))
        return Detections(points, self.points([decoding.threshold])[0](), self)


def _decoded(scored: Scored, decoding: Decoding) -> np.ndarray:
    """The scores that events are found in."""
    if decoding.scores not in scored.arrays:
        raise SedreproError(
            f"{scored.model} has no scores {decoding.scores!r} of {scored.set!r}; it has "
            f"{', '.join(scored.arrays)}"
        )
    return scored.arrays[decoding.scores]


def tuned(scored: Scored, truth: Truth, decoding: Decoding) -> list[Tuned]:
    """How each class's boxes are found, chosen on this set; nothing where nothing is boxed."""
    if decoding.boxes is None:
        return []
    raw, grid = _decoded(scored, decoding), decoding.boxes.grid
    return tune(raw, truth.reference, grid, hop=scored.hop, trim=decoding.trim)


@dataclass(frozen=True)
class Detections:
    """What a system detects; somebody else's may have no detections at the threshold of F1."""

    points: list[Point]
    """The operating points of the PSDS."""
    detected: Events | None
    """What the F1 scores are of."""
    frames: Frames | None = None
    """The scores behind it, where they are known."""

    @classmethod
    def of(cls, points: Iterable[Events], detected: Events | None) -> Detections:
        """Of what is in memory already."""
        return cls([partial(_made, events) for events in points], detected)


def _made(events: Events) -> Events:
    """An operating point whose events are there already."""
    return events


def measure(scored: Scored, truth: Truth, settings: PaperSettings, report: Report) -> Measures:
    """Everything for a selected checkpoint; of the last one only what our own code computes.

    A set without timed events has weak F1 only.
    """
    found = Measures()
    decoding = settings.decoding
    if len(truth.reference.events):
        detections = Frames.of(scored, truth, decoding).detections(decoding)
        found = measure_detections(detections, truth, report, official=not scored.is_last)
        if decoding.boxes is not None:
            medians = decoding.model_copy(update={"boxes": None})
            before = Frames.of(scored, truth, medians).detections(medians)
            _add_gains(found, before, truth, report, official=not scored.is_last)
    if "clip" in scored.arrays:
        counts = f1.clip_counts(scored.arrays["clip"], truth.tags, threshold=decoding.threshold)
        found.add("weak_f1", OWN, truth.drawing(report).interval(counts, f1.macro_f1))
    return found


def measure_detections(
    detections: Detections, truth: Truth, report: Report, *, official: bool = True
) -> Measures:
    """PSDS, and F1 scores where there are detections at their threshold; `official`: by the
    packages too."""
    found = Measures()
    _Measuring(detections, truth, truth.drawing(report), official).measure(found)
    return found


def _add_gains(
    found: Measures, before: Detections, truth: Truth, report: Report, *, official: bool
) -> None:
    """What each PSDS gains over another decoding of the same scores, clip by clip."""
    drawing, was = truth.drawing(report), Measures()
    _Measuring(before, truth, drawing, official).measure_psds(was)
    for (metric, implementation, _), old in was.values.items():
        new = found.values[metric, implementation, ""]
        gain = Interval(new.value - old.value)
        if isinstance(new, Resampled) and isinstance(old, Resampled):
            gain = drawing.around(gain.value, new.values - old.values)
        found.add(f"delta_{metric}", implementation, gain)


class _Measuring:
    """Metrics of detections: counted per clip once."""

    def __init__(
        self, detections: Detections, truth: Truth, drawing: Drawing, official: bool
    ) -> None:
        self.points = detections.points
        self.detected = detections.detected
        self.frames = detections.frames
        self.truth = truth.reference
        self.drawing = drawing
        self.official = official

    def measure(self, found: Measures) -> None:
        self.measure_psds(found)
        if self.detected is not None:
            self._intersection_f1(found, self.detected)
            self._event_f1(found, self.detected)
            self._segment_f1(found, self.detected)

    def _count(self, points: list[Point]) -> dict[str, Counts]:
        criteria = [scenario.criteria for scenario in SCENARIOS.values()]
        return dict(zip(SCENARIOS, count(points, self.truth, criteria), strict=True))

    def measure_psds(self, found: Measures) -> None:
        counted = self._count(self.points)
        if self.official:
            self._psds_eval(found, counted)
            if self.frames is not None:
                self._sed_scores_eval(found, self.frames)
        for name, scenario in SCENARIOS.items():
            found.add(name, OWN, self._psds_interval(counted[name], scenario))

    def _psds_eval(self, found: Measures, counted: dict[str, Counts]) -> None:
        values = packages.psds_eval_psds(self.points, self.truth, list(SCENARIOS.values()))
        for (name, scenario), value in zip(SCENARIOS.items(), values, strict=True):
            ours = self._psds_interval(counted[name], scenario)
            found.add(name, "psds_eval", _moved(ours, value))
            found.curves[name] = _thin(roc(counted[name].total(), scenario), scenario.e_max)

    def _sed_scores_eval(self, found: Measures, frames: Frames) -> None:
        # Without intervals the dense thresholds need not be counted.
        points: Sequence[Any] | np.ndarray = []
        if self.drawing.resamples:
            points = peak_quantiles(frames.scores, DENSE)
        dense = self._count(frames.points(points))
        for name, scenario in SCENARIOS.items():
            value = packages.sed_scores_eval_psds(
                frames.scores, self.truth, scenario, hop=frames.hop, trim=frames.trim
            )
            ours = self._psds_interval(dense[name], scenario)
            found.add(name, "sed_scores_eval", _moved(ours, value))

    def _psds_interval(self, counts: Counts, scenario: Scenario) -> Interval:
        return self.drawing.interval(counts, lambda total: psds(total, scenario))

    def _intersection_f1(self, found: Measures, detected: Events) -> None:
        (counts,) = count([lambda: detected], self.truth, [f1.INTERSECTION])
        counted = f1.intersection_counts(counts)
        if self.official:
            value = packages.psds_eval_f1(detected, self.truth, f1.INTERSECTION)
            own = self.drawing.interval(counted, f1.macro_f1_of_found)
            found.add("intersection_f1", "psds_eval", _moved(own, value))
        found.add("intersection_f1", STRICT, self.drawing.interval(counted, f1.macro_f1))

    def _event_f1(self, found: Measures, detected: Events) -> None:
        counts = f1.collar_counts(detected, self.truth)
        official = packages.sed_eval_event_f1(detected, self.truth) if self.official else None
        self._means(found, "event_f1", counts, official)
        if official is not None:
            for index, label in enumerate(self.truth.classes):
                if label in official.by_class:
                    of_class = partial(_class_f1, index)
                    one = self.drawing.interval(counts, of_class)
                    found.add("event_f1", "sed_eval", _moved(one, official.by_class[label]), label)

    def _segment_f1(self, found: Measures, detected: Events) -> None:
        counts = f1.segment_counts(detected, self.truth)
        official = packages.sed_eval_segment_f1(detected, self.truth) if self.official else None
        self._means(found, "segment_f1", counts, official)

    def _means(
        self, found: Measures, metric: str, counts: f1.F1Counts, official: packages.SedEval | None
    ) -> None:
        """The mean over classes, and the F1 of all classes' counts together."""
        macro = self.drawing.interval(counts, f1.macro_f1)
        micro = self.drawing.interval(counts, f1.micro_f1)
        if official is not None:
            found.add(metric, "sed_eval", _moved(macro, official.macro))
            found.add(f"{metric}_micro", "sed_eval", _moved(micro, official.micro))
        found.add(metric, OWN, macro)
        found.add(f"{metric}_micro", OWN, micro)


def _class_f1(index: int, totals: Any) -> float:
    return f1.class_f1(totals)[index]


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
