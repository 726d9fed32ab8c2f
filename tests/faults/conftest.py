"""A small result set, whole, to harm and to compare with; and disks that are full or read-only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workflow.conftest import SMOKE, SNAKEMAKE, copied, environment, once, with_desed

CONFIG = [*SMOKE, "tests/faults/faults.yaml"]
RESULTS = Path("results/faults")
FEATURES = Path("data/mini/features/desed")
ROWS = ("mt", "lgc")


def command(*targets: str | Path) -> list[str]:
    """Snakemake for everything, or for some files."""
    return [*SNAKEMAKE, *map(str, targets or ["all"]), "--cores", "2", *CONFIG]


def run(folder: Path, *targets: str | Path, check: bool = True, **options):
    """Snakemake to its end."""
    done = subprocess.run(
        command(*targets), cwd=folder, env=environment(), capture_output=True, text=True, **options
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


def run_folder(row: str) -> Path:
    return RESULTS / f"runs/lgc_sed/{row}/desed/seed42"


def made(folder: Path) -> dict[str, bytes]:
    """What must be the same, byte by byte, whatever happened: the tables, and each history."""
    files = sorted((folder / RESULTS / "tables").iterdir())
    files += [folder / run_folder(row) / "history.csv" for row in ROWS]
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    assert {path.name for path in files} >= {"lgc_sed.csv", "lgc_sed.md", "lgc_sed.tex"}
    assert all(found.values())
    return found


def leftovers(folder: Path) -> list[Path]:
    """Files that have not yet, or not any more, a right to be there."""
    tops = (folder / "data", folder / "results")
    return [path for top in tops for path in top.rglob("*.tmp")]


@pytest.fixture(scope="session")
def whole(root, tmp_path_factory) -> Path:
    """A finished, undisturbed run of its own on the smoke run's data; none of the tests changes
    it."""
    data = with_desed(root, tmp_path_factory)  # whose time does not count
    return once(tmp_path_factory, "whole", lambda folder: run(copied(data, folder)))


@pytest.fixture
def copy(whole, tmp_path) -> Path:
    """The finished run once more, to be harmed."""
    return copied(whole, tmp_path / "project")


class Mount:
    """Something mounted on a folder, which must exist; skips the test where that is not allowed."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.folder = folder
        done = subprocess.run(["mount", *words, str(folder)], capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here ({done.stderr.strip()}): needs root")

    def change(self, options: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{options}", str(self.folder)], check=True)

    def end(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


class SmallDisk(Mount):
    """A disk of its own, soon full."""

    def __init__(self, folder: Path, kilobytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder, "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs")

    def grow(self) -> None:
        self.change("size=200m")


class ReadOnly(Mount):
    """A folder as it is, but nobody may write to it, root included."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, "--bind", str(folder))
        self.change("ro,bind")


@pytest.fixture
def mounted() -> Iterator[Callable]:
    """Mount something until the test ends: `mounted(SmallDisk, folder, 100)`."""
    mounts: list[Mount] = []

    def mount(kind: type[Mount], *arguments) -> Mount:
        mounts.append(kind(*arguments))
        return mounts[-1]

    yield mount
    for one in reversed(mounts):
        one.end()


def gone(pid: int) -> bool:
    return not os.path.exists(f"/proc/{pid}")
