"""Frequency warps: a band of a spectrum stretched over all bands."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

NARROWEST = 0.6
"""Share of the bands that is kept at least."""


def warped(spectra: Tensor, groups: list[slice], warps: bool) -> Tensor:
    """Spectra in which a band, drawn for each group, is stretched over all bands.

    Without `warps` they are left as they are.
    """
    if not warps:
        return spectra
    bands, frames = spectra.shape[1:]
    stretched = spectra.clone()
    for part in groups:
        if not len(spectra[part]):
            continue
        height = int(bands * (NARROWEST + (1 - NARROWEST) * float(torch.rand(()))))
        first = int(torch.randint(bands - height + 1, ()))
        band = spectra[part, None, first : first + height]
        stretched[part] = F.interpolate(
            band, size=(bands, frames), mode="bicubic", align_corners=True
        )[:, 0]
    return stretched
