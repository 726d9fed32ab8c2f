"""Checkpoints and pickles of anybody, read without executing anything that they name."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import torch

from ..errors import SedreproError
from .files import File
from .pickles import Named, Placeholder, UnreadableError

__all__ = ["Named", "Placeholder", "load_checkpoint"]


def load_checkpoint(
    path: str | Path, device: torch.device | str = "cpu", *, mapped: bool = False
) -> Any:
    """What a file of `torch.save`, old or new, or a pickle of containers holds.

    Tensors are put on `device`, and those that shared memory share it again. Every dictionary is a
    plain one. Classes and objects are not made: a `Named` or a `Placeholder` stands for each.
    Memory stays below 64 MB and a small multiple of the file's size, or the file is refused.
    `mapped` leaves the bytes of tensors in the file, unchecked, until they are looked at.
    """
    try:
        with open(path, "rb") as file:
            mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        return File(mapping, torch.device(device), mapped).content()
    except FileNotFoundError:
        raise SedreproError(f"{path}: no such checkpoint") from None
    except Exception as error:  # whatever a damaged file leads to
        kind = "" if isinstance(error, UnreadableError) else f"{type(error).__name__}: "
        reason = f"{kind}{' '.join(str(error).split())[:200]}"
        raise SedreproError(f"{path}: not a readable checkpoint ({reason})") from None
