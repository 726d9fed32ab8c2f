"""A checkout of its own for every test that runs the workflow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
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


@pytest.fixture(scope="module")
def clone(root, tmp_path_factory) -> Path:
    return checkout(root, tmp_path_factory.mktemp("clone") / "project")


@pytest.fixture(scope="module")
def smoke(clone) -> tuple[Path, Callable]:
    """A finished smoke run, and how to run Snakemake on it again."""

    def again(*words: str, **options):
        return snakemake(clone, "--cores", "2", *words, *SMOKE, **options)

    again("all")
    return clone, again
