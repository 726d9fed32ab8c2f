"""The two-branch network: the published sizes, its norm and wiring against the specification."""

import pytest
import torch
from torch.nn import functional as F

from sedrepro.networks.cross_task import CrossTask, SubSpectralNorm

FILTERS = [32, 64, 128, 256, 256]
POOLING = [(2, 2), (2, 2), (1, 2), (1, 2), (1, 2), (1, 2), (1, 2)]


def full_size(**options) -> CrossTask:
    return CrossTask(10, filters=FILTERS, pooling=POOLING, **options)


def size(*modules) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_parameter_counts_are_the_published_ones():
    network = full_size()
    assert size(network) == 3_839_737
    assert size(network.activity) == 693_508
    assert size(full_size(states=None)) == 3_146_229
    assert size(*network.shared[:2]) == 24_800
    assert [size(block) for block in network.shared[2:]] == [91_392, 363_008, 656_384]
    assert size(network.events) == 1_312_768
    assert size(network.event_features) == size(network.activity.features) == 99_840
    assert size(network.rnn) == size(network.activity.rnn) == 592_896


def test_626_frames_become_156():
    torch.manual_seed(0)
    found = full_size()(torch.rand(2, 128, 626))
    assert found.frame.shape == found.attention.shape == (2, 156, 10)
    assert found.clip.shape == (2, 10)
    assert found.activity.shape == (2, 156, 3)


def test_a_gradient_reaches_every_parameter():
    torch.manual_seed(0)
    network = CrossTask(3, filters=[4, 4, 6, 6, 6], pooling=POOLING, hidden=4)
    found = network(torch.rand(2, 128, 16))
    (found.frame.mean() + found.clip.mean() + found.activity.square().mean()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name


def test_the_branch_does_not_change_the_start_of_the_rest():
    torch.manual_seed(3)
    alone = full_size(states=None)
    torch.manual_seed(3)
    together = full_size().state_dict()
    assert all(torch.equal(value, together[name]) for name, value in alone.state_dict().items())
    assert alone.eval()(torch.rand(1, 128, 8)).activity is None


def test_the_norm_standardises_each_band_of_each_channel():
    norm = SubSpectralNorm(3, 4, 0.99)
    with torch.no_grad():
        norm.norm.weight.uniform_(0.5, 2)
        norm.norm.bias.uniform_(-1, 1)
    x = torch.randn(5, 3, 7, 8) * 3 + 1
    found = norm(x)
    for channel in range(3):
        for band in range(4):
            part = x[:, channel, :, 2 * band : 2 * band + 2]
            index = band * 3 + channel
            expected = (part - part.mean()) / (part.var(unbiased=False) + 1e-3).sqrt()
            expected = expected * norm.norm.weight[index] + norm.norm.bias[index]
            torch.testing.assert_close(
                found[:, channel, :, 2 * band : 2 * band + 2], expected, rtol=1e-4, atol=1e-5
            )


@pytest.mark.parametrize("pooling", [POOLING, [(1, 4), (2, 2), (2, 2), (2, 1), (1, 2), (1, 4)]])
def test_the_wiring_is_the_specifications(pooling):
    """Written out from the table of stages, with the blocks as given."""
    torch.manual_seed(1)
    network = CrossTask(4, filters=[4, 4, 6, 8, 5], pooling=pooling, hidden=3, bands=2).eval()
    with torch.no_grad():
        network.event_scale.fill_(0.3)
        network.activity.scale.fill_(-0.7)
        x = torch.rand(2, 128, 40)
        seen = x.transpose(1, 2).unsqueeze(1)
        for block in network.shared[:3]:
            seen = block(seen)
        x2 = seen
        x3 = network.shared[3](x2)
        x4 = network.shared[4](x3)
        pools = [
            F.avg_pool2d(x3, pooling[4]),
            F.avg_pool2d(F.avg_pool2d(x2, pooling[3]), pooling[4]),
        ]
        xc = torch.cat(pools, dim=1)
        events = network.events(0.3 * network.event_features(xc) + x4)[..., 0].transpose(1, 2)
        frame, clip, _ = network.heads(network.rnn(events)[0])
        features = (-0.7 * network.activity.features(xc) + x4).mean(3).transpose(1, 2)
        logits = network.activity.head(network.activity.rnn(features)[0])
        found = network(x)
    torch.testing.assert_close(found.frame, frame)
    torch.testing.assert_close(found.clip, clip)
    torch.testing.assert_close(found.activity, logits)


def test_one_band_is_plain_batch_norm():
    network = full_size(bands=1)
    norms = [type(block.norm) for block in network.shared]
    assert norms == [torch.nn.BatchNorm2d] * 5
    assert [type(b.norm) for b in full_size().shared] == [SubSpectralNorm] * 4 + norms[:1]
