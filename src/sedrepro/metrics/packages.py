"""The packages other people publish with, given our events: psds_eval, sed_scores_eval, sed_eval.

Imported on demand: together they cost a process a second. Classes without truth are left out, as
psds_eval fails on them and sed_scores_eval would count them as never found.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import SedreproError
from .decode import frame_times
from .events import Events, Reference, merge
from .intersection import Criteria
from .psds import Scenario

if TYPE_CHECKING:
    import pandas as pd

_NO_CTTC = 0.3  # psds_eval wants one; it has no effect where cross-triggers weigh nothing


@contextmanager
def _quietly() -> Iterator[None]:
    """The packages warn about themselves (deprecations, repeated operating points, 0/0)."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        yield


def _judged(truth: Reference) -> np.ndarray:
    """Which classes have truth (class)."""
    judged = truth.n_events.any(axis=0)
    if not judged.any():
        raise SedreproError("no clip that was scored has a true event: there is nothing to measure")
    return judged


# psds_eval


@cache
def _evaluator_type() -> type:
    with _quietly():
        from psds_eval import PSDSEval
        from psds_eval.psds import PSDROC

    class Evaluator(PSDSEval):
        """psds_eval without the work that leaves a PSDS as it is: it takes a third less time."""

        shared: dict[str, Any]
        """What evaluators of several criteria have in common of one operating point."""

        def _validate_input_table_with_events(self, df: pd.DataFrame, name: str) -> None:
            if name != "detection":  # decoded events of one class cannot overlap
                super()._validate_input_table_with_events(df, name)

        def _init_det_table(self, det_t: pd.DataFrame) -> pd.DataFrame:
            return self._once("detections", super()._init_det_table, det_t)

        def _ground_truth_intersections(self, *tables: pd.DataFrame) -> pd.DataFrame:
            return self._once("overlaps", super()._ground_truth_intersections, *tables)

        def _once(
            self, name: str, make: Callable[..., pd.DataFrame], *tables: pd.DataFrame
        ) -> pd.DataFrame:
            if name not in self.shared:
                self.shared[name] = make(*tables)
            return self.shared[name]

        def psd_roc_curves(self, alpha_ct: float, linear_interp: bool = False) -> tuple:
            """The curve a PSDS reads, the third, and not one for each pair of classes."""
            rates = self._effective_fp_rate(alpha_ct)
            xs = np.unique(rates.effective_fp_rate)
            pairs = zip(rates.effective_fp_rate, rates.tp_ratio, strict=True)
            ys = np.stack([self.step_curve(xs, efpr, tpr) for efpr, tpr in pairs])
            curve = PSDROC(xp=xs, yp=ys, mean=np.nanmean(ys, axis=0), std=np.nanstd(ys, axis=0))
            return None, None, curve

    return Evaluator


def _table(events: Events, truth: Reference) -> pd.DataFrame:
    """Events as psds_eval takes them; clips by number, which joins faster than names."""
    import pandas as pd

    return pd.DataFrame(
        {
            "filename": events.clip,
            "onset": events.onset,
            "offset": events.offset,
            "event_label": np.array(truth.classes, dtype=object)[events.label],
        }
    )


def _evaluators(truth: Reference, criteria: Sequence[Criteria]) -> list[Any]:
    import pandas as pd

    evaluators = [
        _evaluator_type()(
            dtc_threshold=each.dtc,
            gtc_threshold=each.gtc,
            cttc_threshold=_NO_CTTC if each.cttc is None else each.cttc,
            class_names=list(np.array(truth.classes, dtype=object)[_judged(truth)]),
            ground_truth=_table(truth.events, truth),
            metadata=pd.DataFrame(
                {"filename": np.arange(len(truth.clips)), "duration": truth.seconds}
            ),
        )
        for each in criteria
    ]
    shared: dict[str, Any] = {}
    for evaluator in evaluators:
        evaluator.shared = shared
    return evaluators


def psds_eval_psds(
    points: Sequence[Callable[[], Events]], truth: Reference, scenarios: Sequence[Scenario]
) -> list[float]:
    """PSDS by psds_eval from the events of each operating point (made one after the other)."""
    judged = _judged(truth)
    with _quietly():
        evaluators = _evaluators(truth, [scenario.criteria for scenario in scenarios])
        for point in points:
            events = point()
            table = _table(events[judged[events.label]], truth)
            for evaluator in evaluators:
                evaluator.add_operating_point(table)
            evaluators[0].shared.clear()
        scores = [
            evaluator.psds(alpha_ct=each.alpha_ct, alpha_st=each.alpha_st, max_efpr=each.e_max)
            for evaluator, each in zip(evaluators, scenarios, strict=True)
        ]
    return [float(score.value) for score in scores]


def psds_eval_f1(detected: Events, truth: Reference, criteria: Criteria) -> float:
    """Macro intersection F1 by psds_eval: the mean over the classes found at least once."""
    with _quietly():
        detected = detected[_judged(truth)[detected.label]]
        (evaluator,) = _evaluators(truth, [criteria])
        macro, _ = evaluator.compute_macro_f_score(_table(detected, truth))
    return float(macro)


# sed_scores_eval


def sed_scores_eval_psds(
    scores: np.ndarray, truth: Reference, scenario: Scenario, *, hop: float, trim: bool = True
) -> float:
    """PSDS by sed_scores_eval: all thresholds of filtered scores (clip, frame, class).

    `hop` in seconds per frame. With `trim`, scores end where their clip ends.
    """
    with _quietly():
        from sed_scores_eval.base_modules.scores import create_score_dataframe
        from sed_scores_eval.intersection_based import psds

        judged = _judged(truth)
        classes = [label for label, kept in zip(truth.classes, judged, strict=True) if kept]
        tables = {}
        for clip, seconds, values in zip(truth.clips, truth.seconds, scores, strict=True):
            times = frame_times(len(values), hop, seconds if trim else None)
            tables[clip] = create_score_dataframe(
                values[: len(times) - 1, judged].astype(float), times, classes
            )
        score, *_ = psds(
            tables,
            _by_clip(merge(truth.events, touching=True), truth),
            dict(zip(truth.clips, truth.seconds.tolist(), strict=True)),
            dtc_threshold=scenario.criteria.dtc,
            gtc_threshold=scenario.criteria.gtc,
            cttc_threshold=scenario.criteria.cttc,
            alpha_ct=scenario.alpha_ct,
            alpha_st=scenario.alpha_st,
            max_efpr=scenario.e_max,
        )
    return float(score)


def _by_clip(events: Events, truth: Reference) -> dict[str, list[tuple[float, float, str]]]:
    rows: dict[str, list[tuple[float, float, str]]] = {clip: [] for clip in truth.clips}
    for clip, label, onset, offset in zip(
        events.clip, events.label, events.onset.tolist(), events.offset.tolist(), strict=True
    ):
        rows[truth.clips[clip]].append((onset, offset, truth.classes[label]))
    return rows


def sed_scores_eval_segments(
    scores: dict[str, np.ndarray],
    events: dict[str, list[tuple[float, float, str]]],
    classes: Sequence[str],
    seconds: dict[str, float],
    max_fpr: float | None,
) -> tuple[float, float]:
    """Segment-based AUC up to `max_fpr` (as a share of it) and best-threshold F1, class means.

    Scores (segment, class) of each recording in segments of 1 s, its events and its length.
    """
    with _quietly():
        from sed_scores_eval.base_modules.scores import create_score_dataframe
        from sed_scores_eval.segment_based import auroc, best_fscore

        found = {
            name: create_score_dataframe(
                values.astype(float), np.arange(len(values) + 1.0), list(classes)
            )
            for name, values in scores.items()
        }
        about = {"segment_length": 1.0}
        area, _ = auroc(found, events, seconds, max_fpr=max_fpr, **about)
        f1, *_ = best_fscore(found, events, seconds, **about)
    return float(area["mean"]), float(np.mean([f1[name] for name in classes]))


# sed_eval


class SedEval(NamedTuple):
    """Macro and micro F1, and F1 per class by name."""

    macro: float
    micro: float
    by_class: dict[str, float]


def sed_eval_event_f1(
    detected: Events,
    truth: Reference,
    *,
    collar: float = 0.2,
    percentage_of_length: float = 0.2,
) -> SedEval:
    """Event-based F1 by sed_eval; collar in seconds; classes never detected count as 0."""
    with _quietly():
        from sed_eval.sound_event import EventBasedMetrics

        metrics = EventBasedMetrics(
            event_label_list=_labels(truth),
            t_collar=collar,
            percentage_of_length=percentage_of_length,
            empty_system_output_handling="zero_score",
        )
        return _sed_eval(metrics, detected, truth)


def sed_eval_segment_f1(detected: Events, truth: Reference, *, seconds: float = 1.0) -> SedEval:
    """Segment-based F1 by sed_eval; segment length in seconds."""
    with _quietly():
        from sed_eval.sound_event import SegmentBasedMetrics

        metrics = SegmentBasedMetrics(event_label_list=_labels(truth), time_resolution=seconds)
        return _sed_eval(metrics, detected, truth)


def _labels(truth: Reference) -> list[str]:
    return [name for name, kept in zip(truth.classes, _judged(truth), strict=True) if kept]


def _sed_eval(metrics: Any, detected: Events, truth: Reference) -> SedEval:
    detected = detected[_judged(truth)[detected.label]]
    references, estimates = _by_clip(truth.events, truth), _by_clip(detected, truth)
    for clip in truth.clips:
        if references[clip] or estimates[clip]:
            metrics.evaluate(_records(clip, references[clip]), _records(clip, estimates[clip]))
    by_class = metrics.results_class_wise_metrics()
    return SedEval(
        macro=float(metrics.results_class_wise_average_metrics()["f_measure"]["f_measure"]),
        micro=float(metrics.results_overall_metrics()["f_measure"]["f_measure"]),
        by_class={name: float(row["f_measure"]["f_measure"]) for name, row in by_class.items()},
    )


def _records(clip: str, events: list[tuple[float, float, str]]) -> list[dict[str, Any]]:
    return [
        {"file": clip, "onset": onset, "offset": offset, "event_label": label}
        for onset, offset, label in events
    ]
