"""A stale lock goes, a held one stays: drivers are stood in for by a sleeping `snakemake`."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sedrepro import chain
from sedrepro.errors import SedreproError
from sedrepro.files import tree_stamp
from sedrepro.pipeline.driver import cancel, is_driver, live_drivers, outdate, queued, unlock


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


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Stand-ins for squeue and scancel: a job is a line of a file, `id|comment|folder`."""
    queue, programs = tmp_path / "queue", tmp_path / "slurm"
    queue.touch()
    programs.mkdir()
    scripts = {
        "squeue": 'cat "$QUEUE"',
        "scancel": f'shift; echo "$@" >>"{tmp_path}/scancel.log"; : >"$QUEUE"',
    }
    for name, script in scripts.items():
        (programs / name).write_text(f"#!/bin/bash\n{script}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("QUEUE", str(queue))
    return queue


def test_jobs_of_a_killed_driver_are_cancelled(locked, tmp_path, slurm, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "4")
    slurm.write_text(
        f"1|rule_train_wildcards_a_b|{locked}\n"
        f"2|rule_train_wildcards_a_b|{tmp_path}\n"  # another project's
        f"3|(null)|{locked}\n"  # the user's own
        f"4|rule_x|{locked}\n"  # this very job
        f"5|rule_tables_mix|{locked}\n"
    )
    assert queued(locked) == ["1", "5"]
    assert unlock(locked)
    assert (tmp_path / "scancel.log").read_text() == "1 5\n"


def test_jobs_of_a_live_driver_are_left_alone(locked, driver, tmp_path, slurm):
    driver(locked, "all")
    slurm.write_text(f"1|rule_train|{locked}\n")
    with pytest.raises(SedreproError):
        unlock(locked)
    assert not (tmp_path / "scancel.log").exists()


def test_jobs_that_do_not_end_are_named(locked, tmp_path, slurm):
    slurm.write_text(f"7|rule_train|{locked}\n")
    (tmp_path / "slurm/scancel").write_text("#!/bin/bash\n")
    with pytest.raises(SedreproError, match="SLURM jobs 7 do not end"):
        cancel(locked, patience=0)


def test_tables_of_an_own_tree_that_changed_are_the_oldest_of_all(tmp_path):
    """Dates are what Snakemake goes by; for it 0 would be no date."""
    tree, key = tmp_path / "own", tmp_path / "tables/key.json"
    for path in (tree / "a.wav", tmp_path / "tables/clips.tsv"):
        path.parent.mkdir()
        path.write_text("some")
    files, trees = [key.with_name("clips.tsv")], {str(tree): tree_stamp(tree)}
    chain.seal(key, "tables", files, trees=trees, settings={})
    asked = {str(key): {}}
    assert outdate({**asked, str(tmp_path / "nowhere/key.json"): {}}) == []
    (tree / "b.wav").write_text("more")
    assert outdate(asked) == [key]
    assert [path.stat().st_mtime for path in sorted(key.parent.iterdir())] == [1, 1]
    (tree / "b.wav").unlink()
    (tree / "a.wav").rename(tmp_path / "a.wav")
    tree.rmdir()  # what is gone cannot be compared
    assert outdate(asked) == []


def test_tables_that_were_made_with_other_settings_are_the_oldest_of_all(tmp_path):
    key, table = tmp_path / "key.json", tmp_path / "clips.tsv"
    table.write_text("some")
    chain.seal(key, "tables", [table], settings={"data": {"snr": [6.0, 30.0]}})
    assert outdate({str(key): {"data": {"snr": (6.0, 30.0)}}}) == []
    assert outdate({str(key): {"data": {"snr": (0.0, 30.0)}}}) == [key]
    assert [path.stat().st_mtime for path in (key, table)] == [1, 1]
    chain.seal(key, "tables", [table])  # nobody knows with which
    assert outdate({str(key): {}}) == [key]
