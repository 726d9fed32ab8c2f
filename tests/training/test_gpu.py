"""The same trainer on a GPU; skipped where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import toys

from sedrepro import papers
from sedrepro.errors import SedreproError
from sedrepro.files import read_json
from sedrepro.inference.devices import choose
from sedrepro.settings import Layout, Project
from sedrepro.training import stopping
from sedrepro.training.run import train
from sedrepro.training.trainer import Trainer

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")


@pytest.fixture
def layout(tmp_path, monkeypatch) -> Layout:
    monkeypatch.setattr(papers, "method_of", lambda paper, method=None: toys.TOYS[paper][1])
    made = Layout(str(tmp_path / "data"), str(tmp_path / "results"))
    toys.fabricate(made)
    return made


@needs_gpu
@pytest.mark.parametrize("toy", toys.TOYS)
@pytest.mark.parametrize("resident", [0.0, 1.0])
def test_runs_in_mixed_precision(toy, resident, layout):
    train(toys.plan(toy), Project(device_store_gb=resident), layout, gpus=1)
    run = read_json(layout.run(toys.plan(toy).run, "run.json"))
    assert run["status"] == "done"
    assert run["hardware"]["gpu"]
    assert run["cost"]["peak_gpu_memory_mb"] > 0


@needs_gpu
def test_deterministic_runs_resume_to_the_bit(layout, tmp_path, monkeypatch):
    project, plan = Project(deterministic=True), toys.plan("spectra")
    train(plan, project, layout, gpus=1)
    other = Layout(layout.data, str(tmp_path / "interrupted"))
    step = Trainer._step

    def interrupted(self, batch):
        step(self, batch)
        if self.step == 3:
            self.stop.reason = "the test"

    monkeypatch.setattr(Trainer, "_step", interrupted)
    with pytest.raises(stopping.Interrupted):
        train(plan, project, other, gpus=1)
    monkeypatch.setattr(Trainer, "_step", step)
    train(plan, project, other, gpus=1)
    histories = [Path(lay.run(plan.run, "history.csv")).read_bytes() for lay in (layout, other)]
    assert histories[0] == histories[1]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_job_that_asked_for_a_gpu_and_finds_none_says_so():
    with pytest.raises(
        SedreproError, match=r"no working CUDA: torch .* is built for CUDA .*driver is"
    ):
        choose("auto", 1)
    assert choose("cpu", 1).type == "cpu"
    assert choose("auto", 0).type == "cpu"
