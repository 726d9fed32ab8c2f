"""What `config/small.yaml` learns of stand-ins for a small tree of real clips.

OMP_NUM_THREADS=1 python benchmarks/small.py FOLDER [--cores 2] [--tree-only]

The tree has 200 strongly labelled clips (40 of them choose the checkpoint), 150 weakly labelled
ones, which also serve as the unlabelled ones, and 150 for validation; 10 seconds each, rendered.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
from machine import line, lines

from sedrepro import miniature
from sedrepro.settings import Layout, Project
from sedrepro.sources.desed import PLACES

CHECKOUT = Path(__file__).resolve().parents[1]
CLIPS = {"weak": 150, "validation": 150, "strong_real": 160, "public_eval": 40}
ROLE = {
    "weak": "weak",
    "validation": "validation",
    "strong_real": "synth_train",
    "public_eval": "synth_validation",
}
"""Which rendered subset plays which part in the tree."""
RESOURCES = ("metadata", *CLIPS)


def make_tree(tree: Path) -> None:
    """A tree in DESED's layout, as somebody with 500 recordings would have it."""
    project = Project.model_validate(
        {"data": {"folder": str(tree.parent / "rendered"), "look": {"seed": 11, "clips": CLIPS}}}
    )
    for name in RESOURCES:
        miniature.render(f"desed_{name}", project)
    rendered = Path(Layout.of(project).raw("desed"))
    for source, role in ROLE.items():
        for part in ("audio", "table"):
            place = tree / getattr(PLACES[role], part)
            place.parent.mkdir(parents=True, exist_ok=True)
            (rendered / getattr(PLACES[source], part)).rename(place)
    shutil.copytree(
        tree / PLACES["weak"].audio, tree / PLACES["unlabelled"].audio, copy_function=os.link
    )
    names = pd.read_csv(tree / PLACES["weak"].table, sep="\t")["filename"]
    names.to_csv(tree / PLACES["unlabelled"].table, index=False)
    shutil.rmtree(tree.parent / "rendered")


def report(folder: Path, seconds: float) -> None:
    """The curve of each training, its time, and the scores of every row."""
    results = folder / "results" / "tree"
    for history in sorted(results.glob("runs/lgc_sed/*/desed/seed42/history.csv")):
        row = history.parts[-4]
        epochs = pd.read_csv(history)
        print(f"\n{row}:\n{epochs.dropna(axis='columns', how='all').to_string(index=False)}")
    took = []
    for bench in sorted(results.glob("logs/*/*.bench")):
        last = pd.read_csv(bench, sep="\t").iloc[-1]
        took.append((bench.parent.name, bench.stem, f"{last.s:.0f}", f"{last.cpu_time:.0f}"))
    print("\n" + lines(("job", "of", "seconds", "of a core"), took) + "\n")
    cells = pd.read_csv(results / "tables" / "lgc_sed.csv")
    cells = cells[(cells.metric == "psds1") & (cells.model == "teacher") & cells.ours_mean.notna()]
    rows = [(c.row, c.set, c.implementation, f"{c.ours_mean:.3f}") for c in cells.itertuples()]
    print(lines(("row", "set", "implementation", "PSDS1"), rows))
    print(f"\nall of it took {seconds / 60:.1f} minutes")
    line()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a new or resumed working folder")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--tree-only", action="store_true", help="make the tree, train nothing")
    options = parser.parse_args()
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "tree").exists():
        make_tree(folder / "tree")
    if options.tree_only:
        return
    (folder / "tree.yaml").unlink(missing_ok=True)
    start = time.monotonic()
    snakemake = [sys.executable, "-m", "snakemake", "-s", str(CHECKOUT / "Snakefile"), "all"]
    snakemake += ["--directory", str(folder), "--cores", str(options.cores)]
    files = [str(CHECKOUT / "config" / "small.yaml"), str(folder / "tree.yaml")]
    check = [sys.executable, "-m", "sedrepro.cli", "new-data", str(folder / "tree")]
    subprocess.run([*check, "--out", files[1]], check=True, cwd=CHECKOUT)
    subprocess.run([*snakemake, "--configfile", *files], check=True)
    report(folder, time.monotonic() - start)


if __name__ == "__main__":
    main()
