"""A checkout of its own for every test that runs the workflow."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

SNAKEMAKE = [str(Path(sys.executable).with_name("snakemake"))]
MINI = ["--configfile", "config/mini.yaml"]
SMOKE = [*MINI, "tests/workflow/smoke.yaml"]

MEASURED = "COVERAGE_PROCESS_CONFIG"
"""Environment variable by which a process that is started is measured too."""


def checkout(root: Path, target: Path) -> Path:
    """The tracked and new files of the project in a new folder, as a fresh clone has them."""
    listed = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard", "-z"],
        check=True,
        capture_output=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / name, target / name)
    return target


def environment(**more: str) -> dict[str, str]:
    """This process's environment, less what a surrounding Snakemake may have put there, and
    unmeasured: that would double the time of jobs."""
    dropped = ("PYTHONPATH", "SEDREPRO_DRIVER", MEASURED)
    kept = {k: v for k, v in os.environ.items() if k not in dropped}
    return {**kept, "OMP_NUM_THREADS": "1", **more}


def snakemake(folder: Path, *words: str, check: bool = True, **more: str):
    if "-n" in words and MEASURED in os.environ:  # a plan is soon made
        more[MEASURED] = os.environ[MEASURED]
    done = subprocess.run(
        [*SNAKEMAKE, *words],
        cwd=folder,
        env=environment(**more),
        capture_output=True,
        text=True,
        timeout=900,
    )
    if check and done.returncode:
        raise AssertionError(f"snakemake {' '.join(words)}\n{done.stdout}\n{done.stderr}")
    return done


def jobs(done) -> dict[str, int]:
    """Jobs a Snakemake call ran, by rule."""
    text = done.stdout + done.stderr
    table = text.split("Job stats:", 1)[1].split("\n\n", 1)[0] if "Job stats:" in text else ""
    rows = (line.split() for line in table.splitlines()[3:] if line.strip())
    return {row[0]: int(row[1]) for row in rows if row[0] != "total"}


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """A folder that is made once for all workers, none of which changes it. What it took is
    beside it."""
    base = factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    took = folder.with_suffix(".took")
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not took.exists():
            shutil.rmtree(folder, ignore_errors=True)
            began = time.monotonic()
            make(folder)
            took.write_text(str(time.monotonic() - began))
    return folder


def finished(root: Path, factory: pytest.TempPathFactory) -> Path:
    """A checkout with a finished smoke run, to be copied: to make it takes minutes."""

    def make(folder: Path) -> None:
        checkout(root, folder)
        snakemake(folder, "--cores", "2", "all", *SMOKE)

    return once(factory, "smoke", make)


def with_desed(root: Path, factory: pytest.TempPathFactory) -> Path:
    """A checkout with what `lgc_sed` reads of the finished smoke run's data, and no results."""

    def make(folder: Path) -> None:
        copied(finished(root, factory), folder)
        shutil.rmtree(folder / "results")
        for kind in ("corpora", "features", "mixtures"):
            for corpus in ("ave", "maestro", "snr_mix"):
                shutil.rmtree(folder / "data/mini" / kind / corpus, ignore_errors=True)
        for store in (folder / "data/mini/features/desed").glob("*.h5"):
            if ".mel128." not in store.name:
                store.unlink()

    return once(factory, "with_desed", make)


def begun(root: Path, factory: pytest.TempPathFactory, target: Path) -> Path:
    """A checkout as after an interruption: of DESED's sets two are yet to be fetched or mixed, so
    that every kind of job has something to do."""
    copied(with_desed(root, factory), target)
    data = target / "data/mini"
    gone = [data / "raw/desed/audio/validation", data / "mixtures/desed/synth_validation"]
    gone += data.glob("status/desed_validation.json")
    gone += data.glob("corpora/desed/*validation")
    gone += data.glob("features/desed/*validation.*")
    gone += data.glob("features/desed/.kept/*validation.*")
    gone += data.glob("logs/*/*validation*")
    for path in gone:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return target


def copied(folder: Path, target: Path) -> Path:
    """A copy of a result set; times are kept."""
    subprocess.run(["cp", "-a", str(folder), str(target)], check=True)
    return target


@pytest.fixture(scope="module")
def clone(root, tmp_path_factory) -> Path:
    return checkout(root, tmp_path_factory.mktemp("clone") / "project")


@pytest.fixture(scope="module")
def smoke(root, tmp_path_factory) -> tuple[Path, Callable]:
    """A finished smoke run of the module's own, and how to run Snakemake on it again."""
    folder = tmp_path_factory.mktemp("smoke") / "project"
    copied(finished(root, tmp_path_factory), folder)

    def again(*words: str, **options):
        return snakemake(folder, "--cores", "2", *words, *SMOKE, **options)

    return folder, again
