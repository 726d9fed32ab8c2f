"""The gradients of a convolution are the same however they are found."""

import pytest
import torch
from torch import nn

from sedrepro.networks import convolution
from sedrepro.networks.convolution import FEWEST, Conv2d


def found(made, capability, monkeypatch, *, bias=True, inner=True):
    """Output and gradients on a CPU of that kind, and how often the slow gradient was avoided."""
    calls = []
    gradients = convolution._gradients
    with monkeypatch.context() as patch:
        patch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
        patch.setattr(convolution, "_gradients", lambda *a: calls.append(1) or gradients(*a))
        torch.manual_seed(0)
        layer = made(FEWEST, 8, 3, padding=2, dilation=2, bias=bias)
        layer = layer.to(memory_format=torch.channels_last)
        x = torch.randn(2, FEWEST, 20, 30).contiguous(memory_format=torch.channels_last)
        x.requires_grad_(inner)
        y = layer(x)
        y.square().sum().backward()
    learnt = [p.grad for p in layer.parameters()]
    return [y.detach(), *learnt, *([x.grad] if inner else [])], len(calls)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("inner", [False, True])
def test_values_and_gradients_are_those_of_torch(monkeypatch, bias, inner):
    given = {"bias": bias, "inner": inner}
    ours, copied = found(Conv2d, "AVX2", monkeypatch, **given)
    plain, none = found(nn.Conv2d, "AVX2", monkeypatch, **given)
    assert (copied, none) == (1 + inner, 0)
    torch.testing.assert_close(ours, plain, rtol=1e-4, atol=1e-3)


def test_another_cpu_is_left_to_torch(monkeypatch):
    assert found(Conv2d, "AVX512", monkeypatch)[1] == 0
