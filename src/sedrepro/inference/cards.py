"""Which of a machine's GPUs a job takes: one with a free place, and with memory for it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

import torch

from .. import locks
from ..errors import SedreproError

ROOM = 0.9
"""The part of its share of a device's memory that a job must find free."""
PATIENCE = 5.0
"""Seconds between two looks, where no device is free."""


class Cards(Protocol):
    """The GPUs that this process may see."""

    def names(self) -> list[str]:
        """A name for each, the same in every process of this machine."""

    def memory(self, index: int) -> tuple[int, int]:
        """Free bytes and all bytes of a device, whoever uses them; raises if it does not answer."""


class Visible:
    """The devices PyTorch sees: those of CUDA_VISIBLE_DEVICES, which is how SLURM assigns them."""

    def names(self) -> list[str]:
        properties = torch.cuda.get_device_properties
        return [str(properties(index).uuid) for index in range(torch.cuda.device_count())]

    def memory(self, index: int) -> tuple[int, int]:
        # Asking PyTorch would itself take some of the memory of every device.
        import pynvml

        pynvml.nvmlInit()
        uuid = f"GPU-{torch.cuda.get_device_properties(index).uuid}"
        found = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByUUID(uuid))
        return int(found.free), int(found.total)


@dataclass(frozen=True)
class Claim:
    """A place on a device, held until the lock file is closed or the process ends."""

    index: int
    lock: IO[str]


def claim(cards: Cards, share: int, folder: Path) -> Claim | None:
    """A place on the device with the fewest jobs of this user; None while there is none.

    A device has `share` places. One is not taken where others (another user, a program that knows
    nothing of places) leave less memory than its part.
    """
    silent: dict[str, str] = {}
    names = cards.names()
    for place in range(share):
        for index, name in enumerate(names):
            try:
                free, whole = cards.memory(index)
            except Exception as error:  # whatever the vendor's library says, it is not to be used
                silent[name] = str(error)
                continue
            if free < ROOM * whole / share:
                continue
            path = folder / f"sedrepro-gpu-{os.getuid()}-{name}.{place}.lock"
            if lock := locks.take(path):
                return Claim(index, lock)
    if len(silent) == len(names):
        reasons = "; ".join(f"{name}: {why}" for name, why in silent.items()) or "there is none"
        raise SedreproError(f"no GPU answers ({reasons}); see nvidia-smi, or set `device: cpu`")
    return None


def wait(cards: Cards, share: int, folder: Path, check: Callable[[], None] = lambda: None) -> Claim:
    """A place on a device, as soon as there is one; `check` may end the waiting by an error."""
    told = False
    while (found := claim(cards, share, folder)) is None:
        if not told:
            count = len(cards.names())
            why = f"none of {count} has a free place and the memory (see nvidia-smi)"
            print(f"waiting for a GPU: {why}", flush=True)
            told = True
        check()
        time.sleep(PATIENCE)
    return found
