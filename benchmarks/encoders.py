"""MTDA-HSED's three ways to a full-size BEATs: cached tokens, frozen online, with adapters inside.

    python benchmarks/encoders.py [--device cuda] [--clips 1] [--steps 5]

A step trains the student on random 10-second clips, `--clips` of each of the five groups, and runs
the teacher. FLOPs are those of products and convolutions, forward and backward; each way has a
process of its own, so that its memory is its own.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from machine import line, table
from torch.utils.flop_counter import FlopCounterMode

from sedrepro import papers, settings
from sedrepro.miniature import weights
from training import prepared, timed

ADAPTED = {"table": {"m3a": {"settings": {"encoder": {"save_memory": False}}}}}
ONLINE = {"table": {"baseline_coherent": {"settings": {"encoder": {"cached": False}}}}}
WAYS = {
    "cached tokens": ("baseline_coherent", {}),
    "frozen, online": ("baseline_coherent", ONLINE),
    "adapters, blocks kept": ("m3a", ADAPTED),
    "adapters, blocks computed again": ("m3a", {}),
}
GROUPS = ("maestro", "synth", "strong", "weak", "unlabelled")


def draw(path: Path) -> None:
    weights.write(path, weights.full_size("beats", 0))


def measure(way: str, path: Path, device: str, clips: int, steps: int) -> list[str]:
    """A line of the table."""
    row, change = WAYS[way]
    models = papers.settings_models()
    common = {"settings": {"batch": dict.fromkeys(GROUPS, clips)}}
    overlay = {"papers": {"mtda_hsed": settings.merge(common, change)}}
    root = Path(__file__).resolve().parents[1]
    project = settings.load(overlay, papers=models, root=root)
    run = settings.Run("mtda_hsed", row, "hetero", 0)
    plan = settings.plan(project, run, models["mtda_hsed"])
    where = torch.device(device)
    trainer = prepared(plan, where, steps, project.amp, {"beats": path})
    seconds, peak = timed(trainer, where, steps)
    if where.type == "cpu":
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    with FlopCounterMode(display=False) as counter:  # last: it keeps tensors of its own
        trainer._step(trainer.drawn)
    flops = counter.get_total_flops()
    learns = sum(p.numel() for g in trainer.optimiser.param_groups for p in g["params"])
    return [
        *(way, f"{learns:,}", f"{flops / 1e9:,.0f}", f"{seconds * 1e3:,.0f}"),
        *(f"{flops / seconds / 1e9:,.0f}", f"{peak:.2f}"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--clips", type=int, default=1)
    parser.add_argument("--steps", type=int, default=5)
    given = parser.parse_args()
    path = Path(tempfile.mkdtemp()) / "beats.pt"
    draw(path)
    rows = []
    for way in WAYS:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            work = pool.submit(measure, way, path, given.device, given.clips, given.steps)
            rows.append(work.result())
    print(f"{len(GROUPS) * given.clips} clips a step, on {given.device}")
    table(["way", "learns", "GFLOP/step", "ms/step", "GFLOP/s", "peak GiB"], rows)
    line()


if __name__ == "__main__":
    main()
