"""Saved weights, ours and others': read without executing anything, and fitted key by key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SedreproError


def load_checkpoint(path: str | Path, device: torch.device | str = "cpu") -> Any:
    """A checkpoint's content: tensors and plain values only, other objects are refused."""
    try:
        return torch.load(path, map_location=device, weights_only=True)
    except FileNotFoundError:
        raise SedreproError(f"{path}: no such checkpoint") from None
    except Exception as error:  # torch raises whatever a damaged file leads it to
        reason = " ".join(str(error).split())[:200]
        raise SedreproError(f"{path}: not a readable checkpoint ({reason})") from None


def fill(module: nn.Module, state: Mapping[str, Tensor], path: str | Path) -> None:
    """Every parameter of `module` from `state`; a missing, unknown or misshapen key is named."""
    own = module.state_dict()
    for problem, keys in (
        ("lacks", [key for key in own if key not in state]),
        ("holds unknown", [key for key in state if key not in own]),
    ):
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            raise SedreproError(f"{path}: {problem} {keys[0]!r}{more}")
    for key, value in own.items():
        if state[key].shape != value.shape:
            raise SedreproError(
                f"{path}: {key!r} has shape {tuple(state[key].shape)}, not {tuple(value.shape)}"
            )
    module.load_state_dict({key: state[key].float() for key in own}, assign=True)
    module.requires_grad_(False)
