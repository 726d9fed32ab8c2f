"""Masks are as random as PyTorch's, and only the state of PyTorch's generator decides on them."""

import copy
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from sedrepro.inference.devices import random_state, restore_random_state
from sedrepro.networks.crnn import Crnn
from sedrepro.networks.dropout import CHUNK, Dropout

RATES = [0.5, 0.2, 0.1]


def mask(rate: float, *shape: int) -> torch.Tensor:
    """True where an element is kept."""
    return Dropout(rate)(torch.ones(shape)) > 0


def correlation(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(np.corrcoef(a.flatten().numpy(), b.flatten().numpy())[0, 1])


@pytest.mark.parametrize("rate", RATES)
def test_the_rate_is_the_nearest_256th_and_the_expectation_stays(rate):
    torch.manual_seed(0)
    count = 1 << 21
    made = Dropout(rate)(torch.ones(count))
    told = round(rate * 256) / 256
    spread = math.sqrt(told * (1 - told) / count)
    assert abs((made == 0).double().mean().item() - told) < 4 * spread
    assert abs(told - rate) <= 1 / 512
    np.testing.assert_allclose(made.unique(), [0, 1 / (1 - told)], rtol=1e-6)


@pytest.mark.parametrize("rate", RATES)
def test_elements_channels_clips_and_steps_are_drawn_independently(rate):
    torch.manual_seed(1)
    here, later = (mask(rate, 8, 32, 64, 32) for _ in range(2))
    bound = 4 / math.sqrt(here[1:].numel())
    assert abs(correlation(here, later)) < bound
    assert abs(correlation(here[1:], here[:-1])) < bound
    for shift in (1, 2, 8, 63, 64, 128):
        flat = here.flatten()
        assert abs(correlation(flat[shift:], flat[:-shift])) < bound
    per_channel = here.double().mean((0, 2, 3))
    expected = math.sqrt(rate * (1 - rate) / here[:, 0].numel())
    assert per_channel.std().item() == pytest.approx(expected, rel=0.5)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("layout", ["plain", "channels_last", "sliced"])
def test_the_gradient_is_the_same_product(rate, layout):
    torch.manual_seed(2)
    x = torch.randn(3, 8, 30, 200)  # in chunks of which the last is not full
    assert x.numel() % CHUNK
    if layout == "channels_last":
        x = x.contiguous(memory_format=torch.channels_last)
    if layout == "sliced":
        x = x[:, ::2]
    x.requires_grad_()
    made = Dropout(rate)(x)
    factor = torch.where(made == 0, 0.0, 256 / (256 - round(rate * 256)))
    torch.testing.assert_close(made, x * factor)
    back = torch.randn(made.shape)  # laid out otherwise than a channels-last input
    made.backward(back)
    torch.testing.assert_close(x.grad, back * factor)


def test_the_same_state_gives_the_same_masks_and_others_differ():
    torch.manual_seed(3)
    x = torch.ones(4, 1000)
    first = Dropout(0.5)(x)
    saved = random_state()
    second, third = Dropout(0.5)(x), Dropout(0.2)(x)
    assert not torch.equal(first, second)
    restore_random_state(saved)
    assert torch.equal(Dropout(0.5)(x), second)
    assert torch.equal(Dropout(0.2)(x), third)


def test_the_number_of_threads_changes_nothing():
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            torch.manual_seed(4)
            x = torch.linspace(-1, 1, 3 * CHUNK + 5, requires_grad=True)
            made = Dropout(0.2)(x)
            made.sum().backward()
            found.append((made.detach(), x.grad))
    finally:
        torch.set_num_threads(before)
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_blocks_that_are_computed_again_get_the_same_masks():
    torch.manual_seed(5)
    layers = nn.Sequential(nn.Linear(6, 50), Dropout(0.5), nn.Linear(50, 6), Dropout(0.2))
    gradients = []
    for again in (False, True):
        torch.manual_seed(6)
        x = torch.ones(4, 6, requires_grad=True)
        made = checkpoint(layers, x, use_reentrant=False) if again else layers(x)
        made.square().sum().backward()
        gradients.append(x.grad)
    assert torch.equal(*gradients)


def test_nothing_is_dropped_in_evaluation_nor_anything_drawn():
    torch.manual_seed(7)
    x = torch.randn(5, 5)
    before = torch.get_rng_state()
    assert torch.equal(Dropout(0.5).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert torch.equal(torch.get_rng_state(), before)
    assert not Dropout(1.0)(x).any()


def test_half_precision_is_kept():
    torch.manual_seed(8)
    x = torch.ones(10_000, dtype=torch.bfloat16)
    made = Dropout(0.5)(x)
    assert made.dtype == torch.bfloat16
    assert set(made.tolist()) == {0.0, 2.0}


def test_networks_use_it_and_their_states_are_as_before():
    network = Crnn(3, filters=[4], pooling=[(2, 8)], hidden=2)
    drops = [m for m in network.modules() if isinstance(m, nn.Dropout)]
    assert drops
    assert all(isinstance(m, Dropout) for m in drops)
    assert not any("dropout" in name for name in copy.deepcopy(network).state_dict())


def test_networks_come_without_pytorchs_compiler():
    """To load it takes seconds, in every job."""
    code = (
        "import sys, sedrepro.networks.crnn, sedrepro.networks.pretrained\n"
        "assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
