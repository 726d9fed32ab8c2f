"""Adapters: their sizes, that they start as if not there, and what M3A's branches are."""

import pytest
import torch
from test_beats import TINY, shuffled
from torch import nn

from sedrepro.networks import adapters

SIZES = {"m3a": 2_361_600 + 295_872 + 2, "mona": 2 * 111_872, "houlsby": 2 * 99_136}


@pytest.mark.parametrize(("kind", "size"), SIZES.items())
def test_sizes_are_the_specified_ones(kind, size):
    assert sum(p.numel() for p in adapters.build(kind, 768).parameters()) == size


def test_branches_of_m3a_can_be_left_out():
    count = {
        (long, short): sum(
            p.numel() for p in adapters.build("m3a", 768, long=long, short=short).parameters()
        )
        for long, short in ((1536, 0), (0, 192))
    }
    assert count == {(1536, 0): 2_361_600 + 1, (0, 192): 295_872 + 1}


@pytest.mark.parametrize("kind", ["m3a", "mona", "houlsby", "act_net"])
@pytest.mark.parametrize("parallel", [True, False])
def test_step_0_is_the_pretrained_network(kind, parallel):
    network = shuffled()
    made = nn.ModuleList(
        adapters.build(kind, 8, bands=2, inner=3, long=5, short=4, parallel=parallel)
        for _ in range(TINY.encoder_layers)
    ).double()
    fbank = torch.randn(2, 48, 32, dtype=torch.double)
    with torch.no_grad():  # with gradients attention takes another kernel
        plain = network(fbank)
        assert torch.equal(network(fbank, made), plain)
    # And it is there: every adapter learns, whatever it sits in.
    network(fbank, made).square().sum().backward()
    for one in made:
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in one.parameters())
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.normal_()
    assert not torch.allclose(network(fbank, made), plain)


@pytest.mark.parametrize(("competitors", "axis", "count"), [("tokens", 1, 4), ("channels", 2, 3)])
def test_m3a_is_its_formula(competitors, axis, count):
    torch.manual_seed(0)
    m3a = adapters.build("m3a", 6, long=10, short=3, scale=0.5, competitors=competitors)
    for parameter in m3a.parameters():
        parameter.data.normal_()
    found, u = torch.randn(2, 4, 6), torch.randn(2, 4, 6)
    long = torch.relu(u @ m3a.long.down.weight.T + m3a.long.down.bias)
    scores = (u @ m3a.short.down.weight.T + m3a.short.down.bias).exp()
    short = count * scores / scores.sum(axis, keepdim=True)
    wanted = found + 0.5 * (
        m3a.gain[0] * (long @ m3a.long.up.weight.T + m3a.long.up.bias)
        + m3a.gain[1] * (short @ m3a.short.up.weight.T + m3a.short.up.bias)
    )
    torch.testing.assert_close(m3a.feed_forward(found, u), wanted)


@pytest.mark.parametrize("competitors", ["tokens", "channels"])
def test_both_branches_of_m3a_tell_tokens_apart(competitors):
    """At full size, and once their last layers are no longer zero."""
    torch.manual_seed(0)
    m3a = adapters.build("m3a", 768, competitors=competitors)
    for branch in (m3a.long, m3a.short):
        branch.up.reset_parameters()
    u = nn.functional.layer_norm(torch.randn(2, 496, 768), (768,))
    with torch.no_grad():
        long, short = (branch(u).std(1).mean().item() for branch in (m3a.long, m3a.short))
    assert 0.3 < short / long < 3


def test_mona_is_its_formula():
    torch.manual_seed(0)
    mona = adapters.Cognitive(6, 4, bands=2, dropout=0.0)
    for parameter in mona.parameters():
        parameter.data.normal_()
    x = torch.randn(1, 10, 6)  # 5 steps × 2 bands, time-major
    scaled = mona.norm(x) * mona.gamma + x * mona.gamma_x
    down = mona.down(scaled).view(1, 5, 2, 4)
    wide = down.clone()
    for conv in mona.depthwise:
        k = conv.kernel_size[0]
        padded = nn.functional.pad(down, (0, 0, k // 2, k // 2, k // 2, k // 2))
        for t in range(5):
            for f in range(2):
                window = padded[0, t : t + k, f : f + k]  # (time, band, channel)
                kernel = conv.weight[:, 0].permute(1, 2, 0)
                wide[0, t, f] += ((window * kernel).sum((0, 1)) + conv.bias) / 3
    mixed = wide + wide @ mona.pointwise.weight[:, :, 0, 0].T + mona.pointwise.bias
    wanted = x + mona.up(nn.functional.gelu(mixed.view(1, 10, 4)))
    torch.testing.assert_close(mona(x), wanted, rtol=1e-4, atol=1e-4)
