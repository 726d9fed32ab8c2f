"""PyTorch's optimisers as methods use them."""

from __future__ import annotations

import inspect
from typing import Any, TypeVar, cast

import torch

Kind = TypeVar("Kind", bound=torch.optim.Optimizer)
GUARDED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")


def without_compiler(kind: type[Kind]) -> type[Kind]:
    """The same optimiser without guards against PyTorch's compiler, which load it: two seconds of
    every training job. Steps are never compiled here; networks are."""
    plain: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in GUARDED}
    plain["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return cast(type[Kind], type(kind.__name__, (kind,), plain))


Adam = without_compiler(torch.optim.Adam)
AdamW = without_compiler(torch.optim.AdamW)
