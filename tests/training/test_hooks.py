"""What a method may hook into beside its steps: a look at the data, a schedule that listens."""

import pytest
import toys

from sedrepro import papers
from sedrepro.settings import Layout, Project
from sedrepro.training.run import train
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

    monkeypatch.setattr(papers, "method_of", lambda paper: Curious)
    train(toys.plan("plateau", **options), Project(device="cpu"), layout)
    return counts


def test_every_training_clip_is_shown_once_a_pass(monkeypatch, layout):
    # 14 clips in batches of 5: an epoch would leave four out.
    assert seen(monkeypatch, layout) == [14, 14]


def test_an_untrained_run_is_shown_what_it_scores(monkeypatch, layout):
    assert seen(monkeypatch, layout, kind="untrained") == [7, 7]


def test_a_cut_rate_holds_from_the_next_update_on(monkeypatch, layout):
    rates = []

    class Falling(toys.Plateau):
        def on_epoch(self, epoch):
            self.factor = 0.5 ** (epoch.index + 1)

    step = Trainer._step

    def noted(self, batch):
        rates.append(self.optimiser.param_groups[0]["lr"])
        step(self, batch)

    monkeypatch.setattr(papers, "method_of", lambda paper: Falling)
    monkeypatch.setattr(Trainer, "_step", noted)
    train(toys.plan("plateau"), Project(device="cpu"), layout)
    assert rates == pytest.approx([0.02 * 0.5**epoch for epoch in range(4) for _ in range(2)])
