"""Mixup: what is mixed with what, and how often."""

import pytest
import torch

from sedrepro.objectives import mixup

PARTS = [slice(0, 4), slice(4, 9)]
CPU = torch.device("cpu")


def draws(count: int, **options):
    options = {"alpha": 0.2, "probability": 1.0, "device": CPU} | options
    return [mixup.draw(12, PARTS, **options) for _ in range(count)]


def test_values_are_mixed_as_a_loop_would():
    torch.manual_seed(0)
    mixing = draws(1)[0]
    for shape in [(12, 3, 5), (12, 4)]:
        values = torch.randn(shape)
        mixed = mixing(values)
        for i in range(12):
            c, partner = mixing.ratio[i], mixing.order[i]
            torch.testing.assert_close(mixed[i], c * values[i] + (1 - c) * values[partner])


def test_parts_have_their_own_ratio_and_permutation_and_the_rest_stays():
    torch.manual_seed(0)
    ratios = set()
    for mixing in draws(20):
        for part in PARTS:
            assert sorted(mixing.order[part].tolist()) == list(range(part.start, part.stop))
            assert len(set(mixing.ratio[part].tolist())) == 1
            ratios.add(mixing.ratio[part][0].item())
        assert mixing.order[9:].tolist() == [9, 10, 11]
        assert mixing.ratio[9:].tolist() == [1, 1, 1]
    assert len(ratios) == 40


def test_unmixed_clips_are_unchanged_to_the_bit():
    torch.manual_seed(0)
    values = torch.randn(12, 7)
    for mixing in draws(5):
        assert torch.equal(mixing(values)[9:], values[9:])
    for mixing in draws(5, probability=0.0):
        assert torch.equal(mixing(values), values)


def test_one_draw_decides_for_all_parts():
    torch.manual_seed(0)
    fired = []
    for mixing in draws(400, probability=0.5, alpha=2.0):
        parts = [bool(mixing.ratio[part][0] < 1) for part in PARTS]
        assert parts[0] == parts[1]
        fired.append(parts[0])
    assert 0.4 < sum(fired) / len(fired) < 0.6


@pytest.mark.parametrize("alpha", [0.2, 2.0])
def test_ratios_have_the_variance_of_the_beta_distribution(alpha):
    torch.manual_seed(0)
    ratios = torch.stack([mixing.ratio[0] for mixing in draws(2000, alpha=alpha)])
    assert ratios.mean().item() == pytest.approx(0.5, abs=0.03)
    assert ratios.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)
