"""Recomputed batch-norm statistics are those of all the data."""

import torch
from torch import nn

from sedrepro.networks.statistics import recompute


def test_statistics_are_averages_over_all_batches_and_momentum_stays():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3, momentum=0.99))
    network[1](torch.randn(8, 3) + 100)
    batches = [torch.randn(8, 3) * k + k for k in (1, 2, 3)]
    recompute(network, batches)
    norm = network[1]
    torch.testing.assert_close(norm.running_mean, sum(b.mean(0) for b in batches) / 3)
    torch.testing.assert_close(norm.running_var, sum(b.var(0) for b in batches) / 3)
    assert norm.momentum == 0.99
    assert not norm.training
    assert not network.training
