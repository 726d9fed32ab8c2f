"""What runs do to the linear spectra of a store before a network reads them."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


def decibels(
    magnitude: Tensor, *, floor: float = 1e-5, low: float = -50.0, high: float = 80.0
) -> Tensor:
    """20·log10(max(magnitude, floor)), then clamped to [low, high] dB; in float32."""
    return (20 * magnitude.float().clamp(min=floor).log10()).clamp(low, high)


def min_max(spectrum: Tensor, *, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Each clip of (..., mel, time) stretched to [low, high] over its bands and frames together."""
    smallest = spectrum.amin(dim=(-2, -1), keepdim=True)
    largest = spectrum.amax(dim=(-2, -1), keepdim=True)
    return low + (high - low) * (spectrum - smallest) / (largest - smallest + 1e-8)


class Standardise(nn.Module):
    """Each band of (..., mel, time) with mean 0 and deviation 1 over the clips it has measured."""

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.mean: Tensor
        self.deviation: Tensor
        self.register_buffer("mean", torch.zeros(bands, 1))
        self.register_buffer("deviation", torch.ones(bands, 1))

    def measure(self, batches: Iterable[Tensor]) -> None:
        """Mean and population deviation over clips and frames, summed in float64."""
        count = 0
        total = square = torch.zeros((), dtype=torch.float64)
        for batch in batches:
            values = batch.double()
            count += values.shape[0] * values.shape[-1]
            total = total.to(values.device) + values.sum((0, 2))
            square = square.to(values.device) + values.square().sum((0, 2))
        if not count:
            return
        mean = total / count
        deviation = (square / count - mean.square()).clamp(min=0).sqrt()
        deviation[deviation == 0] = 1  # a band that never changes stays at 0
        self.mean.copy_(mean[:, None])
        self.deviation.copy_(deviation[:, None])

    def forward(self, spectrum: Tensor) -> Tensor:
        return (spectrum - self.mean) / self.deviation
