"""The state-space block against a slow scalar loop over its equations."""

from __future__ import annotations

import math

import torch

from sedrepro.networks.selective import Mamba, scan


def scalar_scan(x, delta, a, b, c, d):
    """h and y written out for every clip, channel and state."""
    clips, steps, channels = x.shape
    y = torch.zeros(clips, steps, channels)
    for clip in range(clips):
        for e in range(channels):
            h = [0.0] * a.shape[1]
            for t in range(steps):
                total = 0.0
                for n in range(a.shape[1]):
                    step = delta[clip, t, e].item()
                    h[n] = math.exp(step * a[e, n].item()) * h[n]
                    h[n] += step * b[clip, t, n].item() * x[clip, t, e].item()
                    total += c[clip, t, n].item() * h[n]
                y[clip, t, e] = total + d[e].item() * x[clip, t, e].item()
    return y


def test_scan_equals_the_scalar_recurrence():
    draw = torch.Generator().manual_seed(0)
    x, delta = torch.randn(2, 10, 3, generator=draw), torch.rand(2, 10, 3, generator=draw)
    a = -torch.rand(3, 4, generator=draw) * 3
    b, c = torch.randn(2, 10, 4, generator=draw), torch.randn(2, 10, 4, generator=draw)
    d = torch.randn(3, generator=draw)
    torch.testing.assert_close(
        scan(x, delta, a, b, c, d), scalar_scan(x, delta, a, b, c, d), rtol=1e-5, atol=1e-5
    )


def block(d=8, **options):
    torch.manual_seed(0)
    return Mamba(d, **options)


def test_the_block_equals_its_equations():
    """Projections, causal convolution, softplus, gate: each written out again."""
    mamba, u = block(8, state=4), torch.randn(2, 10, 8)
    inner = 16
    x, z = (u @ mamba.in_proj.weight.T).split(inner, -1)
    moved = torch.zeros_like(x)
    for t in range(10):
        for k in range(4):
            if t - 3 + k >= 0:
                moved[:, t] += mamba.conv.weight[:, 0, k] * x[:, t - 3 + k]
    x = moved + mamba.conv.bias
    x = x * torch.sigmoid(x)
    dt, b, c = (x @ mamba.x_proj.weight.T).split([1, 4, 4], -1)
    delta = torch.log1p(torch.exp(dt @ mamba.dt_proj.weight.T + mamba.dt_proj.bias))
    y = scalar_scan(x, delta, -mamba.a_log.exp(), b, c, mamba.skip)
    expected = (y * z * torch.sigmoid(z)) @ mamba.out_proj.weight.T
    torch.testing.assert_close(mamba(u), expected, rtol=1e-4, atol=1e-5)


def test_the_start_is_the_published_one():
    mamba = block(256)
    assert sum(p.numel() for p in mamba.parameters()) == 437_760
    torch.testing.assert_close(mamba.a_log[5].exp(), torch.arange(1.0, 17))
    step = torch.nn.functional.softplus(mamba.dt_proj.bias)
    assert step.min() * 1.001 >= 0.001
    assert step.max() <= 0.1 * 1.001


def test_nothing_comes_from_the_future():
    mamba, u = block(), torch.randn(1, 10, 8)
    changed = u.clone()
    changed[:, 6:] += 1
    before, after = mamba(u), mamba(changed)
    torch.testing.assert_close(before[:, :6], after[:, :6])
    assert not torch.allclose(before[:, 6:], after[:, 6:])


def test_gradients_are_finite_even_for_large_inputs():
    mamba = block()
    (mamba(100 * torch.randn(2, 10, 8)) ** 2).mean().backward()
    for name, parameter in mamba.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
