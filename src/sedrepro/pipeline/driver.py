"""Who is running the workflow here, and what a killed driver leaves behind."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from .. import locks
from ..errors import SedreproError
from ..files import read_json, tree_stamp

OLDEST = (1, 1)
"""The dates of what is older than everything. Snakemake takes 0 for no date at all."""
CLOCK_SKEW = 60.0
"""Seconds by which a file server's clock may be ahead of ours."""


def live_drivers(folder: str | Path) -> list[int]:
    """Process ids of the Snakemake drivers at work in `folder`, on this machine."""
    folder = Path(folder).resolve()
    return sorted(process.pid for process in psutil.process_iter() if _drives(process, folder))


def unlock(folder: str | Path) -> bool:
    """Remove the lock a killed driver left in `folder`; whether there was one.

    Snakemake's own `--unlock` does the same, but also while another driver is at work. Jobs the
    driver left in a cluster's queue are cancelled: the next driver cannot know of them and would
    submit them again. What they had is kept.
    """
    locks = Path(folder) / ".snakemake" / "locks"
    if not any(locks.glob("*.lock")):
        return False
    drivers = live_drivers(folder)
    if drivers:
        raise SedreproError(
            f"{folder}: the workflow is already running here (process "
            f"{', '.join(map(str, drivers))}); wait for it or end it first"
        )
    cancel(folder)
    shutil.rmtree(locks)
    return True


def starting(folder: str | Path, patience: float = 30.0) -> IO[str]:
    """Wait until no other driver is starting in `folder`; what is returned is closed when this one
    has started.

    Snakemake looks for locks and then takes its own: of two drivers that start at the same time
    neither would see the other's.
    """
    deadline = time.monotonic() + patience
    try:
        while time.monotonic() < deadline:
            if handle := locks.take(Path(folder) / ".snakemake" / "starting"):
                return handle
            time.sleep(0.1)
    except OSError:  # nothing can be written here, so nobody can run the workflow
        pass
    return io.StringIO()


def reset_future_mtimes(folders: Iterable[str | Path]) -> list[Path]:
    """Make what is dated in the future the oldest of all; those files.

    A clock was wrong when they were written. Their true age is unknown, so none may pass for newer
    than what it was made of. What has to be done again for that is known by its content.
    """
    soon = time.time() + CLOCK_SKEW
    found = []
    for folder in folders:
        for place, _, names in os.walk(folder):
            for path in (Path(place, name) for name in names):
                # Gone meanwhile; or somebody else's, and then it is not made here either.
                with contextlib.suppress(OSError):
                    if path.stat().st_mtime > soon:
                        os.utime(path, OLDEST)
                        found.append(path)
    return found


def outdate(seals: Mapping[str, Mapping[str, Any]]) -> list[Path]:
    """Make clip tables the oldest of all where they were made with other settings than those asked
    for, or a tree of the user's own that they describe has changed, so that they are made again;
    the keys of those tables.

    Of a tree Snakemake sees only the folder's date, not what changed deep inside it; of settings
    only what it has noted, and a copy may come without its notes.
    """
    found = []
    for path, asked in seals.items():
        key = Path(path)
        try:
            described = read_json(key)
            files, trees = list(described["files"]), dict(described.get("trees", {}))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # whoever reads it says what is wrong with it
        others = described.get("settings") != json.loads(json.dumps(asked))
        changed = (os.path.isdir(tree) and tree_stamp(tree) != was for tree, was in trees.items())
        if others or any(changed):
            for name in (key.name, *files):
                with contextlib.suppress(OSError):
                    os.utime(key.with_name(name), OLDEST)
            found.append(key)
    return found


def queued(folder: str | Path) -> list[str]:
    """Ids of the user's SLURM jobs that the workflow submitted from `folder`."""
    if shutil.which("squeue") is None:
        return []
    command = ["squeue", "--me", "--noheader", "--format=%i|%k|%Z"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    jobs = (line.split("|", 2) for line in listed.stdout.splitlines())
    here = str(Path(folder).resolve())
    own = os.environ.get("SLURM_JOB_ID")  # a driver may itself be a job
    # The executor writes the rule into a job's comment.
    return [
        job
        for job, comment, submitted in jobs
        if comment.startswith("rule_") and submitted == here and job != own
    ]


def cancel(folder: str | Path, patience: float = 120.0) -> list[str]:
    """End what the workflow has in SLURM's queue, and wait until it has ended; the jobs' ids."""
    jobs = queued(folder)
    if not jobs:
        return []
    subprocess.run(["scancel", "--quiet", *jobs], check=False)
    deadline = time.monotonic() + patience
    while left := [job for job in queued(folder) if job in jobs]:
        if time.monotonic() > deadline:
            raise SedreproError(f"SLURM jobs {', '.join(left)} do not end; see `squeue --me`")
        time.sleep(1)
    return jobs


def is_driver(command: Sequence[str]) -> bool:
    """Whether a command line is a Snakemake driver's; the jobs it starts run Snakemake too."""
    words = [Path(word).name for word in command[:3]]
    snakemake = "snakemake" in words[:2] or words[1:] == ["-m", "snakemake"]
    return snakemake and "--mode" not in command


def _drives(process: psutil.Process, folder: Path) -> bool:
    try:
        return is_driver(process.cmdline()) and Path(process.cwd()) == folder
    except (psutil.Error, OSError):
        return False  # gone meanwhile, or someone else's
