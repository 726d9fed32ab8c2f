"""The plateau schedule against torch's own."""

import numpy as np
import pytest
import torch

from sedrepro.objectives.plateau import Plateau


def torchs(scores, **options):
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, mode="max", **options)
    for score in scores:
        scheduler.step(score)
        yield optimiser.param_groups[0]["lr"]


@pytest.mark.parametrize("seed", range(4))
def test_follows_torch(seed):
    scores = np.round(np.random.default_rng(seed).random(60), 2).tolist()
    ours = Plateau(patience=3, decay=0.1, threshold=1e-4)
    for score, rate in zip(scores, torchs(scores, patience=3), strict=True):
        ours.see(score)
        # torch leaves out cuts of less than 1e-8.
        assert ours.factor == pytest.approx(rate, rel=1e-9, abs=2e-8)


def test_cut_comes_after_the_fourth_epoch_without_a_real_rise():
    plateau = Plateau(patience=3, decay=0.1, threshold=1e-4)
    plateau.see(0.5)
    for _ in range(3):
        plateau.see(0.50004)  # less than 0.01 % above the best
        assert plateau.factor == 1
    plateau.see(0.5)
    assert plateau.factor == pytest.approx(0.1)
    plateau.see(0.50006)
    assert (plateau.best, plateau.waited) == (0.50006, 0)


def test_state_goes_on_where_it_was():
    first = Plateau(patience=2, decay=0.5, threshold=0.0)
    for score in (0.3, 0.2, 0.1):
        first.see(score)
    second = Plateau(patience=2, decay=0.5, threshold=0.0)
    second.load(first.state())
    for score in (0.1, 0.4, 0.1):
        first.see(score)
        second.see(score)
        assert first == second


def test_a_rise_must_exceed_the_share_and_an_undefined_score_is_none():
    plateau = Plateau(patience=1, decay=0.5, threshold=0.5)
    plateau.see(float("nan"))
    assert (plateau.factor, plateau.waited) == (1, 1)
    plateau.see(1.0)
    plateau.see(1.5)  # exactly the share above the best
    assert (plateau.best, plateau.waited) == (1.0, 1)
    plateau.see(1.625)
    assert (plateau.best, plateau.waited) == (1.625, 0)
