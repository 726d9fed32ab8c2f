"""`sedrepro predict` on a long recording: times real time and peak memory, whole process.

OMP_NUM_THREADS=1 python benchmarks/predict.py [--minutes 60]

Beside it stand its parts alone: reading and resampling the same file, and librosa doing so.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import soundfile
from machine import line, table

RATE = 44100
RUNS = (("lgc_sed", "mt"), ("cross_task_sod", "full"))


def record(path: Path, minutes: int) -> None:
    """Stereo noise with tones that come and go."""
    random = np.random.default_rng(0)
    time_axis = np.arange(60 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 2, subtype="PCM_16") as file:
        for minute in range(minutes):
            sound = random.normal(0, 0.02, (len(time_axis), 2))
            tone = np.sin(2 * np.pi * (300 + 20 * minute) * time_axis / RATE)
            sound[:, 0] += 0.2 * tone * (time_axis % (2 * RATE) < 0.7 * RATE)
            file.write(sound)


def finished(folder: Path, paper: str, row: str) -> None:
    """Write the folder of a run of the full-size network with random weights."""
    import torch

    from sedrepro import papers, settings
    from sedrepro.settings import Run

    models = papers.settings_models()
    project = settings.load(papers=models, root=Path(__file__).resolve().parents[1])
    run = Run(paper, row, next(iter(project.papers[paper].conditions)), 42)
    plan = settings.plan(project, run, models[paper])
    torch.manual_seed(0)
    cpu = torch.device("cpu")
    method = papers.method_of(paper, plan.method)(plan, steps_per_epoch=1, device=cpu, amp=False)
    networks = {name: network.state_dict() for name, network in method.networks.items()}
    folder.mkdir(parents=True)
    saved = {"plan": plan.describe(), "networks": {"headline": networks}, "method": method.state()}
    torch.save({"key": "", **saved}, folder / "checkpoint.pt")


def predicting(run: Path, recording: Path, out: Path) -> None:
    from sedrepro.cli import main

    main(["predict", "--run", str(run), str(recording), "--out", str(out), "--device", "cpu"])


def reading(recording: Path) -> None:
    from sedrepro import audio

    for _ in audio.stream(recording, 16000):
        pass


def reading_by_librosa(recording: Path) -> None:
    import librosa

    librosa.load(recording, sr=16000, res_type="soxr_hq")


def timed(work: Callable, *given: object) -> tuple[float, float]:
    """Seconds, imports included, and the peak GiB of this process."""
    start = time.perf_counter()
    work(*given)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return time.perf_counter() - start, peak


def alone(*given: object) -> tuple[float, float]:
    """`timed` in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(timed, *given).result()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=int, default=60)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    recording = folder / "long.wav"
    alone(record, recording, given.minutes)
    works: dict[str, tuple] = {}
    for paper, row in RUNS:
        alone(finished, folder / paper, paper, row)
        works[f"predict, {paper} {row}"] = (predicting, folder / paper, recording, folder / "out")
    works["reading alone, sedrepro"] = (reading, recording)
    works["reading alone, librosa"] = (reading_by_librosa, recording)
    rows = []
    for name, work in works.items():
        seconds, peak = alone(*work)
        rows.append([name, f"{seconds:.1f}", f"{60 * given.minutes / seconds:.0f}", f"{peak:.2f}"])
    table(["on one core", "s", "× real time", "peak GiB"], rows)
    line()


if __name__ == "__main__":
    main()
