"""Soundscapes by scaper and desed: 10 s clips per second, in one process and in two.

    OMP_NUM_THREADS=1 python benchmarks/mixtures.py [--clips 100]

The sound bank is the miniature's, rendered first (44.1 kHz, 10 classes).
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

from machine import line, table

from sedrepro.miniature import desed
from sedrepro.mixtures.soundscapes import mix_shard  # noqa: F401 (the jobs call it)
from sedrepro.settings import Project


def project(clips: int, shards: int) -> Project:
    recipe = {"clips": {"synth_train": clips}, "shards": shards}
    return Project.model_validate(
        {"scale": "mini", "data": {"origin": "render", "desed": {"soundscapes": recipe}}}
    )


def run(clips: int, shards: int) -> tuple[float, float]:
    """Wall and processor seconds of mixing, one process per shard, their start included."""
    before, start = _processor_seconds(), time.perf_counter()
    code = "import mixtures as m; m.mix_shard(m.project({}, {}), 'synth_train', {})"
    paths = os.pathsep.join([os.path.dirname(__file__), os.environ.get("PYTHONPATH", "")])
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", code.format(clips, shards, shard)],
            env={**os.environ, "PYTHONPATH": paths},
        )
        for shard in range(shards)
    ]
    for job in jobs:
        if job.wait() != 0:
            sys.exit("mixing failed")
    return time.perf_counter() - start, _processor_seconds() - before


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=100, help="soundscapes per process")
    given = parser.parse_args()
    os.chdir(tempfile.mkdtemp())
    desed.render("desed_soundbank", project(1, 1))
    start, start_cpu = run(1, 1)
    rows = []
    for processes in (1, 2):
        clips = processes * given.clips
        wall, cpu = run(clips, processes)
        speeds = clips / wall, clips / (wall - start), clips / (cpu - processes * start_cpu)
        rows.append([processes, clips, *(f"{speed:.1f}" for speed in speeds)])
    print(f"Soundscapes of 10 s; starting a process takes {start:.1f} s\n")
    heading = ["processes", "clips", "clips/s", "without the start", "per second of a core"]
    table(heading, rows)
    line()


if __name__ == "__main__":
    main()
