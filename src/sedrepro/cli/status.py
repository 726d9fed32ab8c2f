"""Where everything stands: done, running, failed, waiting, and the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from .. import papers, progress, settings
from ..files import last_error, read_json
from ..pipeline import jobs
from ..pipeline.driver import live_drivers
from ..pipeline.flow import Flow
from ..progress import duration
from ..reporting import links
from ..settings import Layout, Project, Run
from ..sources import gate, policies, registry, session
from ..sources.ledger import CLIPS, Ledger
from ..training.state import State

OPEN = ("waiting", "stopped", "failed")
ENDED = ("done", "not run")
LOOK_AGAIN = 5.0
"""Seconds between two looks of `--watch`."""
LATELY = 120.0
"""Seconds in which jobs that have ended still show how many run side by side."""
CLEAR = "\033[H\033[2J"
"""What empties a terminal."""


@dataclass(frozen=True)
class Standing:
    """One run's standing in a word and a detail."""

    run: Run
    word: str
    detail: str = ""
    seconds: float | None = None
    """The wall time of its training: measured, or expected while it runs."""
    done: float = 0.0
    """What an open run already has, 0…1."""
    left: float | None = None
    """Seconds that a running one still takes."""
    kind: str = "train"
    """The kind of its row: what is not trained tells nothing of how long training takes."""

    @property
    def paper(self) -> str:
        return self.run.paper


@dataclass(frozen=True)
class Step:
    """One job's standing: a rule's, or a run's training or evaluation."""

    stage: str
    name: str
    word: str
    detail: str = ""
    log: str = ""
    seconds: float | None = None
    """How long it took."""
    left: float | None = None
    elapsed: float = 0.0
    """How long it has run until now."""
    span: tuple[float, float] | None = None
    """From when to when it ran, if it has ended."""

    @property
    def paper(self) -> str:
        """The paper of a run's or a paper's job; something else for other jobs."""
        return self.name.partition("/")[0]

    def to_come(self, usual: float) -> float:
        """Seconds that it still takes, if those like it take so long."""
        if self.word in ENDED:
            return 0.0
        return max(0.0, usual - self.elapsed) if self.left is None else self.left


@dataclass
class Status:
    """Everything at one moment."""

    runs: list[Standing]
    steps: list[Step] = field(default_factory=list)
    walls: dict[str, float] = field(default_factory=dict)
    """Hosts that refused, and until when they are left alone."""
    clips_left: float = 0.0
    """Seconds that all clips to come take at YouTube's limit, whoever asks for them."""
    _usual: dict[tuple[str, str], float | None] = field(default_factory=dict, init=False)
    """What a job of a stage and a paper takes, once asked for."""

    @property
    def at_once(self) -> int:
        """How many jobs run side by side: between two jobs it looks like fewer than it did."""
        now = time.time()
        running = [(now - step.elapsed, now) for step in self.steps if step.word == "running"]
        ended = [step.span for step in self.steps if step.span]
        moments = [end for _, end in ended if end >= now - LATELY]
        spans = [*running, *ended]
        counts = [sum(begin < one <= end for begin, end in spans) for one in moments]
        return max(1, len(running), *counts)

    @property
    def left(self) -> float | None:
        """Seconds until all is done if as many jobs run side by side as do now.

        What follows from each other cannot run side by side: no run is done before its training and
        its evaluation are, nor the page before the last of them. Nor do clips come faster from
        YouTube when several jobs ask for them.
        """
        work = [self.stage_left(stage) for stage in self.stages()]
        if None in work:
            return None
        longest = max((step.left or 0.0 for step in self.steps), default=0.0)
        shared = sum(filter(None, work)) / self.at_once
        return max(shared, self.longest_way, longest, self.clips_left)

    @property
    def longest_way(self) -> float:
        """Seconds of the run that takes longest from now on, and of what is made after it."""
        ways = [0.0]
        for standing in self.runs:
            mine = [step for step in self.steps if step.name == standing.run.folder]
            ways.append(sum(self._to_come(step, standing) for step in mine))
        after = [
            max(step.to_come(self.usual(step) or 0.0) for step in steps)
            for stage, steps in self.stages().items()
            if stage in jobs.AFTER
        ]
        return max(ways) + sum(after)

    def _to_come(self, step: Step, standing: Standing) -> float:
        if step.stage == "train":
            return _training_left(standing, self.runs) or 0.0
        return step.to_come(self.usual(step) or 0.0)

    def usual(self, wanted: Step) -> float | None:
        """Seconds that a job takes; None as long as no job at all has ended.

        As long as others of its stage and paper, else of its stage, else any. One of them that runs
        on shows that it may take at least as long.
        """
        like = (wanted.stage, wanted.paper)
        if like not in self._usual:
            stage = [step for step in self.steps if step.stage == wanted.stage]
            paper = [step for step in stage if step.paper == wanted.paper]
            means = [mean_of_papers(alike) for alike in (paper, stage, self.steps)]
            known = next((mean for mean in means if mean is not None), None)
            alike = stage if means[0] is None else paper
            running = [step.elapsed for step in alike if step.word == "running"]
            self._usual[like] = None if known is None else max([known, *running])
        return self._usual[like]

    def stages(self) -> dict[str, list[Step]]:
        found: dict[str, list[Step]] = {}
        for step in self.steps:
            found.setdefault(step.stage, []).append(step)
        return found

    def stage_left(self, stage: str) -> float | None:
        """Seconds of work in a stage, one job after the other; None if nobody can tell yet."""
        if stage == "train":
            return remaining(self.runs)
        mine = [step for step in self.steps if step.stage == stage and step.word not in ENDED]
        if any(step.left is None and self.usual(step) is None for step in mine):
            return None
        return sum(step.to_come(self.usual(step) or 0.0) for step in mine)

    def describe(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "seconds_left": self.left,
            "left_alone_until": self.walls,
            "seconds_of_clips_left": self.clips_left,
            "stages": [
                {"stage": stage, **_count(steps), "seconds_of_work_left": self.stage_left(stage)}
                for stage, steps in self.stages().items()
            ],
            "jobs": [asdict(step) for step in self.steps],
            "runs": [asdict(s) | {"run": s.run.folder} for s in self.runs],
        }


def look(flow: Flow, chosen: Sequence[Run] | None = None) -> Status:
    """How all jobs of the selected papers stand; with `chosen`, those of some runs only."""
    if chosen is not None:
        runs = standings(flow.project, flow.layout, chosen)
        return Status(runs, [step for one in runs for step in _run_steps(one, flow)])
    runs = standings(flow.project, flow.layout)
    before = jobs.before_training(flow)
    clips = {job: _clips_left(job, flow) for job in before}
    steps = [step_of(job, clips[job]) for job in before]
    for standing in runs:
        steps += _run_steps(standing, flow)
    steps += [step_of(job) for job in jobs.after_evaluation(flow)]
    hosts = Path(flow.project.data_folder) / "downloads" / session.HOSTS
    walls = gate.walls(hosts)
    alone = max(0.0, walls.get(policies.YOUTUBE.name, 0.0) - time.time())
    clips_left = sum(filter(None, clips.values()))
    return Status(runs, steps, walls, clips_left + alone if clips_left else 0.0)


def _clips_left(job: jobs.Job, flow: Flow) -> float | None:
    """Seconds that a fetch of clips takes at YouTube's pace, which no other job tells."""
    data = flow.project.data
    if job.rule != "fetch" or data.origin != "download" or job.is_done:
        return None
    resource = flow.registry[job.name]
    if not resource.clips or registry.local(data, resource.corpus):
        return None
    ledger = Ledger(Path(registry.downloads(flow.project.data_folder, job.name)) / CLIPS)
    policy = policies.youtube(data.fetch.cookies)
    return policy.hours(max(0, resource.count - sum(ledger.settled()))) * policies.HOUR


def step_of(job: jobs.Job, left: float | None = None) -> Step:
    """How a job stands that makes no run; `left` is what it takes if it does not say so itself."""
    found = progress.read(job.log)
    if progress.is_running(found):
        return _running(job.rule, job.name, job.log, found)
    if error := last_error(job.log):
        return Step(job.rule, job.name, "failed", error, job.log, left=left)
    if job.is_done:
        return Step(job.rule, job.name, "done", "", job.log, _took(found), span=_span(found))
    detail = str(found.get("said", ""))
    told = progress.seconds_left(found)
    left = left if told is None else told
    return Step(
        job.rule, job.name, "waiting", detail and f"stopped at {detail}", job.log, left=left
    )


def _took(found: Mapping[str, Any]) -> float | None:
    """How long a job took that has ended."""
    return found["seconds"] if found.get("ended") else None


def _span(found: Mapping[str, Any]) -> tuple[float, float] | None:
    """From when to when a job ran that has ended."""
    return (found["time"] - found["seconds"], found["time"]) if found.get("ended") else None


def _running(stage: str, name: str, log: str, found: Mapping[str, Any]) -> Step:
    left = progress.seconds_left(dict(found))
    detail = found["said"] if not found["done"] else f"{found['done']:.0%}, {found['said']}"
    if left is not None:
        detail += f", about {duration(left)} left"
    return Step(stage, name, "running", detail, log, None, left, progress.elapsed(dict(found)))


def _run_steps(standing: Standing, flow: Flow) -> Iterable[Step]:
    """A run's training and its evaluation."""
    run, layout = standing.run, flow.layout
    trained = standing.word in ENDED or standing.done == 1
    log = layout.log("train", run)
    if flow.project.papers[run.paper].table[run.row].kind != "reevaluate":
        word = "done" if trained else standing.word
        detail = "" if trained else standing.detail
        told = progress.read(log)
        elapsed = progress.elapsed(told) if word == "running" else 0.0
        span = _span(told) if word in ENDED else None
        yield Step("train", run.folder, word, detail, log, None, standing.left, elapsed, span)
    log = layout.log("evaluate", run)
    found = progress.read(log)
    if progress.is_running(found):
        yield _running("evaluate", run.folder, log, found)
    elif trained:
        detail = "" if standing.word == "done" else standing.detail
        took, span = _took(found), _span(found)
        yield Step("evaluate", run.folder, standing.word, detail, log, took, span=span)
    else:
        yield Step("evaluate", run.folder, "waiting", "", log)


def standings(
    project: Project, layout: Layout, chosen: Sequence[Run] | None = None
) -> list[Standing]:
    """Every selected run, in printing order; or the chosen ones."""
    found = []
    models = papers.settings_models()
    if chosen is None:
        chosen = [r for paper in project.selected_papers() for r in settings.runs(project, paper)]
    for run in chosen:
        asked = links.Asked(settings.plan(project, run, models[run.paper]), project)
        kind = project.papers[run.paper].table[run.row].kind
        standing = _trained(run, layout, asked) if kind != "reevaluate" else None
        found.append(replace(standing or _scored(run, layout, asked), kind=kind))
    return found


def _trained(run: Run, layout: Layout, asked: links.Asked) -> Standing | None:
    """A run's training; None once it is finished and its evaluation has to say more."""
    folder = Path(layout.run(run))
    log = layout.log("train", run)
    told = progress.read(log)
    if progress.is_running(told):
        step = _running("train", run.folder, log, told)
        total = None if step.left is None else told["seconds"] + step.left
        return Standing(run, "running", step.detail, total, min(told["done"], 0.99), step.left)
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
    done = float(told["done"]) if told and State(folder).resume.exists() else 0.0
    if failure := _failure(layout, "train", run):
        return Standing(run, "failed", failure, None, done)
    if done:
        return Standing(run, "stopped", f"at {done:.0%}; the next start goes on there", None, done)
    return Standing(run, "waiting")


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


def _json(path: Path) -> Mapping[str, Any] | None:
    try:
        return read_json(path)
    except (OSError, ValueError):
        return None


def remaining(found: list[Standing]) -> float | None:
    """Seconds of training still to come, one run after the other; None before any is known.

    An open run is taken to need what its row takes, else its paper's rows, else any; of that
    the part it does not have yet.
    """
    work = [_training_left(standing, found) for standing in _to_train(found)]
    return None if None in work else sum(filter(None, work))


def _to_train(found: list[Standing]) -> list[Standing]:
    return [s for s in found if s.word in (*OPEN, "running") and s.done < 1]


def _training_left(standing: Standing, found: list[Standing]) -> float | None:
    """Seconds of training that a run still needs."""
    if standing not in _to_train([standing]):
        return 0.0
    if standing.left is not None:
        return standing.left
    expected = _expected(standing, [s for s in found if s.seconds is not None])
    return None if expected is None else expected * (1 - standing.done)


def _expected(wanted: Standing, past: list[Standing]) -> float | None:
    """The mean of what the runs most like this one take: its row's, its paper's, or any's."""
    past = [s for s in past if s.kind == wanted.kind] or past
    akin = [s for s in past if s.run.paper == wanted.run.paper]
    same = [s for s in akin if s.run.row == wanted.run.row]
    return mean_of_papers(same or akin or past)


def mean_of_papers(examples: Sequence[Standing] | Sequence[Step]) -> float | None:
    """What one takes on average, where a paper that has many does not count for more."""
    times: dict[str, list[float]] = {}
    for one in examples:
        if one.seconds is not None:
            times.setdefault(one.paper, []).append(one.seconds)
    return fmean(fmean(mine) for mine in times.values()) if times else None


def _count(steps: list[Step]) -> dict[str, int]:
    words = {word: sum(step.word == word for step in steps) for word in ("running", "failed")}
    done = sum(step.word in ENDED for step in steps)
    waiting = len(steps) - done - sum(words.values())
    return {"jobs": len(steps), "done": done, **words, "waiting": waiting}


def text(found: Status) -> str:
    """Stage by stage, then what runs or failed around the runs, then every run, then the rest."""
    lines = []
    for stage, steps in found.stages().items():
        count = _count(steps)
        parts = [f"{count['done']} of {count['jobs']} done"]
        parts += [f"{count[w]} {w}" for w in ("running", "failed", "waiting") if count[w]]
        left = found.stage_left(stage)
        rest = f"; about {duration(left)} of work left" if left else ""
        lines.append(f"{stage:<9} {', '.join(parts)}{rest}")
    lines.append("")
    for step in found.steps:
        if step.stage == "train" or step.word in ENDED or not step.detail:
            continue
        if step.stage == "evaluate" and step.word != "running":
            continue  # the run's own line says it
        mark = f" ({step.log})" if step.word == "failed" else ""
        lines.append(f"{step.stage} {step.name}  {step.word}: {step.detail}{mark}")
    if found.clips_left:
        takes = duration(found.clips_left)
        lines.append(
            f"clips from YouTube: about {takes} to come at its limit, which all sets share"
        )
    for name, until in found.walls.items():
        lines.append(f"{name} refused and is left alone until {gate.moment(until)}")
    width = max((len(s.run.folder) for s in found.runs), default=0)
    lines += [f"{s.run.folder:<{width}}  {s.word:<8} {s.detail}".rstrip() for s in found.runs]
    done = sum(s.word == "done" for s in found.runs)
    summary = f"{done} of {len(found.runs)} runs done"
    if found.left is None:
        summary += "; the time left is known once a run has finished"
    elif found.left:
        side = f", {found.at_once} jobs side by side" if found.at_once > 1 else ""
        summary += f"; about {duration(found.left)} left{side}"
    return "\n".join([*lines, summary])


def watch(flow: Flow, chosen: Sequence[Run] | None = None) -> int:
    """Look again and again while somebody works: a screen, or plain lines off a terminal."""
    screen = sys.stdout.isatty()
    while True:
        found = look(flow, chosen)
        if screen:
            print(CLEAR + text(found), flush=True)
        else:
            print(f"{time.strftime('%H:%M:%S')}  {line(found)}", flush=True)
        words = {step.word for step in found.steps}
        if words <= set(ENDED):
            return 0
        if "running" not in words and not live_drivers("."):
            print("nobody works on what is left; start the workflow again", flush=True)
            return 1
        time.sleep(LOOK_AGAIN)


def line(found: Status) -> str:
    """All of it in one line."""
    running = [
        f"{s.stage} {s.name} {s.detail}".rstrip() for s in found.steps if s.word == "running"
    ]
    failed = sum(step.word == "failed" for step in found.steps)
    left = "time left unknown" if found.left is None else f"about {duration(found.left)} left"
    count = _count(found.steps)
    return "; ".join(
        [
            f"{count['done']} of {count['jobs']} jobs done",
            *([f"{failed} failed"] if failed else []),
            f"running: {', '.join(running) or 'nothing'}",
            left,
        ]
    )


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
