"""What lies in the run folders, read without trusting that any of it is there or whole."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from ..clips import Clip, read_clips
from ..files import last_error
from ..metrics.resamples import Drawn, Resamples
from ..papers import settings_models
from ..settings import Layout, Project, Run, plan
from ..settings.runs import seeds_of
from . import links

DONE, NOT_RUN, UNFINISHED, MISSING = "done", "not run", "unfinished", "missing"


@dataclass(frozen=True, eq=False)
class Record:
    """One run as found on disk: done, not run, unfinished or missing, and the reason."""

    run: Run
    folder: Path
    state: str
    reason: str
    described: dict[str, Any] = field(default_factory=dict)
    """run.json, or empty."""
    metrics: list[dict[str, Any]] = field(default_factory=list)
    curves: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    """The key of its metrics."""

    @property
    def done(self) -> bool:
        return self.state == DONE

    @cached_property
    def resamples(self) -> Resamples:
        """What evaluation kept of its resamples, for what several runs say together."""
        kept = Resamples(self.file("resamples.npz"))
        return kept if kept.key == self.key else Resamples.none()

    def draws(
        self, *, set: str, model: str, metric: str, implementation: str, label: str | None = None
    ) -> Drawn | None:
        """What the resamples of a metric gave."""
        return self.resamples.draws((set, model, metric, implementation, label or ""))

    def file(self, name: str) -> Path:
        return self.folder / name

    def block(self, name: str) -> dict[str, Any]:
        """A mapping of run.json, empty when it is absent or something else."""
        value = self.described.get(name)
        return value if isinstance(value, dict) else {}

    @cached_property
    def _by_key(self) -> dict[tuple[str, ...], dict[str, Any]]:
        keys = ("set", "model", "metric", "implementation", "label")
        return {tuple(entry.get(k) or "" for k in keys): entry for entry in reversed(self.metrics)}

    def find(
        self, *, set: str, model: str, metric: str, implementation: str, label: str | None = None
    ) -> dict[str, Any] | None:
        """The metric with these keys."""
        return self._by_key.get((set, model, metric, implementation, label or ""))


def records(project: Project, paper: str, layout: Layout) -> list[Record]:
    """Every selected run of a paper, and those of other rows that are finished.

    A run counts as done only if its link in the chain of keys holds: numbers of another run, of
    other settings or of other data are reported as unfinished, with the reason.
    """
    spec = project.papers[paper]
    model = settings_models()[paper]
    selected = set(project.selected_rows(paper))
    found = []
    for row in spec.table:
        if spec.table[row].kind == "published":
            continue
        for run in _runs_of(project, paper, row):
            # A row that nobody asked for may be impossible under these settings.
            if row not in selected and not Path(layout.run(run, "metrics.json")).exists():
                continue
            record = read_record(layout, run, links.Asked(plan(project, run, model), project))
            # A row that is not selected may be there as the source of another, half done or whole.
            if row in selected or record.done:
                found.append(record)
    return found


def _runs_of(project: Project, paper: str, row: str) -> Iterator[Run]:
    spec = project.papers[paper]
    for condition in spec.conditions:
        for fold in spec.run_folds:
            for seed in seeds_of(project, paper, row):
                yield Run(paper, row, condition, seed, fold)


def read_record(layout: Layout, run: Run, asked: links.Asked | None = None) -> Record:
    """The run's folder in words; damage is a state, not an exception.

    `asked` is what the settings ask for: what lies there must have been made of it.
    """
    folder = Path(layout.run(run))
    if not folder.is_dir():
        last = _last_error(layout, run)
        return Record(run, folder, UNFINISHED if last else MISSING, last or "not started yet")
    described, run_problem = _mapping(folder / "run.json")
    measured, metrics_problem = _mapping(folder / "metrics.json")
    problem = run_problem or metrics_problem
    if problem:
        reason = f"{problem}; delete it and {links.AGAIN}"
        return Record(run, folder, UNFINISHED, reason, described)
    if asked is not None and (broken := links.broken(asked, described, measured, layout)):
        return Record(run, folder, UNFINISHED, broken, described)
    for part in (described, measured):
        if part.get("status") == "not_run":
            reason = str(part.get("reason") or "no reason was recorded")
            return Record(run, folder, NOT_RUN, reason, described)
    if not measured:
        reason = "trained, not evaluated" if described else "started, did not finish"
        last = _last_error(layout, run)
        return Record(run, folder, UNFINISHED, f"{reason} ({last})" if last else reason, described)
    entries = measured.get("metrics")
    metrics = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    curves = measured.get("curves")
    curves = curves if isinstance(curves, dict) else {}
    return Record(run, folder, DONE, "", described, metrics, curves, str(measured.get("key", "")))


def _last_error(layout: Layout, run: Run) -> str:
    """The error in which the run's latest job ended, from its log."""
    logs = [Path(layout.log(stage, run)) for stage in ("train", "evaluate")]
    logs = sorted((log for log in logs if log.exists()), key=lambda log: log.stat().st_mtime)
    return last_error(logs[-1]) if logs else ""


def _mapping(path: Path) -> tuple[dict[str, Any], str]:
    """A JSON mapping and what is wrong with it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}, ""
    except (OSError, ValueError) as error:
        return {}, f"{path.name} cannot be read ({' '.join(str(error).split())})"
    return (value, "") if isinstance(value, dict) else ({}, f"{path.name} holds no mapping")


def number(value: Any) -> float | None:
    """A float, or None for what is absent; 'nan' stays NaN."""
    if value is None or value == "" or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def finite(value: Any) -> float | None:
    result = number(value)
    return result if result is not None and math.isfinite(result) else None


def digits(value: float | None) -> str:
    """Six significant digits; nothing for what is absent."""
    return "" if value is None else f"{value:.6g}"


def read_rows(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a table as text; no file, no rows."""
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            return [
                {key: value or "" for key, value in row.items() if key}
                for row in csv.DictReader(handle, delimiter=delimiter)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []


def clips_by_name(path: str | Path) -> dict[str, Clip]:
    """The clips of a subset by name; no table, no clips."""
    return {clip.name: clip for clip in read_clips(path)} if Path(path).exists() else {}


def read_series(path: Path) -> dict[str, list[float]]:
    """The columns of a history as numbers; what is no number is NaN."""
    rows = read_rows(path)
    if not rows:
        return {}
    return {
        column: [math.nan if (value := number(row.get(column))) is None else value for row in rows]
        for column in rows[0]
    }
