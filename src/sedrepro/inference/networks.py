"""Saved networks and stored values, as a network that only answers needs them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import SedreproError
from ..papers.contract import Method


def as_input(values: Tensor) -> Tensor:
    """Stored values as a network's input: float32, samples in ±1.

    16-bit samples (`features.kinds.scaled`) end with how often their clip was doubled.
    """
    if values.dtype == torch.int16:
        return torch.ldexp(values[..., :-1].float(), -15 - values[..., -1:].int())
    return values.float()


def load_networks(method: Method, states: Mapping[str, Any], path: str | Path) -> None:
    """Put saved weights into the method's networks; a checkpoint of another paper is refused."""
    for name, network in method.networks.items():
        if name not in states:
            raise SedreproError(
                f"{path}: holds {', '.join(states) or 'nothing'}, not the network {name!r} of "
                f"{method.plan.run.paper}"
            )
        try:
            network.load_state_dict(copy.copy(states[name]))
        except RuntimeError as error:
            reason = " ".join(str(error).split())[:300]
            raise SedreproError(f"{path}: does not fit {method.plan.run} ({reason})") from None
