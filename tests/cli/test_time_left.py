"""The time left that `sedrepro status` names, on workflows whose clock is made up."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from sedrepro.cli.status import Standing, Status, Step
from sedrepro.settings import Run

TELLING = 0.15
"""The share of a job after which it can tell how long it still takes."""


@dataclass
class Job:
    """A job of known length, and what it waits for."""

    stage: str
    name: str
    seconds: float
    after: Sequence[Job] = ()
    tells: bool = False
    """Whether it says how far it is."""
    priority: int = 0
    begin: float = field(default=0.0, init=False)

    @property
    def end(self) -> float:
        return self.begin + self.seconds

    def step(self, now: float) -> Step:
        if now >= self.end:
            return Step(self.stage, self.name, "done", seconds=self.seconds)
        if now < self.begin:
            return Step(self.stage, self.name, "waiting")
        elapsed = now - self.begin
        left = self.end - now if self.tells and elapsed > TELLING * self.seconds else None
        return Step(self.stage, self.name, "running", left=left, elapsed=elapsed)


def schedule(jobs: Sequence[Job], cores: int) -> float:
    """When each job begins, if each core takes the first that can begin; returns the last end.

    As in the rules, data go first, then the first run of each paper.
    """
    free, waiting, ended = [0.0] * cores, list(jobs), set()
    while waiting:
        core = min(range(cores), key=free.__getitem__)
        ready = [
            (max([free[core], *(one.end for one in job.after)]), -job.priority, place)
            for place, job in enumerate(waiting)
            if all(id(one) in ended for one in job.after)
        ]
        begin, _, place = min(ready)
        job = waiting.pop(place)
        job.begin = begin
        free[core] = job.end
        ended.add(id(job))
    return max(free)


PAPERS = {
    "dcase_baselines": (3, 50, 12),
    "dmsf_avel": (8, 15, 1),
    "weak_mtl": (9, 17, 1),
    "lgc_sed": (2, 55, 10),
    "cross_task_sod": (1, 175, 10),
    "mtda_hsed": (3, 80, 15),
}
"""Rows, and about how many seconds a training and an evaluation take in the miniature."""


def miniature(seed: int) -> Iterator[Job]:
    """The jobs of a demo, about as long as they are on two cores."""
    draw = random.Random(seed).uniform
    fetched = [Job("fetch", f"r{n}", 4 * draw(0.7, 1.5)) for n in range(20)]
    yield from fetched
    stores = []
    for number in range(14):
        table = Job("adapt", f"s{number}", draw(0.8, 1.2), [fetched[number]], priority=2)
        took = 3 * draw(0.5, 2)
        stores.append(Job("extract", f"s{number}", took, [table], tells=True, priority=2))
        yield from (table, stores[-1])
    tables = []
    for paper, (rows, train, evaluate) in PAPERS.items():
        scored = []
        for row in range(rows):
            name = Run(paper, f"row{row}", "c", 42).folder
            first = int(row == 0)
            took = train * draw(0.6, 1.7)
            trained = Job("train", name, took, stores, tells=True, priority=first)
            took = evaluate * draw(0.7, 1.4)
            scored.append(Job("evaluate", name, took, [trained], tells=True, priority=first))
            yield from (trained, scored[-1])
        tables.append(Job("tabulate", paper, 4 * draw(0.8, 1.2), scored))
        tables.append(Job("draw", paper, 12 * draw(0.6, 2), scored))
        yield from tables[-2:]
    yield Job("publish", "page", 15 * draw(0.8, 1.2), tables)


def told(jobs: Sequence[Job], now: float) -> float | None:
    """What is said to be left at a moment."""
    steps = {(job.stage, job.name): job.step(now) for job in jobs}
    runs = []
    for (stage, name), step in steps.items():
        if stage != "train":
            continue
        paper, row, condition, _ = name.split("/")
        run = Run(paper, row, condition, 42)
        if step.word == "running":
            total = None if step.left is None else step.elapsed + step.left
            share = 0.0 if step.left is None else step.elapsed / (step.elapsed + step.left)
            runs.append(Standing(run, "running", "", total, share, step.left))
        elif step.word == "done":
            word = "done" if steps["evaluate", name].word == "done" else "waiting"
            runs.append(Standing(run, word, "", step.seconds, 1.0))
        else:
            runs.append(Standing(run, "waiting"))
    return Status(runs, list(steps.values())).left


@pytest.mark.parametrize("cores", [1, 2, 4])
@pytest.mark.parametrize("seed", range(8))
def test_it_is_within_a_factor_of_two_from_a_third_on(seed, cores):
    """At all of 21 moments, or all but one."""
    jobs = list(miniature(seed))
    end = schedule(jobs, cores)
    wrong = {}
    for percent in range(34, 96, 3):
        now = end * percent / 100
        left = told(jobs, now)
        if left is None or not 0.5 <= left / (end - now) <= 2:
            wrong[percent] = left and round(left / (end - now), 2)
    assert len(wrong) <= 1, wrong
