"""Saved weights, ours and others', fitted key by key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ..checkpoints import load_checkpoint as load_checkpoint
from ..errors import SedreproError


@contextmanager
def skeleton() -> Iterator[None]:
    """A network that is built here has shapes and no values: a file has them, for `fill`."""
    with torch.device("meta"), _Unwritten():
        yield


class _Unwritten(TorchFunctionMode):
    """What would write into a tensor does nothing. To draw weights that are nowhere, PyTorch would
    load its compiler, which takes seconds."""

    def __torch_function__(
        self, func: Callable, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = func.__name__
        if name.endswith("_") and not name.endswith("__"):
            return args[0] if args else (kwargs or {})["tensor"]
        return func(*args, **(kwargs or {}))


def tensors(state: Any, path: str | Path) -> dict[str, Tensor]:
    """A state of others' making, if it is one: a tensor under each name."""
    if not isinstance(state, Mapping):
        raise SedreproError(f"{path}: holds a {type(state).__name__} where weights should be")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise SedreproError(f"{path}: holds a {type(value).__name__} under {key!r}, no tensor")
    return dict(state)


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
