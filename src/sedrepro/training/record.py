"""The record of a run: history, time, cost, and where code, packages and data came from."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import platform
import resource
import subprocess
import time
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__
from ..files import write_text

_PACKAGES = (
    "torch",
    "torchaudio",
    "numpy",
    "pandas",
    "h5py",
    "scikit-learn",
    "soundfile",
    "scaper",
)


def write_table(path: Path, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """Rows as CSV; columns in order of first appearance, missing values empty, floats exact."""
    header = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    text = io.StringIO()
    writer = csv.DictWriter(text, header, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


_SOURCE = Path(__file__).resolve().parents[1]
_AFTER_TRAINING = ("evaluation", "reporting", "cli")


@cache
def code_digest(root: Path = _SOURCE) -> str:
    """The content of the source that training depends on, so that runs of older code can be told.

    What works on finished runs is left out: a better plot does not make a run older.
    """
    key = hashlib.blake2b(digest_size=8)
    for path in sorted(root.rglob("*.py")):
        if path.relative_to(root).parts[0] in _AFTER_TRAINING:
            continue
        key.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return key.hexdigest()


def code() -> dict[str, Any]:
    def git(*words: str) -> str | None:
        try:
            root = Path(__file__).resolve().parents[3]
            done = subprocess.run(
                ["git", "-C", str(root), *words], capture_output=True, text=True, timeout=10
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    changes = git("status", "--porcelain", "--untracked-files=no")
    return {
        "version": __version__,
        "commit": git("rev-parse", "HEAD"),
        "dirty": None if changes is None else bool(changes),
        "digest": code_digest(),
    }


def packages() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def hardware(device: Any) -> dict[str, Any]:
    """What the run computed on, without the machine's name."""
    found = {"device": str(device), "cpu": _cpu(), "cores": os.cpu_count(), "gpu": None}
    if device.type == "cuda":
        import torch

        found["gpu"] = torch.cuda.get_device_name(device)
        found["cuda"] = torch.version.cuda
    return found


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        return platform.machine()
    return platform.machine()


class Cost:
    """Wall time, peak memory and energy of a run, summed over its starts."""

    def __init__(self, device: Any, before: Mapping[str, Any] | None = None) -> None:
        self.device = device
        self.before = dict(before or {})
        self._start = time.monotonic()
        self._energy = self._joules()

    def total(self) -> dict[str, Any]:
        energy, now = None, self._joules()
        if (
            now is not None
            and self._energy is not None
            and self.before.get("energy_j", 0) is not None
        ):
            energy = round(now - self._energy + self.before.get("energy_j", 0), 1)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {
            "wall_s": round(time.monotonic() - self._start + self.before.get("wall_s", 0.0), 2),
            "peak_memory_mb": round(max(peak, self.before.get("peak_memory_mb", 0.0)), 1),
            "peak_gpu_memory_mb": self._gpu_peak(),
            "energy_j": energy,
            "device": str(self.device),
            "starts": self.before.get("starts", 0) + 1,
        }

    def _gpu_peak(self) -> float | None:
        if self.device.type != "cuda":
            return None
        import torch

        peak = torch.cuda.max_memory_allocated(self.device) / 2**20
        return round(max(peak, self.before.get("peak_gpu_memory_mb") or 0.0), 1)

    def _joules(self) -> float | None:
        """The GPU's own energy counter; None where there is none."""
        if self.device.type != "cuda":
            return None
        try:
            import pynvml
            import torch

            pynvml.nvmlInit()
            uuid = f"GPU-{torch.cuda.get_device_properties(self.device).uuid}"
            handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
            return pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
        except Exception:  # a counter that cannot be read is a missing figure, not a failed run
            return None
