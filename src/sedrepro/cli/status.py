"""Where every run stands: done, running, failed, waiting; from what lies on disk."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import papers, settings
from ..files import last_error, read_json
from ..liveness import alive
from ..reporting import links
from ..settings import Layout, Project, Run
from ..training.record import duration
from ..training.state import State

OPEN = ("waiting", "stopped", "failed")
SILENCE = 900.0  # seconds without a sign of life; a validation may take minutes


@dataclass(frozen=True)
class Standing:
    """One run's standing in a word and a detail."""

    run: Run
    word: str
    detail: str = ""
    seconds: float | None = None
    """Measured wall time of a finished run, or the time a running one will still take."""
    done: float = 0.0
    """What an open run already has, 0…1."""


def standings(project: Project, layout: Layout) -> list[Standing]:
    """Every selected run, in printing order."""
    found = []
    models = papers.settings_of()
    for paper in project.selected_papers():
        table = project.papers[paper].table
        for run in settings.runs(project, paper):
            asked = links.Asked(settings.plan(project, run, models[paper]), project)
            standing = None
            if table[run.row].kind != "reevaluate":
                standing = _trained(run, layout, asked)
            found.append(standing or _scored(run, layout, asked))
    return found


def _trained(run: Run, layout: Layout, asked: links.Asked) -> Standing | None:
    """A run's training; None once it is finished and its evaluation has to say more."""
    folder = Path(layout.run(run))
    record = _json(folder / "run.json")
    if record:
        if problem := links.broken(asked, record, {}, layout):
            return Standing(run, "waiting", problem)
        if record.get("status") == "not_run":
            return Standing(run, "not run", str(record.get("reason", "")))
        wall = record["cost"]["wall_s"]
        unscored = _scored(run, layout, asked)
        if unscored.word == "done":
            return Standing(run, "done", duration(wall), wall)
        return Standing(run, unscored.word, unscored.detail, wall, 1.0)
    progress = _json(State(folder).progress)
    done = float(progress["done"]) if progress else 0.0
    if progress and _runs(progress):
        since = done - float(progress.get("from", 0.0))
        left = progress["seconds"] * (1 - done) / since if since > 0 else None
        detail = f"{done:.0%} of {progress['epochs']} epochs"
        if left is not None:
            detail += f", about {duration(left)} left"
        return Standing(run, "running", detail, left, done)
    if failure := _failure(layout, "train", run):
        return Standing(run, "failed", failure, None, done)
    if progress:
        return Standing(run, "stopped", f"at {done:.0%}; the next start goes on there", None, done)
    return Standing(run, "waiting")


def _runs(progress: Mapping[str, Any]) -> bool:
    """Whether the process that wrote this is alive; on another machine, whether it wrote lately."""
    if progress["host"] != platform.node():
        return time.time() - progress["time"] < SILENCE
    return alive(progress["process"])


def _scored(run: Run, layout: Layout, asked: links.Asked) -> Standing:
    """A run's evaluation."""
    metrics = _json(Path(layout.run(run, "metrics.json")))
    if metrics:
        record = _json(Path(layout.run(run, "run.json"))) or {}
        if problem := links.broken(asked, record, metrics, layout):
            return Standing(run, "waiting", problem, None, 1.0)
        if metrics.get("status") == "not_run":
            return Standing(run, "not run", str(metrics.get("reason", "")))
        return Standing(run, "done")
    if failure := _failure(layout, "evaluate", run):
        return Standing(run, "failed", failure, None, 1.0)
    return Standing(run, "waiting", "for its evaluation", None, 1.0)


def _failure(layout: Layout, stage: str, run: Run) -> str:
    """The error in which the latest job of a stage ended, and the log that tells all of it."""
    log = layout.log(stage, run)
    error = last_error(log)
    return f"{error} ({log})" if error else ""


def failures(layout: Layout) -> list[str]:
    """Jobs before any training that ended in an error: what they said, and their logs."""
    found = []
    for log in sorted(Path(layout.data, "logs").glob("*/*.log")):
        if error := last_error(log):
            found.append(f"{log.parent.name} {log.stem}  failed: {error} ({log})")
    return found


def _json(path: Path) -> Mapping[str, Any] | None:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def remaining(found: list[Standing]) -> float | None:
    """Seconds of training still to come, one run after the other; None before any is done.

    An open run is taken to need what its row took so far, else its paper's rows, else any; of that
    the part it does not have yet.
    """
    past = [s for s in found if s.seconds is not None and s.word != "running"]
    left = sum(s.seconds or 0.0 for s in found if s.word == "running")
    for standing in _to_train(found):
        expected = _expected(standing.run, past)
        if expected is None:
            return None
        left += expected * (1 - standing.done)
    return left


def _to_train(found: list[Standing]) -> list[Standing]:
    return [standing for standing in found if standing.word in OPEN and standing.done < 1]


def _expected(run: Run, past: list[Standing]) -> float | None:
    """The mean of what the runs most like this one took."""
    for alike in (
        lambda other: (other.paper, other.row) == (run.paper, run.row),
        lambda other: other.paper == run.paper,
        lambda other: True,
    ):
        times = [s.seconds for s in past if s.seconds is not None and alike(s.run)]
        if times:
            return sum(times) / len(times)
    return None


def text(found: list[Standing], earlier: list[str] | None = None) -> str:
    """The standings as lines, what failed before them, and how long the rest will take."""
    width = max((len(s.run.folder) for s in found), default=0)
    lines = [f"{s.run.folder:<{width}}  {s.word:<8} {s.detail}".rstrip() for s in found]
    done = sum(s.word == "done" for s in found)
    left = remaining(found)
    rest = f"; about {duration(left)} of training left" if left else ""
    return "\n".join([*(earlier or []), *lines, f"{done} of {len(found)} runs done{rest}"])


def hours(project: Project, found: list[Standing]) -> str:
    """How long a device trains, paper by paper: measured so far, and to come."""
    lines = ["training, in hours of one device:"]
    for paper in dict.fromkeys(standing.run.paper for standing in found):
        mine = [standing for standing in found if standing.run.paper == paper]
        took = sum(s.seconds or 0.0 for s in mine if s.word != "running")
        left = remaining(mine)
        to_come = "unknown until a run has finished" if left is None else f"about {left / 3600:.2f}"
        lines.append(
            f"  {paper}: {len(mine)} runs, {len(_to_train(mine))} of them to train; "
            f"measured {took / 3600:.2f}; to come: {to_come}"
        )
        cost = project.papers[paper].cost
        if left is None and project.scale == "full" and cost:
            lines.append(f"    what is known: {cost}")
    return "\n".join(lines)
