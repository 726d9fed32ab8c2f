"""The trainer on five toy papers: every run finishes, learns, resumes and repeats to the bit."""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import pytest
import torch
import toys

from sedrepro import liveness, papers, progress, tables
from sedrepro.errors import SedreproError
from sedrepro.files import read_json
from sedrepro.inference.networks import load_networks
from sedrepro.inference.predict import Predictor
from sedrepro.networks.weights import load_checkpoint
from sedrepro.pipeline.job import job
from sedrepro.settings import Layout, Project
from sedrepro.settings.tasks import Task
from sedrepro.training import scoring, stopping
from sedrepro.training.run import forget, train
from sedrepro.training.state import OUTPUTS, State
from sedrepro.training.trainer import Trainer

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _toy_papers(monkeypatch):
    monkeypatch.setattr(papers, "method_of", lambda paper, method=None: toys.TOYS[paper][1])


@pytest.fixture
def layout(tmp_path) -> Layout:
    made = Layout(str(tmp_path / "data"), str(tmp_path / "results"))
    toys.fabricate(made)
    return made


PROJECT = Project(gpu=0)


def go(plan, layout, project=PROJECT) -> Path:
    train(plan, project, layout)
    return Path(layout.run(plan.run))


@pytest.mark.parametrize("toy", toys.TOYS)
def test_a_run_folder_is_whole(toy, layout):
    folder = go(toys.plan(toy), layout)
    assert {p.name for p in folder.iterdir()} == {*OUTPUTS, ".state"}
    run = read_json(folder / "run.json")
    assert run["status"] == "done"
    assert run["steps"] > 0
    history = (folder / "history.csv").read_text().splitlines()
    assert len(history) == 1 + 4
    with h5py.File(folder / "scores.h5") as scores:
        models = json.loads(scores.attrs["models"])
        assert {m.removesuffix("@last") for m in models} == set(_models(toy))
        assert scores["validation/student/frame"].shape == (7, toys.FRAMES, 3)
        assert [c.decode() for c in scores["validation/clips"]] == [
            f"validation{i}" for i in range(7)
        ]
    with h5py.File(folder / "examples.h5") as examples:
        assert set(json.loads(examples.attrs["order"])) == set(examples)
        assert len(examples) == 7  # all the clips there are


def _models(toy: str) -> list[str]:
    return ["student", "teacher"] if toy == "spectra" else ["student"]


@pytest.mark.parametrize("toy", toys.TOYS)
def test_stopped_anywhere_it_ends_with_the_same_history_and_scores(
    toy, layout, tmp_path, monkeypatch
):
    whole = go(toys.plan(toy), layout)
    other = Layout(layout.data, str(tmp_path / "interrupted"))
    step, stops = Trainer._step, {2, 5, 7}

    def interrupted(self, batch):
        step(self, batch)
        if self.step in stops:
            stops.discard(self.step)
            self.stop.reason = "the test"

    monkeypatch.setattr(Trainer, "_step", interrupted)
    for _ in range(3):
        with pytest.raises(stopping.Interrupted, match="start again to go on"):
            go(toys.plan(toy), other)
    resumed = go(toys.plan(toy), other)
    assert (resumed / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()
    assert _arrays(resumed / "scores.h5") == _arrays(whole / "scores.h5")
    assert read_json(resumed / "run.json")["cost"]["starts"] == 4


def test_a_disk_that_is_full_at_the_very_end_costs_no_epoch(layout, tmp_path, monkeypatch):
    plan = toys.plan("spectra")
    whole = go(plan, layout)
    other = Layout(layout.data, str(tmp_path / "interrupted"))
    home = Path(other.run(plan.run)) / ".state"

    def full(path, *_):
        assert (path.parent / "scores.h5").exists()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(scoring, "write_examples", full)
        with pytest.raises(OSError, match="No space"):
            go(plan, other)
    assert {path.name for path in home.iterdir()} == {"key", "lock", "history.csv", "resume.pt"}
    steps = []
    monkeypatch.setattr(Trainer, "_step", lambda *_: steps.append(1))
    resumed = go(plan, other)
    assert steps == []
    assert (resumed / "history.csv").read_bytes() == (whole / "history.csv").read_bytes()
    assert _arrays(resumed / "scores.h5") == _arrays(whole / "scores.h5")


def _arrays(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    with h5py.File(path) as file:
        file.visititems(
            lambda name, item: (
                found.update({name: repr(item[()].tolist())})
                if isinstance(item, h5py.Dataset)
                else None
            )
        )
    return found


def test_each_epoch_is_told_in_the_log_and_in_a_live_history(layout, tmp_path, monkeypatch):
    plan, log = toys.plan("spectra"), tmp_path / "logs" / "train" / "toy.log"
    state, seen = State(Path(layout.run(plan.run))), []
    step = Trainer._step

    def watched(self, batch):
        step(self, batch)
        if self.epoch == 3:
            seen.append(list(csv.DictReader(state.history.open())))

    monkeypatch.setattr(Trainer, "_step", watched)
    task = Task(given={"folders": [layout.data, layout.results]}).describe()
    with job(SimpleNamespace(log=[str(log)], params=SimpleNamespace(task=task)), Task):
        go(plan, layout)
    live = seen[0]
    assert [row["epoch"] for row in live] == ["0", "1", "2"]
    assert {"loss/total", "select", "rate", "seconds", "seconds_left"} <= set(live[0])
    assert float(live[-1]["seconds_left"]) >= 0
    assert not state.history.exists()  # the whole one lies in the run folder now
    lines = [line for line in log.read_text().splitlines() if line.startswith("epoch ")]
    pattern = r"epoch 3 of 4: loss \d+\.\d{4}, selection .+, best .+ of epoch \d, rate .+ s, about"
    assert len(lines) == 4
    assert re.match(pattern, lines[2])
    record = progress.read(log)
    assert (record["job"], record["ended"]) == ("train toy", True)


def test_training_learns(layout):
    plan = toys.plan("spectra", training={"epochs": 40, "learning_rate": 0.02, "score_batch": 5})
    run = read_json(go(plan, layout) / "run.json")
    untrained = toys.plan("spectra", kind="untrained")
    bare = read_json(go(untrained, Layout(layout.data, layout.results + "2")) / "run.json")
    assert run["selected"]["value"] > 0.5
    assert bare["selected"] is None
    found = {}
    for folder in (layout.results, layout.results + "2"):
        path = Layout(layout.data, folder).run(plan.run, "scores.h5")
        found[folder] = told_apart(path, layout)
    assert found[layout.results] > 0.9
    assert found[layout.results + "2"] < 0.75


def told_apart(path: str, layout: Layout) -> float:
    """How often a clip with a class has a higher score than one without it."""
    events = tables.read_events(layout.table(toys.desed("validation"), "events"))
    with h5py.File(path) as file:
        clips = [name.decode() for name in file["validation/clips"]]
        scores = torch.tensor(file["validation/student/clip"][:])
    truth = torch.tensor(tables.clip_targets(events, clips, toys.CLASSES)) > 0.5
    pairs = [
        (a > b).item()
        for k in range(len(toys.CLASSES))
        for a in scores[truth[:, k], k]
        for b in scores[~truth[:, k], k]
    ]
    return sum(pairs) / len(pairs)


def test_finished_work_is_republished_not_repeated(layout, monkeypatch):
    plan = toys.plan("spectra")
    folder = go(plan, layout)
    before = (folder / "history.csv").read_bytes()
    for name in OUTPUTS:
        (folder / name).unlink()
    monkeypatch.setattr(Trainer, "run", lambda self: pytest.fail("trained again"))
    go(plan, layout)
    assert (folder / "history.csv").read_bytes() == before


def test_another_key_trains_anew(layout):
    folder = go(toys.plan("spectra"), layout)
    before = read_json(folder / "run.json")["key"]
    go(toys.plan("spectra", training={"epochs": 2, "score_batch": 5}), layout)
    assert read_json(folder / "run.json")["key"] != before
    assert len((folder / "history.csv").read_text().splitlines()) == 3


def test_changed_data_changes_the_key(layout):
    folder = go(toys.plan("waveform"), layout)
    before = read_json(folder / "run.json")["key"]
    toys.fabricate(layout, seed=1)
    go(toys.plan("waveform"), layout)
    assert read_json(folder / "run.json")["key"] != before


def test_forget_drops_what_a_run_keeps(layout):
    folder = go(toys.plan("waveform"), layout)
    forget(folder)
    assert not (folder / "run.json").exists()
    assert not (folder / ".state" / "finished").exists()


def test_a_loss_that_is_not_finite_names_run_epoch_and_batch(layout):
    with pytest.raises(
        SedreproError, match=r"spectra/row/desed/seed3: the loss is nan at epoch 3, batch 0"
    ):
        go(toys.plan("spectra", broken=True), layout)


def test_missing_labelled_data_is_not_run(layout):
    toys.fabricate(layout, without=("synth_train",))
    folder = go(toys.plan("spectra"), layout)
    run = read_json(folder / "run.json")
    assert run["status"] == "not_run"
    assert run["reason"] == "desed synth_train: none of 14 clips (not to be had)"


def test_missing_unlabelled_data_is_tolerated(layout):
    toys.fabricate(layout, without=("unlabelled",))
    folder = go(toys.plan("spectra"), layout)
    run = read_json(folder / "run.json")
    assert run["status"] == "done"
    assert run["data"]["desed/unlabelled.mel"]["found"] == 0


def test_streaming_and_resident_data_give_the_same_run(layout, tmp_path):
    resident = go(toys.plan("groups"), layout)
    streaming = Project(gpu=0, device_store_gb=0)
    other = Layout(layout.data, str(tmp_path / "streaming"))
    assert (resident / "history.csv").read_bytes() == (
        go(toys.plan("groups"), other, streaming) / "history.csv"
    ).read_bytes()


def test_a_checkpoint_of_another_paper_is_refused(layout):
    folder = go(toys.plan("pairs"), layout)
    plan = toys.plan("waveform")
    method = toys.Waveform(plan, steps_per_epoch=1, device=torch.device("cpu"), amp=False)
    states = load_checkpoint(folder / "checkpoint.pt")["networks"]["headline"]
    with pytest.raises(SedreproError, match="does not fit waveform/row"):
        load_networks(method, states, "x.pt")
    with pytest.raises(SedreproError, match=r"not the network 'student' of waveform"):
        load_networks(method, {"other": {}}, "x.pt")


def test_a_checkpoint_that_would_execute_something_does_not(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path}/executed",)

    torch.save({"networks": Evil()}, tmp_path / "checkpoint.pt")
    with pytest.raises(SedreproError, match="not a run of this version"):
        Predictor(tmp_path)
    assert not (tmp_path / "executed").exists()


JOB = """
import os, sys, time
sys.path[:0] = [{tests!r}]
import toys
from pathlib import Path
from sedrepro import papers
from sedrepro.settings import Layout, Project
from sedrepro.training.run import train
from sedrepro.training.trainer import Trainer
papers.method_of = lambda paper, method=None: toys.TOYS[paper][1]
step = Trainer._step
def slow(self, batch):
    step(self, batch)
    Path({mark!r}).touch()
    time.sleep({pause})
Trainer._step = slow
plan = toys.plan("spectra", training={{"epochs": 6, "score_batch": 5}})
train(plan, Project(gpu=0), Layout({data!r}, {results!r}))
"""


def start(layout, mark: Path, pause: float, env=None) -> subprocess.Popen:
    mark.unlink(missing_ok=True)
    script = JOB.format(
        tests=str(Path(__file__).parent),
        mark=str(mark),
        pause=pause,
        data=layout.data,
        results=layout.results,
    )
    return subprocess.Popen(
        [sys.executable, "-c", script], env={**os.environ, **(env or {})}, stderr=subprocess.PIPE
    )


def wait_for(mark: Path, job: subprocess.Popen) -> None:
    import time

    deadline = time.monotonic() + 60
    while not mark.exists():
        assert job.poll() is None, job.stderr.read().decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_killed_and_started_again_it_ends_with_the_same_history(layout, tmp_path):
    plan = toys.plan("spectra", training={"epochs": 6, "score_batch": 5})
    whole = (go(plan, Layout(layout.data, str(tmp_path / "whole"))) / "history.csv").read_bytes()
    mark = tmp_path / "mark"
    for number in (signal.SIGKILL, signal.SIGTERM):
        job = start(layout, mark, 0.2)
        wait_for(mark, job)
        job.send_signal(number)
        assert job.wait(60) != 0
    assert (go(plan, layout) / "history.csv").read_bytes() == whole


def test_a_job_ends_when_its_driver_dies_and_the_successor_goes_on(layout, tmp_path):
    driver = subprocess.Popen(["sleep", "1000"])
    mark = tmp_path / "mark"
    watched = {liveness.DRIVER: f"{driver.pid}:{liveness.started(driver.pid)}"}
    job = start(layout, mark, 0.2, watched)
    wait_for(mark, job)
    driver.kill()
    driver.wait()
    # The successor waits for the orphan's lock, then takes up what it left.
    plan = toys.plan("spectra", training={"epochs": 6, "score_batch": 5})
    folder = go(plan, layout)
    assert job.wait(60) != 0
    assert "the end of its driver" in job.stderr.read().decode()
    assert read_json(folder / "run.json")["status"] == "done"


def test_two_writers_are_refused(tmp_path):
    lock = tmp_path / "run" / ".state" / "lock"
    refused = pytest.raises(SedreproError, match=r"is training this run")
    with stopping.exclusive(lock), refused, stopping.exclusive(lock, patience=0):
        pass
