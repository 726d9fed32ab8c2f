"""Snakemake's own decisions in a hundred lines: which jobs to start, and what becomes of outputs.

As in Snakemake 9 under the triggers of profiles/default: dates, params, the set of inputs. Small
inputs that are newer, but have the content they had, are no reason. What a job depends on comes
from the project's own `Flow`; its heads repeat rules/*.smk.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from sedrepro.pipeline.driver import outdate, reset_future_mtimes
from sedrepro.pipeline.flow import FORMS, Flow
from sedrepro.settings import Subset
from sedrepro.training.state import MEASURED, OUTPUTS

from . import stubs
from .world import PAPER, World, carry_out, content

KILLED = 9
LARGE = (".h5", ".pt")
"""Files that are too large for checksums in life, however small they are here."""


@dataclass(frozen=True)
class Job:
    """A rule with its wildcards filled in."""

    rule: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    own: tuple[str, ...]
    """Those of the inputs that are trees of the user's own."""
    task: Any = field(hash=False, compare=False)
    names: dict[str, str] = field(default_factory=dict, hash=False, compare=False)
    log: str = ""

    @property
    def script(self) -> str:
        return self.rule


@dataclass(frozen=True)
class Kill:
    """The end of a job, or of the driver with it, before its step number `step`."""

    job: int
    step: int
    driver: bool


@dataclass
class Outcome:
    """What a start of the workflow did."""

    ran: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    killed: str = ""

    @property
    def whole(self) -> bool:
        return not self.failed and not self.killed


@functools.lru_cache(256)
def jobs(flow: Flow) -> dict[str, Job]:
    """Every job the paper could need, by each of its outputs."""
    layout = flow.layout
    found: dict[str, Job] = {}

    def add(rule: str, name: str, inputs: Iterable[str], outputs: Iterable[str], task, **names):
        log = f"{layout.results}/logs/{rule}/{name.replace('/', '.')}.log"
        if rule in ("adapt", "extract"):
            log = f"{layout.data}/logs/{rule}/{name.replace('/', '.')}.log"
        own = tuple(flow.own_trees(SimpleNamespace(corpus="desed"))) if rule == "adapt" else ()
        job = Job(rule, name, (*inputs, *own), tuple(outputs), own, _plain(task), names, log)
        found.update(dict.fromkeys(job.outputs, job))

    pending = flow.runs(PAPER)
    while pending:
        run = pending.pop()
        plan = flow.of(run)
        pending += [plan.source] if plan.source else []
        for subset, front_end in plan.inputs():
            _data_jobs(flow, subset, front_end, add)
        w = SimpleNamespace(paper=run.paper, row=run.row, variant=run.variant, seed=run.seed)
        if plan.kind != "reevaluate":
            outputs = [layout.run(run, name) for name in OUTPUTS]
            add("train", str(run), flow.train_inputs(w), outputs, flow.train_task(w))
        metrics, resamples = (layout.run(run, name) for name in MEASURED)
        names = {"metrics": metrics, "resamples": resamples}
        task = flow.evaluate_task(w)
        add("evaluate", str(run), flow.evaluate_inputs(w), names.values(), task, **names)
    tables = [*(layout.paper_table(PAPER, form) for form in FORMS), flow.key("tables", PAPER)]
    numbers = [*flow.metrics(PAPER), *flow.published(PAPER)]
    add("tabulate", PAPER, numbers, tables, flow.report_task(PAPER))
    outputs = [layout.report, flow.key("report")]
    add("publish", "page", flow.results(PAPER), outputs, flow.report_task())
    return found


def _data_jobs(flow: Flow, subset: Subset, front_end: str, add) -> None:
    w = SimpleNamespace(corpus=subset.corpus, subset=subset.name, front_end=front_end)
    name = f"{subset.corpus}.{subset.name}"
    names = {kind: flow.layout.table(subset, kind) for kind in ("clips", "events", "audit")}
    names["key"] = flow.layout.tables_key(subset)
    task = flow.adapt_task(subset.corpus, subset.name)
    add("adapt", name, flow.statuses(w), names.values(), task, **names)
    store = flow.layout.store(subset, front_end)
    add("extract", f"{name}.{front_end}", flow.clip_sources(w), [store], flow.store_task(w))


class Driver:
    """One start of the workflow in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.flow = world.flow
        self.by_output = jobs(self.flow)
        self.home = Path(".snakemake/records.json")

    def start(
        self, target: str = "all", forced: Iterable[str] = (), kill: Kill | None = None
    ) -> Outcome:
        """As `snakemake TARGET`, with `--forcerun` of some rules or files; maybe killed."""
        with self.world.inside():
            reset_future_mtimes(self.flow.dated())
            outdate(self.flow.seals())
            self.records = json.loads(self.home.read_text()) if self.home.exists() else {}
            outcome = self._run(self._needed(self._targets(target), set(forced)), kill)
            self.home.parent.mkdir(exist_ok=True)
            self.home.write_text(json.dumps(self.records))
        if outcome.failed and not (kill and kill.driver):  # onerror
            self.world.report()
        return outcome

    def _targets(self, target: str) -> list[str]:
        wanted = [*self.flow.results(PAPER), *self.flow.wholes(PAPER)]
        if target == "all":
            return [self.flow.layout.report, *wanted]
        return wanted if target == PAPER else [target]

    # Which jobs to start

    def _needed(self, targets: list[str], forced: set[str]) -> list[Job]:
        order = self._order(targets)
        asked = {job: set() for job in order}
        for job in order:
            for path in job.inputs:
                if path in self.by_output:
                    asked[self.by_output[path]].add(path)
        for path in targets:
            asked[self.by_output[path]].add(path)
        before = {
            job: {self.by_output[p] for p in job.inputs if p in self.by_output} for job in order
        }
        after = {job: {other for other in order if job in before[other]} for job in order}
        needed, masked = set(), set()
        for job in order:
            if job in masked:
                continue
            wanted = {path for path in asked[job] if path in targets}
            if self._reason(job, wanted, forced):
                needed.add(job)
                pending = [job]
                while pending:
                    following = after[pending.pop()] - masked
                    masked |= following
                    pending += following
        queue = list(needed)
        while queue:
            job = queue.pop()
            for other in before[job] - needed:
                if any(not os.path.exists(path) for path in job.inputs if path in other.outputs):
                    needed.add(other)
                    queue.append(other)
            for other in after[job] - needed:
                needed.add(other)
                queue.append(other)
        return [job for job in order if job in needed]

    def _order(self, targets: list[str]) -> list[Job]:
        """Every job the targets depend on, what is read before what reads it."""
        found: dict[Job, None] = {}

        def visit(path: str) -> None:
            job = self.by_output.get(path)
            if job is None or job in found:
                return
            for other in job.inputs:
                visit(other)
            found[job] = None

        for path in targets:
            visit(path)
        return list(found)

    def _reason(self, job: Job, wanted: set[str], forced: set[str]) -> str:
        if job.rule in forced or forced & set(job.outputs):
            return "forced"
        records = [self.records.get(path) for path in job.outputs]
        there = [Path(path) for path in job.outputs if os.path.exists(path)]
        if any(
            r and r.get("incomplete") and os.path.exists(p)
            for r, p in zip(records, job.outputs, strict=True)
        ):
            return "incomplete"
        if any(not os.path.exists(path) for path in wanted):
            return "missing"
        oldest = min((path.stat().st_mtime for path in there), default=None)
        if oldest:  # no date for Snakemake is 0
            for path in map(Path, job.inputs):
                if (
                    path.exists()
                    and path.stat().st_mtime > oldest
                    and not self._same(path, records)
                ):
                    return f"{path} is newer"
        if any(record is None for record in records):
            return ""
        if any(record.get("task") != job.task for record in records):
            return "params"
        if any(record.get("inputs") != sorted(job.inputs) for record in records):
            return "inputs"
        return ""

    def _same(self, path: Path, records: list[dict[str, Any] | None]) -> bool:
        """Whether a small input has the content that it had."""
        if path.suffix in LARGE or path.is_dir():
            return False
        known = {(record or {}).get("sums", {}).get(str(path)) for record in records}
        return known == {content(path)}

    # Jobs

    def _run(self, needed: list[Job], kill: Kill | None) -> Outcome:
        outcome = Outcome()
        lost: set[str] = set()
        for index, job in enumerate(needed):
            if lost & set(job.inputs):
                lost |= set(job.outputs)
                continue
            for path in job.outputs:
                Path(path).unlink(missing_ok=True)
                self.records[path] = {"incomplete": True}
            outcome.ran.append(f"{job.rule} {job.name}")
            if kill is not None and kill.job % len(needed) == index:
                ended = self._killed(job, kill.step)
                if kill.driver:
                    self.world.settle()
                    outcome.killed = job.name
                    return outcome
            else:
                ended = _code(job, self.world.checkout)
            self.world.settle()
            absent = [path for path in job.outputs if not os.path.exists(path)]
            if ended or absent:
                outcome.failed[f"{job.rule} {job.name}"] = (
                    _last(job) if not absent or ended else "?"
                )
                for path in job.outputs:
                    Path(path).unlink(missing_ok=True)
                    self.records.pop(path, None)
                lost |= set(job.outputs)
                continue
            moment = self.world.later()
            for path in job.outputs:
                os.utime(path, (moment, moment))
            sums = {p: content(Path(p)) for p in job.inputs if _small(p)}
            told = {"task": job.task, "inputs": sorted(job.inputs), "sums": sums}
            self.records.update(dict.fromkeys(job.outputs, told))
        return outcome

    def _killed(self, job: Job, step: int) -> int:
        """Run a job in a process of its own that ends without a word before a step."""
        child = os.fork()
        if child:
            return os.waitpid(child, 0)[1]
        code = 1
        try:
            with mortal(step):
                code = _code(job, self.world.checkout)
        finally:
            os._exit(code)


def _code(job: Job, checkout: Path) -> int:
    try:
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
            carry_out(job, checkout)
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _last(job: Job) -> str:
    from sedrepro.files import last_words

    return last_words(job.log)


def _small(path: str) -> bool:
    return Path(path).suffix not in LARGE and Path(path).is_file()


def _plain(task: Any) -> Any:
    return json.loads(json.dumps(task))


@contextlib.contextmanager
def mortal(step: int) -> Iterator[None]:
    """Die before the given step: a change of the disk, or a step of the stubs."""
    left = [step]

    def count(real):
        def counted(*words, **options):
            left[0] -= 1
            if left[0] < 0:
                os._exit(KILLED)
            return real(*words, **options)

        return counted

    with contextlib.ExitStack() as stack:
        for name in ("replace", "link", "unlink", "utime", "mkdir", "fsync", "rmdir"):
            stack.enter_context(mock.patch.object(os, name, count(getattr(os, name))))
        stack.enter_context(mock.patch.object(stubs, "tick", count(stubs.tick)))
        yield
