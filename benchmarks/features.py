"""Log-mel extraction: clips per second and peak memory, beside torchaudio's and librosa's own.

    OMP_NUM_THREADS=1 python benchmarks/features.py [--repeats 3]

Clips are 10 s at 16 kHz in 16 bit; the front end is LGC-SED's (128 bands, 2048-point transform).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py
import librosa
import numpy as np
import soundfile
import torch
import torchaudio
from machine import line, rate, table

from sedrepro import audio, tables
from sedrepro.clips import Clip
from sedrepro.features.extract import extract
from sedrepro.features.front_ends import Mel
from sedrepro.features.normalise import decibels
from sedrepro.settings import FrontEnd, Layout, Project, Subset

FRONT_END = FrontEnd()
PROJECT = Project.model_validate({"front_ends": {"mel": FRONT_END}})
SUBSET = Subset("desed", "weak")
FILES = 100  # different recordings; larger sets go round
SAMPLES = 0.1 * np.random.default_rng(0).standard_normal((FILES, 160000)).astype("float32")


def ours(mel: Mel, samples: np.ndarray) -> np.ndarray:
    return decibels(mel(torch.from_numpy(samples))).numpy()


def with_torchaudio(transform: torch.nn.Module, samples: np.ndarray) -> np.ndarray:
    magnitude = transform(torch.from_numpy(samples))
    return torchaudio.functional.amplitude_to_DB(magnitude, 20.0, 1e-5, 0.0).numpy()


def with_librosa(samples: np.ndarray) -> np.ndarray:
    magnitude = librosa.feature.melspectrogram(
        y=samples,
        sr=16000,
        n_fft=2048,
        hop_length=256,
        window="hamming",
        power=1.0,
        n_mels=128,
        fmin=0,
        fmax=8000,
        htk=True,
        norm=None,
    )
    return librosa.amplitude_to_db(magnitude, ref=1.0, amin=1e-5, top_db=None)


def candidates() -> dict:
    mel = Mel(FRONT_END)
    plain = torchaudio.transforms.MelSpectrogram(16000, 2048, hop_length=256, n_mels=128, power=1)
    return {
        "sedrepro": lambda samples: ours(mel, samples),
        "torchaudio": lambda samples: with_torchaudio(plain, samples),
        "librosa": with_librosa,
    }


def write_clips(count: int) -> None:
    for number, samples in enumerate(SAMPLES):
        audio.write(f"{number}.wav", samples, 16000)
    clips = tables.clip_table(
        Clip(str(index), SUBSET.name, 10.0, path=f"{index % FILES}.wav") for index in range(count)
    )
    tables.write(Layout.of(PROJECT).table(SUBSET, "clips"), clips, tables.CLIPS)


def by_hand(compute, count: int) -> None:
    """The loop one would write: read, transform, append to an HDF5 file."""
    with h5py.File("by-hand.h5", "w") as file:
        data = file.create_dataset("data", (count, 128, 626), "float16", chunks=(1, 128, 626))
        for index in range(count):
            samples, _ = soundfile.read(f"{index % FILES}.wav", dtype="float32")
            data[index] = compute(samples)


# A process that does nothing else, as the workflow's jobs. The kernel's peak of this very process:
# ru_maxrss would start from its parent's.
ALONE = """
import sys
from pathlib import Path
from sedrepro.features.extract import extract
from sedrepro.settings import Project, Subset
if __name__ == "__main__":
    project = Project.model_validate({"front_ends": {"mel": {}}})
    extract(project, Subset("desed", "weak"), "mel", out=sys.argv[1], workers=int(sys.argv[2]))
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
"""


def job(out: str, workers: int) -> subprocess.Popen:
    command = [sys.executable, "alone.py", out, str(workers)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def peak(count: int) -> float:
    """Peak memory in MiB of an extraction in one process."""
    write_clips(count)
    return float(job("alone.h5", 1).communicate()[0])


def finish(*jobs: subprocess.Popen) -> None:
    for each in jobs:
        each.communicate()
        assert each.returncode == 0


def in_turn(ways: dict[str, Callable[[], object]], clips: int, repeats: int) -> dict:
    """Each way's speeds. In turn, so that a machine whose speed drifts treats all alike."""
    speeds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            speeds[name].append(rate(way, clips))
    return {name: np.array(values) for name, values in speeds.items()}


def alone_and_whole(clips: int, repeats: int) -> list[list[str]]:
    write_clips(clips)
    transforms = candidates()
    alone = {
        name: lambda run=run: [run(clip) for clip in SAMPLES] for name, run in transforms.items()
    }
    whole = {name: lambda run=run: by_hand(run, clips) for name, run in transforms.items()}
    whole["sedrepro"] = lambda: extract(PROJECT, SUBSET, "mel", out="ours.h5")
    with torch.inference_mode():
        in_turn(alone, FILES, 1)  # imports and plans are made on the first call
        first, second = in_turn(alone, FILES, repeats), in_turn(whole, clips, repeats)
    return [
        [name, f"{np.median(first[name]):.0f}", f"{np.median(second[name]):.0f}"]
        for name in transforms
    ]


def gains(clips: int, repeats: int) -> list[list[str]]:
    """Jobs of one and of two workers, and two jobs at once: what the machine has to give."""
    write_clips(clips)
    speeds = in_turn(
        {
            "1 worker": lambda: finish(job("one.h5", 1)),
            "2 workers": lambda: finish(job("two.h5", 2)),
            "two jobs of 1 worker at once": lambda: finish(job("a.h5", 1), job("b.h5", 1)),
        },
        clips,
        repeats,
    )
    speeds["two jobs of 1 worker at once"] *= 2  # each has all the clips
    return [
        [name, f"{np.median(speed):.0f}", f"{np.median(speed / speeds['1 worker']):.2f}"]
        for name, speed in speeds.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=1000, help="clips of the first table")
    parser.add_argument("--jobs", type=int, default=10000, help="clips of the second table")
    parser.add_argument("--many", type=int, default=5000, help="clips of the memory test")
    parser.add_argument("--repeats", type=int, default=3, help="of which medians are printed")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("alone.py").write_text(ALONE)
        print(f"10 s clips per second, one process, {given.clips} clips\n")
        rows = alone_and_whole(given.clips, given.repeats)
        table(["", "log-mel alone", "wav to HDF5"], rows)

        print(f"Jobs that extract {given.jobs} clips, from their start to their end\n")
        table(["", "clips/s", "gain"], gains(given.jobs, given.repeats))

        small, large = peak(500), peak(given.many)
        print("Peak memory of extraction in one process\n")
        rows = [[f"{small:.0f}", f"{large:.0f}", f"{100 * (large / small - 1):+.1f} %"]]
        table(["MiB at 500 clips", f"MiB at {given.many}", "difference"], rows)
    line()


if __name__ == "__main__":
    main()
