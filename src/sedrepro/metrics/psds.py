"""The polyphonic sound detection score (PSDS) and its curves, from intersection counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .intersection import Criteria, Totals

HOUR = 3600.0


class Scenario(NamedTuple):
    """What a PSDS rewards: criteria, weights of cross-triggers and unevenness, range per hour."""

    criteria: Criteria
    alpha_ct: float
    alpha_st: float
    e_max: float = 100.0


SCENARIOS = {
    "psds1": Scenario(Criteria(dtc=0.7, gtc=0.7), alpha_ct=0.0, alpha_st=1.0),
    "psds2": Scenario(Criteria(dtc=0.1, gtc=0.1, cttc=0.3), alpha_ct=0.5, alpha_st=1.0),
}


class Roc(NamedTuple):
    """A staircase: on [efpr[i], efpr[i+1]) the rates are tpr[:, i] per class and etpr[i] in all.

    efpr is in false alarms per hour; tpr is (class, efpr), NaN for classes without truth.
    """

    efpr: np.ndarray
    etpr: np.ndarray
    tpr: np.ndarray


def rates(totals: Totals, alpha_ct: float) -> tuple[np.ndarray, np.ndarray]:
    """True positive rates and effective false positive rates per hour, both (point, class)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        tpr = totals.tp / totals.n_events  # 0 / 0, so NaN, of a class without truth
        efpr = totals.fp.astype(float) * HOUR / totals.seconds
        if totals.cross is not None:
            cross = totals.cross.astype(float) * HOUR / totals.event_seconds
            # A class without truth cannot be triggered across, nor can a class across itself.
            others = (totals.event_seconds > 0) & ~np.eye(len(totals.event_seconds), dtype=bool)
            n = np.maximum(others.sum(axis=1), 1)
            efpr = efpr + alpha_ct * np.where(others, cross, 0.0).sum(axis=-1) / n
    return tpr, efpr


def roc(totals: Totals, scenario: Scenario) -> Roc:
    """The PSD-ROC: per class the best rate reached up to each eFPR, and their penalised mean."""
    tpr, efpr = rates(totals, scenario.alpha_ct)
    points = np.unique(np.append(efpr, 0.0))
    steps = np.empty((tpr.shape[1], len(points)))
    for label in range(len(steps)):
        order = np.argsort(efpr[:, label], kind="stable")
        reached = np.maximum.accumulate(np.append(0.0, tpr[order, label]))
        steps[label] = reached[np.searchsorted(efpr[order, label], points, side="right")]
        if np.isnan(tpr[:, label]).any():
            steps[label] = np.nan
    counted = ~np.isnan(steps[:, 0])
    if not counted.any():
        return Roc(points, np.full(len(points), np.nan), steps)
    etpr = steps[counted].mean(axis=0) - scenario.alpha_st * steps[counted].std(axis=0)
    return Roc(points, np.maximum(etpr, 0.0), steps)


def area(efpr: np.ndarray, rate: np.ndarray, e_max: float) -> float:
    """The area under a staircase up to e_max, as a share of the largest possible."""
    inside = efpr < e_max
    edges = np.append(efpr[inside], e_max)
    return float(np.sum(np.diff(edges) * rate[inside]) / e_max)


def psds(totals: Totals, scenario: Scenario) -> float:
    """The score, 0…1."""
    curve = roc(totals, scenario)
    return area(curve.efpr, curve.etpr, scenario.e_max)
