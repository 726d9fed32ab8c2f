"""A disk that is full, or read-only: one clear line, nothing lost, and it goes on from there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from sedrepro import audio
from sedrepro.errors import SedreproError
from sedrepro.files import open_atomic, read_json, write_text
from sedrepro.metrics.resamples import Draws, Resamples
from sedrepro.networks.weights import load_checkpoint
from sedrepro.pipeline.job import job
from sedrepro.reporting.figures import style
from sedrepro.settings.tasks import Task
from sedrepro.store import Store, writing

from .conftest import (
    FEATURES,
    RESULTS,
    ROWS,
    ReadOnly,
    SmallDisk,
    leftovers,
    made,
    run,
    run_folder,
)

FULL = "the disk is full; make room and start again"
NOISE = np.random.default_rng(1).normal(size=(400, 400)).astype("float32")  # 640 kB


# --- every kind of file --------------------------------------------------------------------------


def text(path: Path, part: int) -> None:
    write_text(path, "a line of a table\n" * (40_000 // part))


def store(path: Path, part: int) -> None:
    with writing(path, shape=(400,), dtype="float32", attributes={}) as file:
        for index, value in enumerate(NOISE[: 400 // part]):
            file.add(f"clip{index}", 1.0, value)


def checkpoint(path: Path, part: int) -> None:
    with open_atomic(path) as disk:
        torch.save({"weights": torch.from_numpy(NOISE[: 400 // part].copy())}, disk)


def resamples(path: Path, part: int) -> None:
    rows = {("set", "student", "f1", "ours", str(n)): NOISE[n] for n in range(400 // part)}
    Draws(rows, {"set": "key"}, {"set": 9}).write(path)


def sound(path: Path, part: int) -> None:
    audio.write(path, NOISE.ravel().repeat(3)[: 480_000 // part], 16000)


def figure(path: Path, part: int) -> None:
    drawn = style.figure(8 if part == 1 else 1, 8 if part == 1 else 1)
    drawn.add_subplot().imshow(NOISE)
    style.save(drawn, path, path.with_suffix(".svg"))


READ = {
    text: Path.read_text,
    store: lambda path: Store(path).verify(),
    checkpoint: load_checkpoint,
    resamples: Resamples,
    sound: lambda path: audio.read(path, 16000),
    figure: Path.read_bytes,
}


@pytest.mark.parametrize("write", READ, ids=lambda write: write.__name__)
def test_what_was_there_stays_and_what_comes_is_whole(write, tmp_path, mounted):
    disk = mounted(SmallDisk, tmp_path / "disk", 300)
    path = tmp_path / "disk" / "file"
    write(path, 20)
    before = path.read_bytes()
    with pytest.raises(SedreproError, match=FULL) as error:
        write(path, 1)
    assert str(error.value).startswith(f"{path}")
    assert "\n" not in str(error.value)
    assert path.read_bytes() == before
    assert {p.name for p in path.parent.iterdir()} <= {"file", "file.svg"}
    READ[write](path)
    disk.grow()
    write(path, 1)
    READ[write](path)
    assert path.stat().st_size > len(before)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
@pytest.mark.parametrize("wrong", [SedreproError("x: is wrong"), OSError(28, "No space left")])
def test_a_job_says_its_error_even_where_it_cannot_log_it(wrong, root, capsys):
    task = Task(given={"folders": ["data", "results"]})
    script = SimpleNamespace(log=["/dev/full"], params=SimpleNamespace(task=task.describe()))

    def work() -> None:
        with job(script, Task):
            print("something for the log\n" * 10_000)
            raise wrong

    with pytest.raises(SystemExit, match="1"):
        work()
    expected = str(wrong) if isinstance(wrong, SedreproError) else f"/dev: {FULL}"
    assert capsys.readouterr().err == f"error: {expected}\n"


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path):
    path = tmp_path / "a[1].h5"
    script = f"""
        import os, signal
        from sedrepro.files import atomic
        with atomic({str(path)!r}) as temporary:
            temporary.write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", "if True:" + script])
    assert done.returncode == -9
    (left,) = tmp_path.iterdir()
    living = tmp_path / f".{path.name}.{os.getppid()}.tmp"  # another writer's, at work
    other = tmp_path / ".a2.h5.1.tmp"
    for file in (living, other):
        file.touch()
    write_text(path, "whole")
    assert not left.exists()
    assert {*tmp_path.iterdir()} == {path, living, other}


# --- the workflow --------------------------------------------------------------------------------


def assert_says_so(done) -> None:
    """It failed, and what was said of it is the one line."""
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    lines = [line.strip() for line in said.splitlines() if FULL in line]
    assert lines, said
    assert all(line.startswith("error: ") for line in lines), lines
    assert "Traceback" not in said


@pytest.mark.system
def test_full_while_features_are_extracted(whole, copy, mounted):
    shutil.rmtree(copy / FEATURES)
    stores = [FEATURES / path.name for path in sorted((whole / FEATURES).glob("*.h5"))]
    disk = mounted(SmallDisk, copy / FEATURES, 260)  # room for two of six
    assert_says_so(run(copy, *stores, check=False))
    there = {path: path.stat().st_mtime_ns for path in (copy / FEATURES).glob("*.h5")}
    assert 0 < len(there) < len(stores)
    for path in there:
        Store(path).verify()
    disk.grow()
    run(copy, *stores)
    for path in stores:
        assert Store(copy / path).content_key == Store(whole / path).content_key
    for path, time in there.items():
        assert path.stat().st_mtime_ns == time
    assert leftovers(copy) == []


@pytest.mark.system
@pytest.mark.parametrize(
    ("room", "epochs"), [(48, 0), (120, 1)], ids=["before any checkpoint", "after one"]
)
def test_full_while_a_run_is_trained(whole, copy, mounted, room, epochs):
    """What room there is decides how far it comes; from there it goes on."""
    folder = run_folder("mt")
    shutil.rmtree(copy / folder)
    disk = mounted(SmallDisk, copy / folder, room)
    assert_says_so(run(copy, folder / "run.json", check=False))
    assert {p.name for p in (copy / folder).iterdir()} == {".state"}
    checkpoint = copy / folder / ".state/resume.pt"
    assert (load_checkpoint(checkpoint)["epoch"] if checkpoint.exists() else 0) == epochs
    disk.grow()
    run(copy, folder / "run.json")
    history, expected = (top / folder / "history.csv" for top in (copy, whole))
    assert history.read_bytes() == expected.read_bytes()
    ours, expected = (h5py.File(top / folder / "scores.h5") for top in (copy, whole))
    for name in ("frame", "clip"):
        place = f"validation/teacher/{name}"
        np.testing.assert_array_equal(ours[place][:], expected[place][:])
    assert read_json(copy / folder / "run.json")["cost"]["starts"] == (2 if epochs else 1)
    assert leftovers(copy) == []


@pytest.mark.system
def test_full_while_results_are_reported(whole, copy, mounted):
    """All of the results lie on the disk that is full, the jobs' logs too."""
    for part in ("tables", "figures", "report"):
        shutil.rmtree(copy / RESULTS / part)
    results = (copy / RESULTS).rename(copy / "results/before")
    disk = mounted(SmallDisk, copy / RESULTS, 1000)
    subprocess.run(["cp", "-a", f"{results}/.", str(copy / RESULTS)], check=True)
    assert_says_so(run(copy, check=False))
    assert not (copy / RESULTS / "report/index.html").exists()
    disk.grow()
    run(copy)
    assert made(copy) == made(whole)
    figures = RESULTS / "figures/lgc_sed"
    for path in sorted((whole / figures).iterdir()):
        assert (copy / figures / path.name).read_bytes() == path.read_bytes()
    assert (copy / RESULTS / "report/index.html").stat().st_size > 500_000
    assert leftovers(copy) == []


@pytest.mark.system
def test_finished_data_may_be_read_only(whole, copy, mounted):
    """Training, evaluation and reporting only read it."""
    shutil.rmtree(copy / RESULTS)
    mounted(ReadOnly, copy / "data")
    with pytest.raises(OSError, match="Read-only"):
        (copy / "data/new").touch()
    run(copy)
    assert made(copy) == made(whole)
    for row in ROWS:
        assert read_json(copy / run_folder(row) / "run.json")["status"] == "done"
