"""A stale lock goes, a held one stays: drivers are stood in for by a sleeping `snakemake`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sedrepro.cli.driver import is_driver, live_drivers, unlock
from sedrepro.errors import SedreproError


@pytest.fixture
def driver(tmp_path):
    """Start a process that looks like a driver in the folder given; all end with the test."""
    program = tmp_path / "bin" / "snakemake"
    program.parent.mkdir()
    program.write_text("print(flush=True)\nimport time\ntime.sleep(60)\n")
    started = []

    def start(folder, *options):
        process = subprocess.Popen(
            [sys.executable, program, *options], cwd=folder, stdout=subprocess.PIPE
        )
        started.append(process)
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def locked(tmp_path):
    """A folder with the lock files Snakemake leaves."""
    folder = tmp_path / "project"
    locks = folder / ".snakemake" / "locks"
    locks.mkdir(parents=True)
    (locks / "0.input.lock").write_text("a\n")
    (locks / "0.output.lock").write_text("b\n")
    return folder


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/x/bin/python3.11", "/x/bin/snakemake", "all", "--cores", "2"], True),
        (["snakemake", "--unlock"], True),
        (["python", "-m", "snakemake", "all"], True),
        (["python", "-m", "snakemake", "--target-jobs", "a:", "--mode", "subprocess"], False),
        (["python", "/x/.snakemake/scripts/tmp1.train.py"], False),
        (["make", "demo"], False),
        ([], False),
    ],
)
def test_a_driver_is_told_from_the_jobs_it_starts(command, expected):
    assert is_driver(command) is expected


def test_drivers_of_this_folder_only(tmp_path, driver):
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    process = driver(here, "all")
    driver(elsewhere, "all")
    driver(here, "--mode", "subprocess")
    assert live_drivers(here) == [process.pid]


def test_a_killed_drivers_lock_is_removed(locked, driver):
    process = driver(locked, "all")
    process.kill()
    process.wait()
    assert unlock(locked) is True
    assert not (locked / ".snakemake" / "locks").exists()
    assert unlock(locked) is False


def test_a_live_drivers_lock_stays(locked, driver):
    process = driver(locked, "all")
    with pytest.raises(SedreproError, match=f"already running here .process {process.pid}"):
        unlock(locked)
    assert len(list((locked / ".snakemake" / "locks").iterdir())) == 2


def test_a_driver_without_a_lock_is_left_in_peace(tmp_path, driver):
    driver(tmp_path, "--dry-run")
    assert unlock(tmp_path) is False
