"""Drivers that start at the same time, and jobs whose driver is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from sedrepro import liveness
from sedrepro.pipeline.driver import starting
from workflow.conftest import environment

from .conftest import RESULTS, command, made, run

TWICE = 2


@pytest.mark.system
def test_of_two_drivers_one_is_refused_and_nothing_is_made_twice(whole, copy):
    for _ in range(TWICE):
        (copy / RESULTS / "report/index.html").unlink()
        words = {"cwd": copy, "env": environment(), "text": True}
        both = [
            subprocess.Popen(command(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **words)
            for _ in range(2)
        ]
        said = [driver.communicate()[0] for driver in both]
        assert sorted(driver.returncode for driver in both) == [0, 1], said
        loser = said[both[0].returncode == 0]
        assert "Directory cannot be locked" in loser
        assert "Finished jobid" not in loser
        assert "".join(said).count("(Rule: publish)") == 1
        assert (copy / RESULTS / "report/index.html").exists()
    assert made(copy) == made(whole)
    assert "Nothing to be done" in run(copy).stderr


def test_drivers_start_one_after_the_other(tmp_path):
    """The second waits until the first has started, or has died while it did."""
    code = f"""if True:
        import sys, time
        from sedrepro.pipeline.driver import starting
        handle = starting({str(tmp_path)!r})
        print("in", flush=True)
        sys.stdin.readline()
        handle.close()
        print("out", flush=True)
        time.sleep(60)
    """
    first = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout.readline() == "in\n"
    began = time.monotonic()
    starting(tmp_path, patience=0.3).close()
    assert time.monotonic() - began > 0.25
    first.stdin.write("\n")
    first.stdin.flush()
    assert first.stdout.readline() == "out\n"
    began = time.monotonic()
    with starting(tmp_path, patience=20):
        assert time.monotonic() - began < 10
    first.kill()
    first.communicate()


def job_of(driver: subprocess.Popen, code: str) -> subprocess.Popen:
    """A process that takes another one for its driver, once it says so."""
    watched = {liveness.DRIVER: f"{driver.pid}:{liveness.started(driver.pid)}"}
    job = subprocess.Popen(
        [sys.executable, "-c", "if True:" + code],
        env={**os.environ, **watched},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert job.stdout.readline() == "at work\n"
    return job


@pytest.fixture
def driver():
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


AT_WORK = """
    import sys, time
    from sedrepro.liveness import ending_with_driver
    with ending_with_driver():
        print("at work", flush=True)
        time.sleep({})
    print("done", flush=True)
"""


def test_a_job_ends_with_its_driver_before_a_successor_can_begin(driver):
    job = job_of(driver, AT_WORK.format(60))
    driver.kill()
    driver.wait()
    began = time.monotonic()
    assert job.wait(20) == 143
    assert time.monotonic() - began < 1.5
    assert job.communicate()[0] == ""


def test_a_job_whose_driver_lives_is_left_in_peace(driver):
    job = job_of(driver, AT_WORK.format(1.5))
    assert job.communicate()[0] == "done\n"
    assert job.returncode == 0


def test_a_job_ends_with_the_shell_between_it_and_the_driver(driver):
    shell = """
    import subprocess, sys
    code = "if True:" + '''{}'''
    job = subprocess.Popen([sys.executable, "-c", code])
    job.wait()
    """
    between = job_of(driver, shell.format(AT_WORK.format(60)))
    (job,) = psutil.Process(between.pid).children()
    between.send_signal(signal.SIGKILL)
    between.communicate()
    psutil.wait_procs([job], timeout=20)
    assert not job.is_running() or job.status() == psutil.STATUS_ZOMBIE


def test_worker_processes_end_with_the_extraction_that_started_them(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        """
import time
from sedrepro.features.extract import _mapping

def make():
    return abs

if __name__ == "__main__":
    with _mapping(make, 2) as run:
        print(list(run([-1, -2])), flush=True)
        time.sleep(60)
"""
    )
    job = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    assert job.stdout.readline() == "[1, 2]\n"
    workers = psutil.Process(job.pid).children(recursive=True)
    assert len(workers) >= 2
    job.kill()
    job.communicate()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not [p for p in alive if p.status() != psutil.STATUS_ZOMBIE]
    assert Path(f"/proc/{job.pid}").exists() is False
