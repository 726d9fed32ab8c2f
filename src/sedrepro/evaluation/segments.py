"""The `segments` family: what papers on AVE report, oracle lines, what only look-alikes tell."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from ..metrics import segments
from ..metrics.bootstrap import Drawing, Interval
from ..metrics.f1 import F1Counts, macro_f1
from ..metrics.segments import Shares
from ..settings import PaperSettings
from ..settings.project import Report
from ..sources.ave import TRUTH
from .measures import Measures, Scored, Truth

OWN = "sedrepro"


def measure(scored: Scored, truth: Truth, settings: PaperSettings, report: Report) -> Measures:
    """Accuracies of seconds and videos; resampling draws videos, not seconds."""
    scores = scored.arrays["frame"]
    label = segments.labels(truth.reference, scores.shape[1])
    chosen, background = segments.predicted(scores), len(truth.classes)
    event = label < background
    found, right = Measures(), chosen == label
    drawing = truth.drawing(report)
    partial = event.any(1) & ~event.all(1)
    everything = np.ones_like(event)
    values = {
        "segment_accuracy": segments.accuracy(scores, label),
        "event_segment_accuracy": Shares.among(_category(scores, background) == label, event),
        "partial_accuracy": Shares.among(right, everything & partial[:, None]),
        "video_accuracy": _videos(scores, label, background),
        "oracle_always_event": Shares.among(event, everything),
        "oracle_always_background": Shares.among(~event, everything),
    }
    values |= _of_look_alikes(scored, truth, right, event, partial)
    for name, counts in values.items():
        if counts.of.sum():
            found.add(name, OWN, drawing.interval(counts, segments.share))
    found.add("oracle_uniform", OWN, Interval(1 / (background + 1)))
    found.add("event_background_f1", OWN, _event_f1(chosen < background, event, drawing))
    for index, name in enumerate([*truth.classes, "background"]):
        counts = Shares.among(right, label == index)
        if counts.of.sum():
            found.add("class_accuracy", OWN, drawing.interval(counts, segments.share), name)
    return found


def _category(scores: np.ndarray, background: int) -> np.ndarray:
    """The best event category of each second, whether or not it is one."""
    return scores[..., :background].argmax(-1)


def _videos(scores: np.ndarray, label: np.ndarray, background: int) -> Shares:
    """One decision per video with an event: the category with the largest mean score."""
    best = scores[..., :background].mean(1).argmax(1)
    counted = (label < background).any(1)
    category = np.where(label < background, label, -1).max(1)
    return Shares.among((best == category)[:, None], counted[:, None])


def _event_f1(found: np.ndarray, event: np.ndarray, drawing: Drawing) -> Interval:
    counts = F1Counts(
        *(
            part.sum(1, keepdims=True).astype(float)
            for part in (found & event, found & ~event, ~found & event)
        )
    )
    return drawing.interval(counts, macro_f1)


def _of_look_alikes(
    scored: Scored, truth: Truth, right: np.ndarray, event: np.ndarray, partial: np.ndarray
) -> dict[str, Shares]:
    """What needs to know what is heard and seen, and where: nothing for real videos."""
    known = _sidecar(truth)
    if known is None:
        return {}
    heard, seen, boxes = known
    apart = (heard >= 0) & (seen >= 0) & (heard != seen)
    mismatched = apart.all(1)
    everything = np.ones_like(event)
    values = {
        "mismatched_accuracy": Shares.among(right, everything & mismatched[:, None]),
        "hard_accuracy": Shares.among(right, everything & (partial | mismatched)[:, None]),
    }
    if "attention" in scored.arrays:
        values["pointing"] = Shares.among(points(scored.arrays["attention"], boxes), event)
        sides = boxes[..., 2:] - boxes[..., :2]
        area = np.rint(sides.prod(-1) * 10000).astype(int)
        values["pointing_chance"] = Shares((area * event).sum(1), 10000 * event.sum(1))
    return values


def points(attention: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Whether the middle of the most attended place lies in the box (clip, segment)."""
    side = round(attention.shape[-1] ** 0.5)
    row, column = np.divmod(attention.argmax(-1), side)
    x, y = (column + 0.5) / side, (row + 0.5) / side
    left, top, right, bottom = np.moveaxis(boxes, -1, 0)
    return (left <= x) & (x <= right) & (top <= y) & (y <= bottom)


def _sidecar(truth: Truth) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """What is heard and seen (clip, segment) and where (clip, segment, 4), of rendered videos."""
    paths = [Path(truth.paths.get(clip, "")) for clip in truth.clips]
    table = paths[0].parents[1] / Path(TRUTH).name if len(paths[0].parents) > 1 else None
    if table is None or not table.is_file():
        return None
    rows: dict[str, list[dict[str, str]]] = {}
    with open(table, encoding="utf-8", newline="") as handle:
        for row in csv.DictReader(handle, delimiter="\t"):
            rows.setdefault(row["video"], []).append(row)
    mine = [rows[path.stem] for path in paths]
    heard, seen = (np.array([[int(r[k]) for r in of] for of in mine]) for k in ("heard", "seen"))
    corners = ("left", "top", "right", "bottom")
    return heard, seen, np.array([[[float(r[k]) for k in corners] for r in of] for of in mine])
