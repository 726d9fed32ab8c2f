"""Batch-norm statistics over many batches, for networks whose running ones follow the latest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn


@torch.no_grad()
def recompute(
    network: nn.Module, inputs: Iterable[Any], run: Callable[[Any], Any] | None = None
) -> None:
    """Replace running means and variances by their averages over `inputs`, without dropout.

    `run` takes one of the inputs through the network (default: the network itself). Leaves the
    network in evaluation mode; training is not affected, since it uses batch statistics.
    """
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's sign for a cumulative average
        norm.train()
    for x in inputs:
        (run or network)(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
