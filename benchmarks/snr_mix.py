"""Mixing at a fixed SNR and its log-mel: clips per second and peak memory, beside a librosa loop.

    OMP_NUM_THREADS=1 python benchmarks/snr_mix.py [--clips 8000] [--workers 1] [--naive 40]

FSDKaggle2018 and TAU 2019 in their real numbers, layouts, rates and codecs; their 9,473 and 14,400
files are links to a few dozen rendered ones, so what is measured is work and memory, not the disk.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import soundfile
from machine import line, table

from sedrepro import audio
from sedrepro.mixtures import snr_mix
from sedrepro.settings import Layout, Project, Subset
from sedrepro.sources import fsdkaggle2018, scenes

FILES, SCENES, DISTINCT = 9473, 14400, 48
SUBSET, FRONT_END = Subset("snr_mix", "snr10"), "logmel64"


def project(clips: int) -> Project:
    return Project.model_validate({"data": {"snr_mix": {"clips_per_fold": clips // 4}}})


def lay_out(made: Project) -> None:
    """The raw trees: a few recordings under all the names of the real ones."""
    rng = np.random.default_rng(0)
    classes, sources = made.data.snr_mix.classes, Path("distinct")
    sources.mkdir()
    for index in range(DISTINCT):
        seconds = rng.uniform(0.3, 12)  # the mean of the training clips is near 4 s
        sound = 0.2 * rng.standard_normal(int(44100 * seconds))
        audio.write(sources / f"event{index}.wav", sound, 44100)
        both = 0.1 * rng.standard_normal((480000, 2))
        soundfile.write(sources / f"scene{index}.wav", both, 48000, subtype="PCM_24")
    rows = ["fname,label,manually_verified,freesound_id,license"]
    folder = fsdkaggle2018.root(made) / fsdkaggle2018.FOLDERS[0]
    folder.mkdir(parents=True)
    for index in range(FILES):
        name = f"{index:08x}.wav"
        os.link(sources / f"event{index % DISTINCT}.wav", folder / name)
        rows.append(f"{name},{classes[index % len(classes)]},{int(index % 5 < 2)},{index},CC0")
    meta = fsdkaggle2018.root(made) / fsdkaggle2018.TABLES[0]
    meta.parent.mkdir()
    meta.write_text("\n".join(rows))
    top = scenes.root(made)
    (top / "audio").mkdir(parents=True)
    lines = ["filename\tscene_label\tidentifier\tsource_label"]
    for index in range(SCENES):
        name = f"audio/park-lyon-{index}-{index}-a.wav"
        os.link(sources / f"scene{index % DISTINCT}.wav", top / name)
        lines.append(f"{name}\tpark\tlyon-{index}\ta")
    (top / "meta.csv").write_text("\n".join(lines))


def work(clips: int, workers: int) -> None:
    """What the jobs `recipe` and `extract` do, in one process; prints seconds and memory."""
    from sedrepro.features.extract import extract

    made, start = project(clips), time.perf_counter()
    snr_mix.write_recipe(made, SUBSET.name)
    drawn = time.perf_counter()
    store = Layout.of(made).store(SUBSET, FRONT_END)
    extract(made, SUBSET, FRONT_END, out=store, workers=workers)
    done = time.perf_counter()
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    size = os.path.getsize(store) / 2**30
    print(drawn - start, done - drawn, own, child, size)


def naive(made: Project, clips: int) -> float:
    """Clips per second of the loop one would write: librosa loads, everything in float arrays."""
    import librosa
    from scipy import signal

    filters = librosa.filters.mel(sr=32000, n_fft=2048, n_mels=64, fmin=50, fmax=16000)
    paths = [f"{snr_mix.recipe_path(made, SUBSET.name)}#{k:05d}" for k in range(clips + 1)]
    for number, path in enumerate(paths):
        if number == 1:  # the first call loads half of librosa
            start = time.perf_counter()
        mixture = snr_mix.mixture(path)
        scene, _ = librosa.load(mixture.scene, sr=32000, mono=True)
        scene = scene / np.sqrt(np.mean(scene**2))
        events = np.zeros(320000)
        for event in mixture.events:
            sound, _ = librosa.load(event.file, sr=32000, mono=True)
            sound = sound / np.sqrt(np.mean(sound**2)) * 10 ** (mixture.snr / 20)
            first, last = int(event.onset * 32000), int(event.offset * 32000)
            sound = sound[: last - first]
            events[first : first + len(sound)] = sound
        mixed = (events + scene[:320000]) / 2 / max(np.abs(events).max(), np.abs(scene).max())
        _, _, spectrum = signal.spectrogram(
            mixed,
            window=np.hamming(2048),
            nperseg=2048,
            noverlap=1024,
            detrend=False,
            mode="magnitude",
        )
        np.log(filters @ spectrum + 1e-8).astype(np.float32)
    return clips / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=8000, help="mixtures, a multiple of four")
    parser.add_argument("--workers", type=int, default=1, help="processes that mix")
    parser.add_argument("--naive", type=int, default=40, help="mixtures of the librosa loop")
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.clips, given.workers)
        return
    script = str(Path(__file__).resolve())
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        made = project(given.clips)
        lay_out(made)
        command = [sys.executable, script, "--work", "--clips", str(given.clips)]
        command += ["--workers", str(given.workers)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        recipe, extraction, own, child, size = map(float, done.stdout.split())
        loop = naive(made, given.naive)
    total = own + (child * given.workers if given.workers > 1 else 0)
    heading = ["mixtures", "processes", "recipe s", "clips/s", "librosa loop clips/s"]
    heading += ["peak memory GiB", "store GiB"]
    row = [given.clips, given.workers, f"{recipe:.1f}", f"{given.clips / extraction:.1f}"]
    table(heading, [[*row, f"{loop:.1f}", f"{total:.2f}", f"{size:.2f}"]])
    line()


if __name__ == "__main__":
    main()
