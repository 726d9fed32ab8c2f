"""The same walk through Snakemake and the real commands: 25 steps here, as many as one likes by
hand (`SEDREPRO_REAL_STEPS=300 SEDREPRO_WALK_SEED=2 pytest -s tests/life/test_real_walk.py`).

With `SEDREPRO_REAL_HOME`, a folder, what clean runs print and the result set to begin from are kept
there for the next walk.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest

from faults.test_kills import at_work
from sedrepro import papers, settings
from sedrepro.cli.status import standings
from sedrepro.files import read_json
from sedrepro.pipeline.driver import unlock
from sedrepro.reporting import links
from sedrepro.reporting.collect import collect
from sedrepro.reporting.tables import to_csv
from sedrepro.settings import Layout, Project
from workflow.conftest import SMOKE, SNAKEMAKE, copied, environment, with_desed

pytestmark = [pytest.mark.system, pytest.mark.slow]

SEED = int(os.environ.get("SEDREPRO_WALK_SEED", "14"))
STEPS = int(os.environ.get("SEDREPRO_REAL_STEPS", "25"))
HOME = os.environ.get("SEDREPRO_REAL_HOME")
PAPER = "lgc_sed"
RESULTS = Path("results/life")
FIRST = {"median": 7, "confidence": 0.95, "caption": "The teacher"}
OTHERS = {"median": (7, 5), "confidence": (0.95, 0.5), "caption": ("The teacher", "A table")}
KEYS = 7
"""Columns of a line that say which cell it is."""


class Folder:
    """A checkout with its own file of settings, and the real commands."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def choose(self, chosen: dict[str, Any]) -> None:
        paper = {
            "rows": ["untrained", "lgc"],
            "settings": {"decoding": {"median": chosen["median"]}},
            "tables": {"teacher": {"caption": chosen["caption"]}},
        }
        told = {"name": "life", "run": [PAPER], "papers": {PAPER: paper}}
        told["report"] = {"confidence": chosen["confidence"]}
        (self.path / "life.yaml").write_text(json.dumps(told))

    @property
    def files(self) -> list[str]:
        return [*SMOKE[1:], "life.yaml"]

    def command(self, *words: str) -> list[str]:
        return [*SNAKEMAKE, "--cores", "2", *words, "--configfile", *self.files]

    def snakemake(self, *words: str) -> subprocess.CompletedProcess:
        unlock(self.path)
        return self._called(self.command(*words))

    def sedrepro(self, *words: str) -> subprocess.CompletedProcess:
        words = (sys.executable, "-m", "sedrepro.cli", *words, "--configfile", *self.files)
        return self._called(words)

    def _called(self, words) -> subprocess.CompletedProcess:
        told = environment(PYTHONPATH=str(self.path / "src"))
        return subprocess.run(words, cwd=self.path, env=told, capture_output=True, text=True)

    def project(self) -> Project:
        overlay: dict[str, Any] = {}
        for name in self.files:
            overlay = settings.merge(overlay, settings.read_yaml(self.path / name))
        models = papers.settings_models()
        return settings.load(overlay, papers=models, root=self.path, lazily=True)

    def lines(self) -> tuple[dict[tuple[str, ...], dict[str, str]], str]:
        """What would be printed now, by cell; and as one text."""
        for name in ("_stamp", "_seal", "_key_of_store", "_digest", "_clips_of"):
            getattr(links, name).cache_clear()
        project = self.project()
        with contextlib.chdir(self.path):
            tables, records = collect(project, PAPER, Layout.of(project), self.path)
            done = {record.run for record in records if record.done}
            for one in standings(project, Layout.of(project)):
                assert (one.word == "done") == (one.run in done), one
        text = to_csv(tables)
        rows = csv.DictReader(io.StringIO(text))
        return {tuple(row.values())[:KEYS]: row for row in rows}, text

    def all_files(self, pattern: str) -> list[Path]:
        return sorted(path for path in self.path.glob(pattern) if path.is_file())


class Walker:
    """Goes on from a finished run; knows what clean runs print."""

    def __init__(self, folder: Folder, clean: Folder) -> None:
        self.folder, self.clean = folder, clean
        self.draw = random.Random(SEED)
        self.chosen = dict(FIRST)
        self.known: dict[str, dict] = {}
        self.counts: Counter[str] = Counter()
        self.step = 0
        self.told: list[str] = []

    ACTIONS = (
        *("run", "run", "run_and_kill", "force", "force_and_kill", "report", "forget", "forget"),
        *("choose", "choose", "touch", "delete", "delete", "damage", "damage", "edit", "mix_up"),
        *("copy", "swap_tables"),
    )

    def walk(self) -> None:
        for _ in range(STEPS):
            name = self.draw.choice(self.ACTIONS)
            self.step += 1
            self.counts[name] += 1
            self.told.append(name)
            try:
                getattr(self, name)()
                self.look()
            except Exception as error:
                story = "\n".join(self.told)
                raise AssertionError(f"seed {SEED}, step {self.step}: {error}\n{story}") from error

    def pick(self, *patterns: str) -> Path | None:
        files = [path for pattern in patterns for path in self.folder.all_files(pattern)]
        path = self.draw.choice(files) if files else None
        self.told[-1] += f" {path and path.relative_to(self.folder.path)}"
        return path

    def any_file(self) -> Path | None:
        run = f"{RESULTS}/runs/*/*/*/*/*"
        data = ("data/*/features/*/*.h5", "data/*/corpora/*/*/*")
        return self.pick(self.draw.choice([run, run, *data, f"{RESULTS}/tables/*"]))

    # What people do

    def run(self) -> None:
        done = self.folder.snakemake("all")
        self.told[-1] += f" -> {done.returncode}"
        if done.returncode:
            assert "error: " in done.stdout + done.stderr, done.stdout + done.stderr
            return
        _, text = self.folder.lines()
        there = self.folder.path / RESULTS / f"tables/{PAPER}.csv"
        if there.read_text(errors="replace") != text:  # changed by hand: that is what verify is for
            assert f"tables/{PAPER}" in self.folder.sedrepro("verify").stdout

    def run_and_kill(self, *words: str) -> None:
        unlock(self.folder.path)
        driver = psutil.Popen(
            self.folder.command("all", *words),
            cwd=self.folder.path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 30
        while driver.poll() is None and not at_work(driver) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(self.draw.uniform(0, 4))
        working = at_work(driver)
        if working and self.draw.random() < 0.5:
            with contextlib.suppress(psutil.NoSuchProcess):
                working[0][0].kill()
            self.told[-1] += f" job {working[0][1]}"
        elif driver.poll() is None:
            driver.send_signal(signal.SIGKILL)
            self.told[-1] += f" driver during {[rule for _, rule in working]}"
        driver.wait()
        psutil.wait_procs([process for process, _ in working], timeout=60)

    def force(self) -> None:
        rule = self.draw.choice(["train", "evaluate", "tabulate"])
        self.told[-1] += f" {rule}"
        self.folder.snakemake("all", "--forcerun", rule)

    def force_and_kill(self) -> None:
        self.run_and_kill("--forcerun", self.draw.choice(["train", "evaluate"]))

    def report(self) -> None:
        done = self.folder.sedrepro("report")
        assert done.returncode == 0, done.stderr
        _, text = self.folder.lines()
        assert (self.folder.path / RESULTS / f"tables/{PAPER}.csv").read_text() == text

    def forget(self) -> None:
        row = self.draw.choice(["untrained", "lgc"])
        self.folder.sedrepro("forget", f"{PAPER}/{row}/desed/seed42")
        left = self.folder.all_files(f"{RESULTS}/runs/{PAPER}/{row}/desed/seed42/metrics.json")
        assert not left, "a forgotten run has numbers"

    def choose(self) -> None:
        name = self.draw.choice(list(OTHERS))
        self.chosen[name] = self.draw.choice(OTHERS[name])
        self.told[-1] += f" {name}: {self.chosen[name]}"
        self.folder.choose(self.chosen)

    def touch(self) -> None:
        if path := self.any_file():
            os.utime(path)

    def delete(self) -> None:
        if path := self.any_file():
            path.unlink()

    def damage(self) -> None:
        if path := self.any_file():
            content, date = path.read_bytes(), path.stat().st_mtime
            middle = len(content) // 2
            if content and self.draw.random() < 0.5:
                harmed = content[:middle]
            else:
                harmed = content[:middle] + bytes(255 - b for b in content[middle : middle + 1])
                harmed += content[middle + 1 :]
            path.write_bytes(harmed)
            if self.draw.random() < 0.5:
                os.utime(path, (date, date))

    def edit(self) -> None:
        path = self.pick(f"{RESULTS}/runs/*/*/*/*/metrics.json")
        if path is None:
            return
        with contextlib.suppress(ValueError, LookupError):
            told = json.loads(path.read_text())
            told["metrics"][0]["value"] = 0.99
            path.unlink()
            path.write_text(json.dumps(told))

    def mix_up(self) -> None:
        found = self.folder.all_files(f"{RESULTS}/runs/*/*/*/*/metrics.json")
        if len(found) > 1:
            found[0].unlink()
            shutil.copyfile(found[1], found[0])

    def copy(self) -> None:
        """Copied without dates, and without what Snakemake knows."""
        target = self.folder.path.with_name(f"copy{self.step}")
        subprocess.run(["cp", "-r", str(self.folder.path), str(target)], check=True)
        if self.draw.random() < 0.5:
            shutil.rmtree(target / ".snakemake", ignore_errors=True)
        shutil.rmtree(self.folder.path)
        self.folder = Folder(target)

    def swap_tables(self) -> None:
        """The truth of another set under the name of one that is reported."""
        path = self.pick("data/*/corpora/desed/validation/events.tsv")
        other = self.folder.all_files("data/*/corpora/desed/public_eval/events.tsv")
        if path and other:
            shutil.copyfile(other[0], path)

    # What is printed

    def look(self) -> None:
        lines, _ = self.folder.lines()
        for key, line in lines.items():
            if line["n_runs"] == "0":
                assert line["note"], f"{key}: no value, and no reason"
            else:
                wanted = self.expected()[key]
                other = {name for name, value in wanted.items() if line[name] != value}
                assert not other, f"{key}: {line} is not what a clean run prints: {wanted}"

    def expected(self) -> dict[tuple[str, ...], dict[str, str]]:
        """What a clean run of these settings prints; each is run once."""
        memo = named(self.chosen)
        if memo not in self.known:
            self.clean.choose(self.chosen)
            for path in (self.clean.path / RESULTS / "runs").glob("*/*/*/*"):
                shutil.rmtree(path / ".state" / "measured", ignore_errors=True)
                for name in ("metrics.json", "resamples.npz"):
                    (path / name).unlink(missing_ok=True)
            done = self.clean.snakemake(PAPER)
            assert done.returncode == 0, done.stdout + done.stderr
            self.known[memo] = self.clean.lines()[0]
        return self.known[memo]


def named(chosen: dict[str, Any]) -> str:
    return json.dumps(chosen, sort_keys=True)


def keep(home: Path, known: dict[str, dict]) -> None:
    """Keep what clean runs print, for this walk and the next."""
    kept = {memo: list(lines.items()) for memo, lines in known.items()}
    (home / "known.json").write_text(json.dumps(kept))


def kept(home: Path) -> dict[str, dict]:
    found = read_json(home / "known.json")
    return {memo: {tuple(key): line for key, line in told} for memo, told in found.items()}


def begun(home: Path, root: Path, factory: pytest.TempPathFactory) -> tuple[Folder, Folder]:
    """A finished result set to live with, and one that stays as it is, for clean runs."""
    clean = Folder(home / "clean")
    if not clean.path.exists():
        first = Folder(copied(with_desed(root, factory), home / "first"))
        first.choose(FIRST)
        done = first.snakemake("all")
        assert done.returncode == 0, done.stdout + done.stderr
        keep(home, {named(FIRST): first.lines()[0]})
        first.path.rename(clean.path)
    life = home / "life"
    shutil.rmtree(life, ignore_errors=True)
    folder = Folder(copied(clean.path, life))
    folder.choose(FIRST)
    return folder, clean


def test_whatever_people_do_with_the_real_commands(
    root, tmp_path, tmp_path_factory, record_property
):
    home = Path(HOME) if HOME else tmp_path
    walker = Walker(*begun(home, root, tmp_path_factory))
    walker.known = kept(home)
    try:
        walker.walk()
    finally:
        keep(home, walker.known)
    kinds = ", ".join(f"{name} {n}" for name, n in sorted(walker.counts.items()))
    told = f"{walker.step} real actions, seed {SEED}: {kinds}"
    print(told)
    record_property("counted", told)
