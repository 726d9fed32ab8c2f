"""Another view of a spectrum: gains within their limits, silence in input and targets alike."""

import numpy as np
import pytest
import torch

from sedrepro.objectives.colouring import View, _curve, draw


def view(**options) -> View:
    options = {"decibels": (-6.0, 6.0), "knots": (3, 5), "masked": (0.05, 0.2)} | options
    return draw(40, 64, 50, device=torch.device("cpu"), **options)


def test_gains_are_lines_in_decibels_between_random_bands():
    torch.manual_seed(0)
    gain = 20 * view().gain.squeeze(2).log10()
    assert gain.shape == (40, 64)
    assert gain.abs().max() <= 6 + 1e-4
    assert gain.std(0).min() > 1
    bends = (gain.diff(n=2, dim=1).abs() > 1e-3).sum(1)
    # A bend between two bands shows at both of them; 3 to 5 intervals have 2 to 4 bends.
    assert bends.max() <= 8
    assert bends.min() >= 1
    five = 20 * view(knots=(5, 5)).gain.squeeze(2).log10()
    assert (five.diff(n=2, dim=1).abs() > 1e-3).sum(1).max() > 6  # so four bends, not three


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mels", [64, 8])
def test_a_curve_is_the_line_through_its_knots(mels, seed):
    torch.manual_seed(seed)
    curve = _curve(mels, (-6.0, 2.0), (3, 5), torch.device("cpu"))
    torch.manual_seed(seed)  # the same draws: how many lines, where they meet, how loud
    lines = int(torch.randint(3, 6, ()))
    last = mels - 1
    bands = [0.0, *sorted((torch.rand(lines - 1) * last).tolist()), last]
    levels = (-6.0 + 8.0 * torch.rand(lines + 1)).tolist()
    assert curve.numpy() == pytest.approx(np.interp(np.arange(mels), bands, levels), abs=1e-4)


def test_silence_lasts_its_share_and_is_in_one_piece():
    torch.manual_seed(0)
    silent = ~view().sound
    lengths = silent.sum(1)
    assert lengths.min() >= 2
    assert lengths.max() <= 10
    assert (silent.int().diff(dim=1).clamp(min=0).sum(1) + silent[:, 0].int()).max() == 1
    assert len(lengths.unique()) > 3


def test_input_and_targets_fall_silent_together():
    torch.manual_seed(0)
    seen = view()
    mel, labels = torch.rand(40, 64, 103) + 0.1, torch.ones(40, 50, 3)
    shown, masked = seen.inputs(mel, 2), seen.frames(labels)
    for t in range(50):
        heard = (shown[:, :, 2 * t : 2 * t + 2] > 0).all((1, 2))
        assert torch.equal(heard, masked[:, t, 0] == 1)
    torch.testing.assert_close(shown[..., 100:], mel[..., 100:] * seen.gain)


@pytest.mark.parametrize("seed", range(3))
def test_silence_is_where_the_draws_say(seed):
    torch.manual_seed(seed)
    seen = draw(
        30,
        4,
        50,
        decibels=(0.0, 0.0),
        knots=(1, 1),
        masked=(0.1, 0.5),
        device=torch.device("cpu"),
    )
    torch.manual_seed(seed)  # the same draws: 30 curves of one line, then lengths and starts
    for _ in range(30):
        torch.randint(1, 2, ()), torch.rand(0), torch.rand(2)
    lengths, starts = torch.rand(30), torch.rand(30)
    for clip in range(30):
        length = int((0.1 + 0.4 * lengths[clip]) * 50)
        first = int(starts[clip] * (50 - length + 1))
        assert seen.sound[clip].tolist() == [not first <= t < first + length for t in range(50)]
    assert torch.equal(seen.gain, torch.ones(30, 4, 1))


def test_gains_are_in_decibels_of_magnitudes():
    seen = view(decibels=(20.0, 20.0))
    torch.testing.assert_close(seen.gain, torch.full((40, 64, 1), 10.0))
