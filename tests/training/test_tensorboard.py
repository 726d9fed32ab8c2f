"""TensorBoard's events: what the history has, epoch by epoch; without the package a clear line."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from types import ModuleType

import pytest
import toys

from sedrepro import papers
from sedrepro.errors import SedreproError
from sedrepro.settings import Layout, Project
from sedrepro.training import run as training
from sedrepro.training.tensorboard import TensorBoard

PROJECT = Project.model_validate({"gpu": 0, "report": {"tensorboard": True}})


class SummaryWriter:
    """In TensorBoard's place."""

    written: list[tuple[str, float, int]]

    def __init__(self, folder: str, purge_step: int) -> None:
        Path(folder).mkdir(parents=True)
        (Path(folder) / "events").write_text(str(purge_step))

    def add_scalar(self, name: str, value: float, epoch: int) -> None:
        self.written.append((name, value, epoch))

    def flush(self) -> None:
        pass


@pytest.fixture
def written(monkeypatch) -> list:
    module = ModuleType("torch.utils.tensorboard")
    SummaryWriter.written = []
    module.SummaryWriter = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    return SummaryWriter.written


def test_every_number_of_the_history_is_an_event(tmp_path, written, monkeypatch):
    monkeypatch.setattr(papers, "method_of", lambda paper, method=None: toys.TOYS[paper][1])
    layout = Layout(str(tmp_path / "data"), str(tmp_path / "results"))
    toys.fabricate(layout)
    plan = toys.plan("spectra")
    training.train(plan, PROJECT, layout)
    with open(layout.run(plan.run, "history.csv"), newline="") as handle:
        rows = list(csv.DictReader(handle))
    numbers = {
        (name, float(value), int(row["epoch"]))
        for row in rows
        for name, value in row.items()
        if value and name != "epoch"
    }
    told = {(name, epoch): value for name, value, epoch in written if name != "seconds"}
    assert told == {(name, epoch): pytest.approx(value) for name, value, epoch in numbers}
    assert sum(name == "seconds" for name, _, _ in written) == len(rows)
    assert (Path(layout.results, "tensorboard", plan.run.folder) / "events").is_file()


def test_a_run_that_goes_on_hides_what_it_does_again(tmp_path, written):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "older").touch()
    TensorBoard(tmp_path / "here")({"epoch": 0, "loss": 1.0})
    assert [path.name for path in (tmp_path / "here").iterdir()] == ["events"]
    TensorBoard(tmp_path / "there")({"epoch": 3, "loss": 0.5, "note": "text"})
    assert (tmp_path / "there" / "events").read_text() == "3"
    assert written == [("loss", 1.0, 0), ("loss", 0.5, 3)]


def test_without_the_package_a_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(SedreproError, match="pip install tensorboard"):
        TensorBoard(tmp_path)
