"""Where every run stands: done, running, failed, waiting; from what lies on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import settings
from ..files import read_json
from ..settings import Layout, Project, Run
from ..training.guard import started
from ..training.state import State


@dataclass(frozen=True)
class Standing:
    """One run's standing in a word and a detail."""

    run: Run
    word: str
    detail: str = ""
    seconds: float | None = None
    """Measured wall time of a finished run, or the time a running one will still take."""


def standings(project: Project, layout: Layout) -> list[Standing]:
    """Every selected run that is trained or scored, in printing order."""
    found = []
    for paper in project.selected_papers():
        table = project.papers[paper].table
        for run in settings.runs(project, paper):
            if table[run.row].kind != "reevaluate":
                found.append(_standing(run, layout))
    return found


def _standing(run: Run, layout: Layout) -> Standing:
    folder = Path(layout.run(run))
    record = _json(folder / "run.json")
    if record:
        if record["status"] == "not_run":
            return Standing(run, "not run", record["reason"])
        wall = record["cost"]["wall_s"]
        return Standing(run, "done", f"{wall:.0f} s", wall)
    progress = _json(State(folder).progress)
    if progress and started(int(progress["pid"])):
        done = progress["done"]
        left = progress["seconds"] * (1 - done) / done if done else None
        return Standing(run, "running", f"{done:.0%} of {progress['epochs']} epochs", left)
    line = last_line(log_of(run, layout))
    if line.startswith("error:"):
        return Standing(run, "failed", line.removeprefix("error:").strip())
    return Standing(
        run, "stopped" if progress else "waiting", f"{progress['done']:.0%}" if progress else ""
    )


def log_of(run: Run, layout: Layout) -> Path:
    return Path(layout.results, "logs", "train", f"{run.folder.replace('/', '.')}.log")


def last_line(path: Path) -> str:
    """The last line of a log that says something, or nothing."""
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _json(path: Path) -> Mapping[str, Any] | None:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def remaining(found: list[Standing]) -> float | None:
    """Seconds of training still to come, from the mean of what is done; None before any is."""
    past = [s.seconds for s in found if s.word == "done" and s.seconds is not None]
    if not past:
        return None
    open_ = [s for s in found if s.word in ("waiting", "stopped", "failed")]
    running = sum(s.seconds or 0.0 for s in found if s.word == "running")
    return running + len(open_) * sum(past) / len(past)


def text(found: list[Standing]) -> str:
    """The standings as lines, and how long the rest will take."""
    width = max((len(s.run.folder) for s in found), default=0)
    lines = [f"{s.run.folder:<{width}}  {s.word:<8} {s.detail}".rstrip() for s in found]
    done = sum(s.word == "done" for s in found)
    left = remaining(found)
    rest = f"; about {left / 60:.1f} min of training left" if left else ""
    return "\n".join([*lines, f"{done} of {len(found)} runs done{rest}"])
