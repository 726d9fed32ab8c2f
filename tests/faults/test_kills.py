"""SIGKILL at random moments: nothing is lost, and the end is as if nothing had happened."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from sedrepro.pipeline.driver import live_drivers, unlock
from sedrepro.store import Store
from workflow.conftest import checkout, environment

from .conftest import FEATURES, RESULTS, command, leftovers, made, run

pytestmark = [pytest.mark.system, pytest.mark.slow]

KILLS = 10
FINISHED = "Finished jobid"
STAGES = {
    "sources": {"fetch", "adapt"},
    "mixtures": {"mix", "collect"},
    "features": {"extract"},
    "training": {"train"},
    "evaluation": {"evaluate"},
    "reporting": {"tabulate", "draw", "publish"},
}


def rule_of(process: psutil.Process) -> str:
    """Which rule's script a process runs, or its shell."""
    with contextlib.suppress(psutil.Error):
        found = re.search(r"/scripts/tmp[^.]*\.(\w+)\.py", " ".join(process.cmdline()))
        return found[1] if found else ""
    return ""


def at_work(driver: psutil.Popen) -> list[tuple[psutil.Process, str]]:
    """The processes of the driver's jobs, with their rules."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return [(p, r) for p in driver.children(recursive=True) if (r := rule_of(p))]
    return []


class Killer:
    """Kills jobs and drivers, and counts.

    A kill comes at a random moment, up to `patience` seconds after some jobs (or none) have
    finished since the last one: so there is progress however slow the machine.
    """

    def __init__(self, folder: Path, seed: int, patience: float) -> None:
        self.folder = folder
        self.draw = random.Random(seed)
        self.patience = patience
        self.jobs: Counter[str] = Counter()
        self.drivers: Counter[str] = Counter()  # by what was at work
        self.finished = self.started = 0

    @property
    def kills(self) -> int:
        return self.jobs.total() + self.drivers.total()

    @property
    def lacking(self) -> set[str]:
        """Stages in which no job was killed, nor the driver while it worked there."""
        hit = {rule for rule in [*self.jobs, *" ".join(self.drivers).split()]}
        return {stage for stage, rules in STAGES.items() if not rules & hit}

    def one_driver(self) -> None:
        """A driver from its start to its end, its own or a violent one."""
        self.started += 1
        unlock(self.folder)
        log = self.folder / "driver.log"
        with open(log, "w") as out:
            driver = psutil.Popen(
                command(), cwd=self.folder, env=environment(), stdout=out, stderr=out, umask=0o077
            )
        while driver.poll() is None and not at_work(driver):
            time.sleep(0.05)
        while True:
            jobs = log.read_text().count(FINISHED) + self.draw.randint(0, 2)
            while driver.poll() is None and log.read_text().count(FINISHED) < jobs:
                time.sleep(0.05)
            with contextlib.suppress(psutil.TimeoutExpired):
                self.finished += driver.wait(self.draw.uniform(0, self.patience)) == 0
                return
            working = at_work(driver)
            if self.draw.random() < 0.4 or not working:
                driver.kill()
                driver.wait()
                self.drivers[" ".join(sorted({rule for _, rule in working}))] += 1
                return
            victim, rule = self.draw.choice(working)
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
                self.jobs[rule] += 1


def test_killed_again_and_again_it_ends_with_the_same_tables(
    whole, root, tmp_path, record_property
):
    """In a folder with an unusual name, with files nobody else may read."""
    folder = checkout(root, tmp_path / "Hörproben & „Größe“ $1")
    killer = Killer(folder, 9, patience=float(whole.with_suffix(".took").read_text()) / 6)
    began = time.monotonic()
    while killer.kills < KILLS or killer.lacking:
        before = killer.finished
        killer.one_driver()
        assert killer.kills < 4 * KILLS, f"never killed in {killer.lacking}"
        if killer.finished > before:  # all of it once more
            assert made(folder) == made(whole)
            shutil.rmtree(folder / "data")
            shutil.rmtree(folder / "results")
    unlock(folder)
    run(folder, umask=0o077)
    jobs = ", ".join(f"{rule} {n}" for rule, n in sorted(killer.jobs.items()))
    drivers = ", ".join(f"{rules or 'nothing'} {n}" for rules, n in sorted(killer.drivers.items()))
    record_property(
        "counted",
        f"{killer.jobs.total()} jobs killed ({jobs}), {killer.drivers.total()} drivers (while at "
        f"work was: {drivers}); {killer.started + 1} starts, {killer.finished + 1} to the end, "
        f"{time.monotonic() - began:.0f} s",
    )
    assert made(folder) == made(whole)
    assert "Nothing to be done" in run(folder).stderr
    for store in sorted((whole / FEATURES).glob("*.h5")):
        again = Store(folder / FEATURES / store.name)
        again.verify()
        assert again.content_key == Store(store).content_key
    assert leftovers(folder) == []
    assert live_drivers(folder) == []
    assert not [p for p in psutil.process_iter() if str(folder) in _folder_of(p)]
    readable = [p for p in (folder / RESULTS).rglob("*") if p.stat().st_mode & 0o077]
    assert not readable


def _folder_of(process: psutil.Process) -> str:
    try:
        return process.cwd()
    except (psutil.Error, OSError):
        return ""
