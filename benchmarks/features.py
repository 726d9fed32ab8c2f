"""Log-mel extraction: clips per second and peak memory, beside torchaudio's and librosa's own.

    OMP_NUM_THREADS=1 python benchmarks/features.py [--clips 1000] [--many 5000]

Clips are 10 s at 16 kHz in 16 bit; the front end is LGC-SED's (128 bands, 2048-point transform).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py
import librosa
import numpy as np
import pandas as pd
import soundfile
import torch
import torchaudio
from machine import line, rate, table

from sedrepro import audio, tables
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
    clips = pd.DataFrame(
        {
            "clip": [str(index) for index in range(count)],
            "subset": SUBSET.name,
            "path": [f"{index % FILES}.wav" for index in range(count)],
            "seconds": 10.0,
            "fold": "",
        }
    )
    tables.write(Layout.of(PROJECT).table(SUBSET, "clips"), clips, tables.CLIPS)


def by_hand(compute, count: int) -> None:
    """The loop one would write: read, transform, append to an HDF5 file."""
    with h5py.File("by-hand.h5", "w") as file:
        data = file.create_dataset("data", (count, 128, 626), "float16", chunks=(1, 128, 626))
        for index in range(count):
            samples, _ = soundfile.read(f"{index % FILES}.wav", dtype="float32")
            data[index] = compute(samples)


# The kernel's peak of this very process: ru_maxrss would start from its parent's.
ALONE = """
from pathlib import Path
from sedrepro.features.extract import extract
from sedrepro.settings import Project, Subset
if __name__ == "__main__":
    project = Project.model_validate({"front_ends": {"mel": {}}})
    extract(project, Subset("desed", "weak"), "mel", out="alone.h5")
    status = Path("/proc/self/status").read_text()
    print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
"""


def peak(count: int) -> float:
    """Peak memory in MiB of the extracting process, in a process that does nothing else."""
    write_clips(count)
    Path("alone.py").write_text(ALONE)
    return float(subprocess.check_output([sys.executable, "alone.py"], text=True))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=1000, help="clips per timing")
    parser.add_argument("--many", type=int, default=5000, help="clips of the memory test")
    given = parser.parse_args()
    torch.set_num_threads(1)
    os.chdir(tempfile.mkdtemp())
    write_clips(given.clips)
    names, rows = candidates(), []
    for name, compute in names.items():
        compute(SAMPLES[0])  # imports and plans are made on the first call
        with torch.inference_mode():
            alone = rate(lambda run=compute: [run(clip) for clip in SAMPLES], FILES)
            if name == "sedrepro":
                whole = rate(lambda: extract(PROJECT, SUBSET, "mel", out="ours.h5"), given.clips)
            else:
                whole = rate(lambda run=compute: by_hand(run, given.clips), given.clips)
        rows.append([name, f"{alone:.0f}", f"{whole:.0f}"])
    print(f"10 s clips per second, one process, {given.clips} clips\n")
    table(["", "log-mel alone", "wav to HDF5"], rows)

    write_clips(given.many)
    rows, single = [], 0.0
    for workers in (1, 2):
        speed = rate(
            lambda n=workers: extract(PROJECT, SUBSET, "mel", out="ours.h5", workers=n), given.many
        )
        single = single or speed
        rows.append([workers, f"{speed:.0f}", f"{speed / single:.2f}"])
    print(f"Extraction of {given.many} clips, worker processes' start included\n")
    table(["workers", "clips/s", "gain"], rows)

    small, large = peak(500), peak(given.many)
    print("Peak memory of extraction in one process\n")
    rows = [[f"{small:.0f}", f"{large:.0f}", f"{100 * (large / small - 1):+.1f} %"]]
    table(["MiB at 500 clips", f"MiB at {given.many}", "difference"], rows)
    line()


if __name__ == "__main__":
    main()
