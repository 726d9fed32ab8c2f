"""Who is running the workflow here, and what a killed driver leaves behind."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import psutil

from ..errors import SedreproError


def live_drivers(folder: str | Path) -> list[int]:
    """Process ids of the Snakemake drivers at work in `folder`, on this machine."""
    folder = Path(folder).resolve()
    return sorted(process.pid for process in psutil.process_iter() if _drives(process, folder))


def unlock(folder: str | Path) -> bool:
    """Remove the lock a killed driver left in `folder`; whether there was one.

    Snakemake's own `--unlock` does the same, but also while another driver is at work.
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
    shutil.rmtree(locks)
    return True


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
