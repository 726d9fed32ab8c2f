"""What a method may hook into beside its steps: a look at the data, a schedule that listens."""

from dataclasses import replace
from pathlib import Path

import h5py
import pytest
import torch
import toys

from sedrepro import papers
from sedrepro.errors import SedreproError
from sedrepro.files import read_json, write_json
from sedrepro.networks.weights import load_checkpoint
from sedrepro.settings import Layout, Project
from sedrepro.training.run import train
from sedrepro.training.selection import Judge
from sedrepro.training.trainer import Trainer


@pytest.fixture
def layout(tmp_path) -> Layout:
    made = Layout(str(tmp_path / "data"), str(tmp_path / "results"))
    toys.fabricate(made)
    return made


def seen(monkeypatch, layout, **options) -> list[int]:
    """Clips per pass of the data that a run shows its method before anything else."""
    counts = []

    class Curious(toys.Plateau):
        def prepare(self, clips):
            counts.append(sum(len(inputs["mel"]) for inputs in clips()))
            counts.append(sum(len(inputs["mel"]) for inputs in clips()))

        def losses(self, batch, step):
            assert counts, "the first step came before the look"
            return super().losses(batch, step)

    monkeypatch.setattr(papers, "method_of", lambda paper, method=None: Curious)
    train(toys.plan("plateau", **options), Project(device="cpu"), layout)
    return counts


def test_every_training_clip_is_shown_once_a_pass(monkeypatch, layout):
    # 14 clips in batches of 5: an epoch would leave four out.
    assert seen(monkeypatch, layout) == [14, 14]


def test_an_untrained_run_is_shown_what_it_scores(monkeypatch, layout):
    assert seen(monkeypatch, layout, kind="untrained") == [7, 7]


@pytest.mark.parametrize("full", [True, False])
def test_the_first_update_is_at_the_schedules_rate_or_before_it(full, monkeypatch, layout):
    rates = []

    class Rising(toys.Plateau):
        full_rate_first = full

        def rate(self, step):
            return (step + 1) / 100

    step = Trainer._step

    def noted(self, batch):
        rates.append(self.optimiser.param_groups[0]["lr"])
        step(self, batch)

    monkeypatch.setattr(papers, "method_of", lambda paper, method=None: Rising)
    monkeypatch.setattr(Trainer, "_step", noted)
    train(toys.plan("plateau"), Project(device="cpu"), layout)
    assert rates == pytest.approx(
        [0.02 * (1 if full else 0.01), *(0.0002 * n for n in range(2, 9))]
    )


def test_a_cut_rate_holds_from_the_next_update_on(monkeypatch, layout):
    rates = []

    class Falling(toys.Plateau):
        def on_epoch(self, epoch):
            self.factor = 0.5 ** (epoch.index + 1)

    step = Trainer._step

    def noted(self, batch):
        rates.append(self.optimiser.param_groups[0]["lr"])
        step(self, batch)

    monkeypatch.setattr(papers, "method_of", lambda paper, method=None: Falling)
    monkeypatch.setattr(Trainer, "_step", noted)
    train(toys.plan("plateau"), Project(device="cpu"), layout)
    assert rates == pytest.approx([0.02 * 0.5**epoch for epoch in range(4) for _ in range(2)])


def started(monkeypatch, layout, source, **options):
    """Train `source`, then a run that starts from it; the weights the second began with."""
    began = {}

    class Noted(toys.Toy):
        bands = 8

        def losses(self, batch, step):
            if not began:
                state = self.networks["student"].state_dict()
                began.update({name: value.clone() for name, value in state.items()})
            return toys.Plateau.losses(self, batch, step)

        def select(self, metrics):
            return metrics["validation/student/weak_f1"]

    first = toys.plan("plateau", seed=1)
    first = replace(first, run=replace(first.run, row="first"))
    monkeypatch.setattr(papers, "method_of", lambda paper, method=None: source)
    train(first, Project(device="cpu"), layout)
    second = replace(toys.plan("plateau", seed=2), source=first.run)
    monkeypatch.setattr(papers, "method_of", lambda paper, method=None: Noted)
    train(second, Project(device="cpu"), layout)
    return began, first, second


def test_a_run_starts_from_the_headline_of_another(monkeypatch, layout):
    began, first, second = started(monkeypatch, layout, toys.Plateau)
    saved = load_checkpoint(layout.run(first.run, "checkpoint.pt"))["networks"]["headline"]
    assert began.keys() == saved["student"].keys()
    for name, value in began.items():
        if "running" not in name and "num_batches" not in name:  # these follow the first batch
            torch.testing.assert_close(value, saved["student"][name], rtol=0, atol=0)
    assert read_json(layout.run(second.run, "run.json"))["run"]["source"] == first.run.folder


def test_a_source_that_does_not_fit_is_refused(monkeypatch, layout):
    class Wider(toys.Plateau):
        def build(self):
            return {"student": toys.Net(self.bands, hidden=9)}

    with pytest.raises(SedreproError, match=r"student of plateau/first.* does not fit"):
        started(monkeypatch, layout, Wider)


def test_a_run_cannot_start_from_one_that_was_not_made(monkeypatch, layout):
    first = toys.plan("plateau", seed=1)
    run = replace(first.run, row="first")
    path = layout.run(run, "run.json")
    content = {"checkpoint.pt": "none"}
    reason = "none of its clips"
    write_json(path, {"key": "x", "content": content, "status": "not_run", "reason": reason})
    train(replace(toys.plan("plateau"), source=run), Project(device="cpu"), layout)
    described = read_json(layout.run(toys.plan("plateau").run, "run.json"))
    assert described["status"] == "not_run"
    assert described["reason"] == f"{run}, which it starts from: none of its clips"


def test_best_on_test_stands_beside_the_best_on_validation(monkeypatch, layout):
    """Each epoch's test score is known here: the fourth epoch is the best there, not before."""
    told = {"select": [0.9, 0.5, 0.4, 0.3], "validation": [0.1, 0.2, 0.7, 0.6]}
    epochs = {name: iter(values) for name, values in told.items()}
    monkeypatch.setattr(
        Judge, "__call__", lambda self, scores: {"intersection_f1": next(epochs[self.name])}
    )
    monkeypatch.setattr(papers, "method_of", lambda paper, method=None: toys.Pairs)
    kept = {"epochs": 4, "learning_rate": 0.02, "keep": ["best", "best_test", "last"]}
    plan = toys.plan("pairs", training=kept)

    class Named(Judge):
        def __init__(self, eval_set, *args):
            super().__init__(eval_set, *args)
            self.name = eval_set.spec.name

    monkeypatch.setattr("sedrepro.training.trainer.Judge", Named)
    states = []
    end = Trainer._end_epoch

    def noted(self, seconds):
        end(self, seconds)
        states.append(self.networks())

    monkeypatch.setattr(Trainer, "_end_epoch", noted)
    train(plan, Project(device="cpu"), layout)
    saved = load_checkpoint(layout.run(plan.run, "checkpoint.pt"))["networks"]
    for name, epoch in (("headline", 0), ("best_test", 2), ("last", 3)):
        expected = states[epoch]["student"]["head.weight"]
        torch.testing.assert_close(saved[name]["student"]["head.weight"], expected)
    with h5py.File(layout.run(plan.run, "scores.h5")) as file:
        assert {"student", "student@best_test", "student@last"} <= set(file["validation"])


def test_a_run_cannot_start_from_one_whose_record_is_damaged(layout):
    first = toys.plan("plateau", seed=1)
    run = replace(first.run, row="first")
    path = Path(layout.run(run, "run.json"))
    path.parent.mkdir(parents=True)
    path.write_text('{"key": "x"')
    with pytest.raises(SedreproError, match=r"run\.json: cannot be read .*; delete it and start"):
        train(replace(toys.plan("plateau"), source=run), Project(device="cpu"), layout)
