"""Seconds and memory of a full-size training step, per row, without data loading.

    python benchmarks/training.py [--paper lgc_sed] [--rows mt lgc] [--device cuda] [--steps 30]

Batches are random, at the geometry of the configuration; a table and a machine line are printed.
"""

from __future__ import annotations

import argparse
import platform
import time

import torch

from sedrepro import papers, settings
from sedrepro.inference.devices import prepare
from sedrepro.training.rehearsal import trainer
from sedrepro.training.trainer import Trainer


def prepared(
    plan: settings.Plan, device: torch.device, steps: int, amp: bool, files: dict
) -> Trainer:
    """A trainer before its first step, its one batch beside it as `trainer.drawn`."""
    prepare(0, torch.get_num_threads(), False)
    made, made.drawn = trainer(plan, device, steps, amp and device.type == "cuda", files)
    return made


def timed(made: Trainer, device: torch.device, steps: int) -> tuple[float, float]:
    """Seconds per step, and the peak GiB on a GPU."""
    for _ in range(3):
        made._step(made.drawn)
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
    begin = time.perf_counter()
    for _ in range(steps):
        made._step(made.drawn)
    if device.type == "cuda":
        torch.cuda.synchronize()
    seconds = (time.perf_counter() - begin) / steps
    peak = torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else float("nan")
    return seconds, peak


def measure(project: settings.Project, paper: str, row: str, device: torch.device, steps: int):
    condition = next(iter(project.papers[paper].conditions))
    run = settings.Run(paper, row, condition, 0)
    plan = settings.plan(project, run, papers.settings_models()[paper])
    made = prepared(plan, device, steps, project.amp, {})
    return len(made.drawn.clips), *timed(made, device, steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paper", default="lgc_sed")
    parser.add_argument("--rows", nargs="+")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--configfile", nargs="*", default=[])
    parser.add_argument("--amp", choices=["true", "false"], default="false")
    options = parser.parse_args()
    overlay = {"amp": options.amp == "true"}
    project = settings.load(overlay, papers=papers.settings_models(), files=options.configfile)
    device = torch.device(options.device)
    spec = project.papers[options.paper]
    selected = project.selected_rows(options.paper)
    rows = options.rows or [row for row in selected if spec.table[row].kind == "train"]
    print(f"{'row':<14}{'clips':>6}{'ms/step':>10}{'clips/s':>10}{'peak GiB':>10}")
    for row in rows:
        count, seconds, peak = measure(project, options.paper, row, device, options.steps)
        print(f"{row:<14}{count:>6}{seconds * 1e3:>10.1f}{count / seconds:>10.0f}{peak:>10.2f}")
    name = torch.cuda.get_device_name() if device.type == "cuda" else platform.processor()
    threads = torch.get_num_threads()
    print(f"machine: {name or platform.machine()}, {threads} threads, torch {torch.__version__}")


if __name__ == "__main__":
    main()
