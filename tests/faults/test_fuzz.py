"""Foreign bytes do no harm: see fuzz.py and checkpoints.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROUNDS = 25


def test_damaged_and_hostile_files_are_refused_in_one_line(tmp_path, record_property):
    folder = tmp_path / "fuzz"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", Path(__file__).with_name("fuzz.py"), folder, str(ROUNDS)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    last = folder / "last"
    assert done.returncode == 0, f"{done.stderr[-2000:]} at {last.read_text()}"
    found = json.loads(done.stdout.splitlines()[-1])
    inputs = sum(count["inputs"] for count in found["counts"].values())
    refused = sum(count["refused"] for count in found["counts"].values())
    doors = ", ".join(f"{name} {count['inputs']}" for name, count in found["counts"].items())
    record_property(
        "counted",
        f"{inputs} inputs ({doors}), {refused} refused, {found['peak_mb']} MB at most",
    )
    assert found["problems"] == []
    assert inputs >= 500
    # What a door never refuses it does not check; a damaged .npz of resamples just holds none.
    assert all(count["refused"] for name, count in found["counts"].items() if name != "a.npz")
    assert not Path("/tmp/sedrepro-fuzz-out").exists()


def test_checkpoints_execute_nothing_and_take_little_memory(tmp_path, record_property):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", Path(__file__).with_name("checkpoints.py"), tmp_path],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    counts, real = found["counts"], found["executed by Python"]
    groups = (f"{c['inputs']} {name} ({c['refused']} refused)" for name, c in counts.items())
    name, megabytes = found["most"]
    record_property(
        "counted",
        f"{', '.join(groups)}, {len(real)} of the calls are executed by Python's own pickle; "
        f"{megabytes} MB at most ({name})",
    )
    assert found["problems"] == []
    assert counts["greedy"]["refused"] == counts["greedy"]["inputs"] >= 100
    assert counts["calls"]["inputs"] >= 100
    # They are no empty threat.
    assert {"REDUCE", "STACK_GLOBAL", "INST", "OBJ", "BUILD with __setstate__", "eval"} <= {*real}
