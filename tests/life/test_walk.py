"""The life of a result set: a random walk over what people do. What is printed after each step is
what a clean run of the same settings and data prints, or it says that it is not done and why."""

from __future__ import annotations

import contextlib
import functools
import os
import random
import re
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    rule,
    run_state_machine_as_test,
)

from sedrepro.cli.status import Standing, standings
from sedrepro.cli.verify import ChainCheck
from sedrepro.files import read_json, write_json
from sedrepro.reporting.collect import Cell, collect
from sedrepro.reporting.records import Record, digits
from sedrepro.reporting.stats import JUDGED
from sedrepro.reporting.tables import to_csv
from sedrepro.settings import Run
from sedrepro.training.run import forget

from . import stubs
from .driver import Driver, Kill, Outcome
from .world import PAPER, World

NOTHING = contextlib.nullcontext()
SEED = int(os.environ.get("SEDREPRO_WALK_SEED", "14"))
WALKS = int(os.environ.get("SEDREPRO_WALKS", "17"))
STEPS = 200
ROUNDS = 40
"""Starts after which a result set must be whole again; each tells of one damaged file or so."""
PATIENCE = 3
"""How often all the same may be said to somebody who does what is said."""

INDICES = range(41)
HOWS = ("cut", "cut in place", "flip", "flip in place")
BOTH = (False, True)


class Fault(AssertionError):  # noqa: N818 (a fault of the project)
    """What is printed is wrong."""


@dataclass(frozen=True)
class Action:
    """Something people do, how often, and the choices they have."""

    name: str
    weight: float
    choices: dict[str, Sequence[Any]]


ACTIONS: list[Action] = []


def action(weight: float = 1.0, **choices: Sequence[Any]):
    """An action that is counted, and after which everything printed is looked at."""

    def made(do):
        @functools.wraps(do)
        def done(self, **given):
            self.step += 1
            self.counts[do.__name__] += 1
            self.told.append(f"{do.__name__} {given}")
            try:
                do(self, **given)
                self.look_again()
            except Exception as error:
                raise self.fault(error) from error

        ACTIONS.append(Action(do.__name__, weight, choices))
        return done

    return made


class Life(RuleBasedStateMachine):
    """One result set, from a finished run on."""

    world: ClassVar[World]
    counts: ClassVar[Counter[str]] = Counter()
    walks: ClassVar[int] = 0
    starts: ClassVar[int] = 0
    found: ClassVar[str] = ""

    @initialize()
    def begin(self) -> None:
        type(self).walks += 1
        self.step = 0
        self.killed = False
        self.told: list[str] = []
        self.seen: Any = None
        self.w = type(self).world.again()

    def fault(self, error: Exception) -> Exception:
        text = f"seed {SEED}, walk {self.walks}, step {self.step}: {error}"
        type(self).found = type(self).found or "\n".join([*self.told, text])
        return Fault(text)

    @rule(drawn=st.integers(0, 2**60))
    def act(self, drawn: int) -> None:
        """Whatever comes to mind; who was stopped soon goes on."""
        # Hypothesis likes the simplest numbers: the place in the walk is drawn of, too.
        draw = random.Random(f"{SEED} {self.walks} {self.step} {drawn}")
        if self.killed and draw.random() < 0.3:
            self.run()
            return
        chosen = draw.choices(ACTIONS, [one.weight for one in ACTIONS])[0]
        given = {name: draw.choice(values) for name, values in chosen.choices.items()}
        getattr(self, chosen.name)(**given)

    # What people do. A start takes as long as ten other actions, and there is one in ten.

    @action()
    def run(self) -> None:
        self.start()

    @action(0.2, part=[PAPER, f"results/life/tables/{PAPER}.csv"])
    def run_a_target(self, part: str) -> None:
        self.start(part)

    @action(0.5, job=INDICES, step=INDICES, driver=BOTH)
    def run_and_be_killed(self, job: int, step: int, driver: bool) -> None:
        self.start(kill=Kill(job, step, driver))

    @action(0.2, stage=["train", "evaluate", "extract", "adapt", "tabulate"])
    def force(self, stage: str) -> None:
        self.start(forced=[stage])

    @action(
        0.5,
        stage=["train", "evaluate", "extract"],
        job=range(4),
        step=INDICES,
        driver=BOTH,
    )
    def force_and_be_killed(self, stage: str, job: int, step: int, driver: bool) -> None:
        self.start(forced=[stage], kill=Kill(job, step, driver))

    @action(index=INDICES)
    def forget(self, index: int) -> None:
        path = self.file_of(self.w.files(), r"seed\d+/run\.json$", index)
        if path is not None:
            forget(path.parent)

    @action(value=[7, 3, "by class"])
    def set_the_median(self, value: Any) -> None:
        self.w.choose("median", value)

    @action(value=[3, 2])
    def set_the_epochs(self, value: int) -> None:
        self.w.choose("epochs", value)

    @action(name=["confidence", "bootstrap"], other=BOTH)
    def set_the_report(self, name: str, other: bool) -> None:
        values = {"confidence": (0.95, 0.5), "bootstrap": (20, 25)}
        self.w.choose(name, values[name][other])

    @action(value=["A table", "The table"])
    def set_a_caption(self, value: str) -> None:
        self.w.choose("caption", value)

    @action(value=["0.4", "0.6", ""])
    def set_a_published_cell(self, value: str) -> None:
        self.w.choose("published", value)

    @action(value=[(42,), (42, 43)])
    def set_the_seeds(self, value: tuple[int, ...]) -> None:
        self.w.choose("seeds", value)

    @action(value=[("mt", "lgc", "again"), ("mt",), ("mt", "again", "clc")])
    def set_the_rows(self, value: tuple[str, ...]) -> None:
        self.w.choose("rows", value)

    @action(value=[0.9, 0.4])
    def set_the_split(self, value: float) -> None:
        self.w.choose("split", value)

    @action(index=INDICES, late=BOTH)
    def touch(self, index: int, late: bool) -> None:
        files = self.w.files()
        moment = self.w.later() if late else 900_000_000
        os.utime(files[index * 7 % len(files)], (moment, moment))

    @action(index=INDICES)
    def delete_a_table(self, index: int) -> None:
        self.remove("tsv", index)

    @action(index=INDICES)
    def delete_a_store(self, index: int) -> None:
        self.remove("h5", index)

    @action(index=INDICES)
    def delete_a_file_of_a_run(self, index: int) -> None:
        self.remove("run", index)

    @action(index=INDICES)
    def delete_numbers(self, index: int) -> None:
        self.remove("metrics", index)

    @action(index=INDICES)
    def delete_anything(self, index: int) -> None:
        self.remove("any", index)

    @action(index=INDICES, how=HOWS, dated=BOTH)
    def damage_a_table(self, index: int, how: str, dated: bool) -> None:
        self.harm("tsv", index, how, dated)

    @action(index=INDICES, how=HOWS, dated=BOTH)
    def damage_a_store(self, index: int, how: str, dated: bool) -> None:
        self.harm("h5", index, how, dated)

    @action(index=INDICES, how=HOWS, dated=BOTH)
    def damage_a_file_of_a_run(self, index: int, how: str, dated: bool) -> None:
        self.harm("run", index, how, dated)

    @action(index=INDICES, how=HOWS, dated=BOTH)
    def damage_scores(self, index: int, how: str, dated: bool) -> None:
        self.harm("scores", index, how, dated)

    @action(index=INDICES, how=HOWS, dated=BOTH)
    def damage_numbers(self, index: int, how: str, dated: bool) -> None:
        self.harm("metrics", index, how, dated)

    @action(index=INDICES, how=HOWS, dated=BOTH)
    def damage_anything(self, index: int, how: str, dated: bool) -> None:
        self.harm("any", index, how, dated)

    @action(0.6)
    def report(self) -> None:
        self.w.report()
        self.printed(self.tables())

    @action(dates=BOTH, links=BOTH, records=BOTH, draw=INDICES)
    def copy(self, dates: bool, links: bool, records: bool, draw: int) -> None:
        self.w.copy(dates=dates, links=links, records=records, draw=draw)

    @action(audio=(0, 1), labels=(0, 1), dated=BOTH)
    def swap_the_data(self, audio: int, labels: int, dated: bool) -> None:
        older = 500_000_000 + 1000 * audio + 100 * labels
        self.w.swap(audio, labels, None if dated else older)

    @action(index=INDICES, dated=BOTH)
    def edit_a_number(self, index: int, dated: bool) -> None:
        path = self.file_of(self.w.files(), r"seed\d+/metrics\.json$", index)
        if path is None:
            return
        try:
            told = read_json(path)
            told["metrics"][0]["value"] = 0.99
        except (ValueError, LookupError, TypeError):
            return
        date = path.stat().st_mtime
        path.unlink()
        write_json(path, told)
        self.date(path, None if dated else date)

    @action(index=INDICES, other=INDICES, resamples=BOTH, dated=BOTH)
    def copy_numbers(self, index: int, other: int, resamples: bool, dated: bool) -> None:
        files = self.w.files()
        here = self.file_of(files, r"seed\d+/metrics\.json$", index)
        there = self.file_of(files, r"seed\d+/metrics\.json$", other)
        for name in ("metrics.json", *(["resamples.npz"] if resamples else [])):
            if here is None or there is None or here == there:
                return
            source, target = there.with_name(name), here.with_name(name)
            if source.exists():
                date = target.stat().st_mtime if target.exists() else self.w.now
                target.unlink(missing_ok=True)
                shutil.copyfile(source, target)
                self.date(target, None if dated else date)

    # How

    def start(self, target: str = "all", **how: Any) -> Outcome:
        type(self).starts += 1
        outcome = Driver(self.w).start(target, **how)
        self.killed = bool(outcome.killed or outcome.failed) and not self.killed
        for job, line in outcome.failed.items():
            if "Error:" in line and "sedrepro" not in line:
                raise Fault(f"{job} failed without a clear line: {line}")
        if outcome.whole and target == "all":
            self.complete()
        self.told[-1] += f" -> {outcome}"
        return outcome

    def a_file(self, kind: str, index: int) -> Path | None:
        patterns = {
            "tsv": r"corpora/.*\.(tsv|json)$",
            "h5": r"\.h5$",
            "run": r"seed\d+/[^/]*$",
            "scores": r"seed\d+/scores\.h5$",
            "metrics": r"(metrics\.json|resamples\.npz)$",
            "any": r"",
        }
        return self.file_of(self.w.files(), patterns[kind], index)

    @staticmethod
    def file_of(files: Iterable[Path], pattern: str, index: int) -> Path | None:
        chosen = [path for path in files if re.search(pattern, str(path))]
        return chosen[index % len(chosen)] if chosen else None

    def remove(self, kind: str, index: int) -> None:
        if path := self.a_file(kind, index):
            path.unlink()

    def harm(self, kind: str, index: int, how: str, dated: bool) -> None:
        path = self.a_file(kind, index)
        if path is None or not path.stat().st_size:
            return
        whole, date = path.read_bytes(), path.stat().st_mtime
        middle = len(whole) // 2
        harmed = whole[:middle]
        if how.startswith("flip"):
            harmed += bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        if "in place" not in how:
            path.unlink()
        path.write_bytes(harmed)
        stubs.forget_files()
        self.date(path, None if dated else date)

    def date(self, path: Path, date: float | None) -> None:
        moment = self.w.later() if date is None else date
        os.utime(path, (moment, moment))

    # What is printed

    def tables(self) -> tuple[list[Any], list[Record]]:
        with self.w.inside():
            return collect(self.w.project, PAPER, self.w.layout, self.w.checkout)

    def status(self) -> list[Standing]:
        with self.w.inside():
            return standings(self.w.project, self.w.layout)

    def look_again(self) -> None:
        """Look, unless nothing is another than at the last look."""
        seen = self.w.stamp()
        if seen != self.seen:
            self.look()
        self.seen = seen

    def look(self) -> None:
        """Whatever has a number has the right one, whatever has none says why."""
        printed, records = self.tables()
        for record in records:
            self.right(record)
        done = {record.run: record.done for record in records}
        # Status asks the same links as the tables: now and then is enough.
        for standing in self.status() if self.step % 4 == 0 else ():
            if (standing.word == "done") != done.get(standing.run, False):
                raise Fault(f"{standing.run}: status says {standing.word}, the table another thing")
        for table in printed:
            for row in table.rows:
                mine = [record for record in records if record.run.row == row.name]
                for column, cell in zip(table.columns, row.cells, strict=True):
                    self.cell(row.name, (column.column.set, column.column.model), mine, cell)

    def right(self, record: Record) -> None:
        if not record.done:
            if not record.reason:
                raise Fault(f"{record.run}: not done, and no reason")
            return
        with self.w.inside():
            if not Path(self.w.layout.run(self.w.plan(record.run).scored, "run.json")).exists():
                raise Fault(f"{record.run}: a number without run.json")
        expected = self.w.value(record.run)
        for key, value in expected.items():
            entry = record.find(
                set=key[0], model=key[1], metric="psds1", implementation="psds_eval"
            )
            if entry is None:
                raise Fault(f"{record.run}: no value of {key}")
            report = self.w.project.report
            wanted = stubs.interval_of(value, report.bootstrap, report.confidence)
            got = (entry["value"], entry["ci_low"], entry["ci_high"])
            if got != tuple(map(float, wanted)):
                raise Fault(f"{record.run}: {key} is {got}, a clean run gives {tuple(wanted)}")
            if entry["n_cut"] != self.w.cut(key[0]):
                raise Fault(f"{record.run}: {entry['n_cut']} events of {key[0]} are said to be cut")

    def cell(self, row: str, key: tuple[str, str], records: list[Record], cell: Cell) -> None:
        values = [self.w.value(record.run)[key] for record in records if record.done]
        got = cell.ours.mean if cell.ours else None
        wanted = sum(values) / len(values) if values else None
        if digits(got) != digits(wanted):
            raise Fault(f"row {row}: {got} is printed, a clean run prints {wanted}")
        if cell.verdict in JUDGED or cell.published.value is not None:
            raise Fault(f"row {row}: own recordings are compared with a published number")
        if values and self.w.cut(key[0]) and "go on after what is heard" not in cell.note:
            raise Fault(f"row {row}: nothing says that truth is cut")
        for record in records:
            if not record.done and record.reason not in cell.note:
                raise Fault(f"row {row}: nothing says that {record.run} is not done")

    def complete(self) -> None:
        """After a start that ended well everything is done, and printed as a clean run does."""
        self.printed(self.tables())

    def printed(self, now: tuple[list[Any], list[Record]]) -> None:
        """Table and page that lie there are what would be printed now, or `verify` says that they
        are not: one was changed by hand, or a copy has lost what told Snakemake to make it again.
        """
        wanted = to_csv(now[0])
        for part, path in (
            (f"tables/{PAPER}", self.w.layout.paper_table(PAPER)),
            ("life/report", self.w.layout.report),
        ):
            with self.w.inside():
                there = Path(path).read_text(errors="replace")
            if there != wanted and part not in self.verified():
                raise Fault(f"{path} that lies there is not what would be printed now")

    def verified(self) -> str:
        """What `sedrepro verify` says."""
        with self.w.inside():
            check = ChainCheck(self.w.project, self.w.layout, self.w.checkout)
            check.run()
        return "\n".join(check.problems)

    # The end

    def teardown(self) -> None:
        if not hasattr(self, "w") or self.found:
            return
        self.told.append("heal")
        try:
            self.heal()
        except Exception as error:
            raise self.fault(error) from error

    def heal(self) -> None:
        """Whoever follows what is said comes to the tables of a clean run."""
        heard: Counter[frozenset[str]] = Counter()
        for attempt in range(ROUNDS):
            failed = list(self.start().failed.values())
            _, records = self.tables()
            waiting = [r for r in records if not r.done and r.run in self.w.runs()]
            if not failed and not waiting:
                break
            said = [*failed, *(record.reason for record in waiting)]
            self.told[-1] += f" | {said}"
            heard[frozenset(said)] += 1
            if heard[frozenset(said)] > PATIENCE:
                raise Fault(f"following what is said leads nowhere: {said}")
            if attempt:
                self.follow(failed, waiting)
        else:
            raise Fault(f"after {ROUNDS} starts it still says: {said}")
        self.look()
        self.w.report()
        said = [line for line in self.verified().splitlines() if "made of other numbers" in line]
        if said:
            raise Fault(f"after all was made, verify says: {said}")

    def follow(self, failed: list[str], waiting: list[Record]) -> None:
        """Do what the errors of jobs and the reasons of runs say."""
        with self.w.inside():
            for line in [*failed, *(record.reason for record in waiting)]:
                for run in re.findall(r"`sedrepro forget ([^`]+)`", line):
                    folder = Path(self.w.layout.run(Run.parse(run)))
                    if folder.is_dir():
                        forget(folder)
                if found := re.search(r"^(?:error: )?(\S+): [^;]*; delete it", line):
                    Path(found[1]).unlink(missing_ok=True)
            for record in waiting:
                if found := re.search(r"^(\S+\.json) [^;]*; delete it", record.reason):
                    record.file(found[1]).unlink(missing_ok=True)
                if "delete metrics.json" in record.reason:
                    record.file("metrics.json").unlink(missing_ok=True)


@contextlib.contextmanager
def living(fault: AbstractContextManager = NOTHING) -> Iterator[None]:
    """A finished result set to begin lives from, perhaps under a fault of the project."""
    Life.counts, Life.walks, Life.starts, Life.found = Counter(), 0, 0, ""
    memory = Path("/dev/shm")
    with (
        tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder,
        stubs.in_place(),
        fault,
    ):
        Life.world = World(Path(folder))
        assert Driver(Life.world).start().whole
        yield


def walk(walks: int = WALKS, fault: AbstractContextManager = NOTHING) -> str:
    """Walk, and say how many steps of which kind were made."""
    options = settings(
        max_examples=walks,
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    with living(fault):
        seed(SEED)(Life)
        try:
            run_state_machine_as_test(Life, settings=options)
        except Exception as error:  # Hypothesis looks again, and calls what it then misses flaky
            if Life.found:
                raise Fault(Life.found) from error
            raise
    kinds = ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in sorted(Life.counts.items()))
    return f"{Life.counts.total()} actions in {Life.walks} walks, seed {SEED}: {kinds}"


@pytest.mark.slow
def test_whatever_people_do_nothing_printed_is_wrong(record_property):
    told = walk()
    assert Life.counts.total() >= 3000
    record_property("counted", told)


@pytest.mark.long  # minutes of one processor
def test_a_long_walk(record_property):
    told = walk(80)
    assert Life.counts.total() >= 12_000
    record_property("counted", told)
