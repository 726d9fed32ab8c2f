"""Guided attention against loops over places and units; adapters that change nothing at first."""

from __future__ import annotations

import math

import pytest
import torch

from sedrepro.networks.audiovisual import Adapter, Agva, Pictures, Sounds


def looped(agva: Agva, visual: torch.Tensor, audio: torch.Tensor) -> tuple:
    """One map (place, channel) and one sound, every sum written out."""
    guide = agva.guide.weight @ torch.relu(agva.audio.weight @ audio + agva.audio.bias)
    scores = []
    for i, place in enumerate(visual):
        energy = agva.place.weight @ torch.relu(agva.visual.weight @ place + agva.visual.bias)
        total = 0.0
        for unit in range(len(energy)):
            offset = guide[i] if agva.variant == "repo" else guide[unit]
            total += agva.score.weight[0, unit].item() * math.tanh((energy[unit] + offset).item())
        scores.append(total)
    peak = max(scores)
    weights = [math.exp(score - peak) for score in scores]
    weights = torch.tensor(weights) / sum(weights)
    return sum(w * place for w, place in zip(weights, visual, strict=True)), weights


@pytest.mark.parametrize("variant", ["repo", "hidden"])
def test_attention_equals_the_loops(variant):
    torch.manual_seed(0)
    agva = Agva(6, 5, hidden=7, size=9, variant=variant)
    visual, audio = torch.randn(2, 3, 9, 6), torch.randn(2, 3, 5)
    with torch.no_grad():
        attended, weights = agva(visual, audio)
        for index in [(0, 0), (1, 2)]:
            expected, shares = looped(agva, visual[index], audio[index])
            torch.testing.assert_close(attended[index], expected)
            torch.testing.assert_close(weights[index], shares)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))


def test_the_two_readings_differ():
    """The released code adds the sound along places, the cited design along hidden units."""
    torch.manual_seed(0)
    repo = Agva(6, 5, hidden=7, size=9, variant="repo")
    hidden = Agva(6, 5, hidden=7, size=9, variant="hidden")
    hidden.load_state_dict(repo.state_dict())
    visual, audio = torch.randn(1, 9, 6), torch.randn(1, 5)
    assert not torch.allclose(repo(visual, audio)[1], hidden(visual, audio)[1], atol=1e-4)


def test_only_the_repo_reading_needs_as_many_units_as_places():
    assert Agva(6, 5, size=32)(torch.randn(2, 16, 6), torch.randn(2, 5))[1].shape == (2, 16)
    with pytest.raises(RuntimeError):
        Agva(6, 5, size=32, variant="repo")(torch.randn(2, 16, 6), torch.randn(2, 5))


def test_a_new_adapter_changes_nothing_and_can_learn():
    adapter, x = Adapter(16), torch.randn(3, 4, 16)
    torch.testing.assert_close(adapter(x), x, rtol=0, atol=0)
    (adapter(x) ** 2).mean().backward()
    assert adapter.up.weight.grad.abs().max() > 0


def test_places_are_cells_of_eight_pixels():
    pictures = Pictures(6).eval()
    x = torch.zeros(1, 1, 3, 56, 56)
    assert pictures(x).shape == (1, 1, 49, 6)
    changed = x.clone()
    changed[..., 42:46, 26:30] = 255  # in the middle of row 5, column 3
    moved = (pictures(changed) - pictures(x)).abs().sum(-1)[0, 0]
    assert moved.argmax() == 5 * 7 + 3
    assert (moved > 0).sum() <= 9


def test_sounds_tell_pitches_apart_not_moments():
    torch.manual_seed(0)
    sounds = Sounds(8, 5).eval()
    x = torch.zeros(1, 1, 8, 20)
    low, late, high = x.clone(), x.clone(), x.clone()
    low[..., 2, 8] = 1
    late[..., 2, 12] = 1
    high[..., 6, 8] = 1
    torch.testing.assert_close(sounds(low), sounds(late))
    assert not torch.allclose(sounds(low), sounds(high), atol=1e-3)
