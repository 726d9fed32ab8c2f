"""Which device a job computes on; nothing else knows about devices."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import SedreproError
from .cards import Claim, Visible, wait

_claimed: list[Claim] = []
"""The device that this process uses, until it ends."""


def kind(device: str, gpus: int) -> str:
    """What `device` (auto, cpu, cuda) means for a job that asked for `gpus` GPUs: cpu or cuda."""
    if device == "cpu" or (device == "auto" and gpus == 0):
        return "cpu"
    if not torch.cuda.is_available():
        raise SedreproError(
            "this job asked for a GPU and finds no working CUDA: torch "
            f"{torch.__version__} is built for CUDA {torch.version.cuda or 'none'}, the driver is "
            f"{_driver()}; update the driver, install a torch build that matches it, or set "
            "`device: cpu`"
        )
    return "cuda"


def choose(
    device: str, gpus: int, share: int = 1, check: Callable[[], None] = lambda: None
) -> torch.device:
    """The device that is meant (see `kind`), with a place on it until the process ends.

    At most `share` jobs use one GPU. If none has a place, the job waits; `check` may end that.
    """
    if kind(device, gpus) == "cpu":
        return torch.device("cpu")
    if not _claimed:
        _claimed.append(wait(Visible(), share, Path(tempfile.gettempdir()), check))
    return torch.device("cuda", _claimed[0].index)


def _driver() -> str:
    try:
        import pynvml

        pynvml.nvmlInit()
        return str(pynvml.nvmlSystemGetDriverVersion())
    except Exception:  # any failure of the vendor's library means the same here: no driver
        return "not found"


def has_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16; others imitate them."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))


def bfloat16_pays() -> bool:
    """Whether they make this CPU faster.

    Intel's for AVX-512 alone do not: convolutions take 1.6 times as long as in float32
    (docs/benchmarks.md). Such a processor may be one with AMX that a virtual machine hides.
    """
    able = torch.cpu.get_capabilities()
    intel = "Intel" in able.get("cpu_name", "")
    return has_bfloat16() and bool(able.get("amx_bf16") or not intel)


def prepare(seed: int, threads: int, deterministic: bool) -> None:
    """Seed every generator and fix the number of threads, before any network is built."""
    _keep_memory()
    torch.set_num_threads(threads)
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.set_float32_matmul_precision("highest" if deterministic else "high")
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = not deterministic


def _keep_memory() -> None:
    """Let glibc keep freed memory: fresh pages cost a CPU a third of a step's time."""
    trim_threshold, mmap_max = -1, -4
    with contextlib.suppress(AttributeError, OSError):  # another C library: only slower
        libc = ctypes.CDLL(None)
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def random_state() -> dict[str, Any]:
    """The state of every generator a run may draw from, in types that load without executing."""
    state_of_numpy = np.random.get_state(legacy=True)
    assert isinstance(state_of_numpy, tuple)  # it is so asked for
    name, keys, place, has_gauss, gauss = state_of_numpy
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": (name, keys.tolist(), place, has_gauss, gauss),
        "torch": torch.get_rng_state(),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_random_state(state: Mapping[str, Any]) -> None:
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    np.random.set_state(tuple(state["numpy"]))
    torch.set_rng_state(state["torch"].cpu())
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"].cpu())
