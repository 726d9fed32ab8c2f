"""Requests to stop, and what a cluster's time limit makes of one."""

from __future__ import annotations

import os
import signal
import subprocess

import pytest

from sedrepro.training.stopping import TIME_IS_UP, Interrupted, Stop


@pytest.fixture
def scontrol(tmp_path, monkeypatch):
    """A stand-in that notes how it is called."""
    calls = tmp_path / "calls"
    calls.touch()
    (tmp_path / "scontrol").write_text(f'#!/bin/bash\necho "$@" >>"{calls}"\n')
    (tmp_path / "scontrol").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    return calls


@pytest.mark.parametrize(
    ("number", "reason", "called"),
    [
        (TIME_IS_UP, "its time limit", "requeue 17\n"),
        (signal.SIGTERM, "SIGTERM", ""),
        (signal.SIGINT, "SIGINT", ""),
    ],
)
def test_only_the_time_limit_requeues(scontrol, number, reason, called):
    before = signal.getsignal(number)
    with Stop() as stop:
        stop.check("run", "here")
        signal.raise_signal(number)
        with pytest.raises(Interrupted, match=f"run: stopped by {reason} here; start again"):
            stop.check("run", "here")
    assert scontrol.read_text() == called
    assert signal.getsignal(number) is before


def test_without_a_cluster_the_run_just_stops(scontrol, monkeypatch):
    monkeypatch.delenv("SLURM_JOB_ID")
    with Stop() as stop:
        signal.raise_signal(TIME_IS_UP)
        with pytest.raises(Interrupted):
            stop.check("run", "here")
    assert scontrol.read_text() == ""


def test_everything_else_ignores_the_signal():
    """The shell, and Python without a handler: what lies between SLURM and a training run."""
    for command in (
        ["bash", "-c", "kill -s URG $$; echo here"],
        ["python3", "-c", "import os; os.kill(os.getpid(), 23); print('here')"],
    ):
        assert subprocess.run(command, capture_output=True, text=True).stdout == "here\n"
