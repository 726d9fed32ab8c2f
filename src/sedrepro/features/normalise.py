"""What runs do to the linear spectra of a store before a network reads them."""

from __future__ import annotations

from torch import Tensor


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
