"""Write envs/*.yaml and their post-deploy scripts: the subset of requirements.lock a stage needs.

Snakemake builds these conda environments with `--use-conda`; everything but programs comes from
pip, with the lock's own pins, so that a job sees the same versions whichever way it is run.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

COMMON = ["h5py", "numpy", "pandas", "psutil", "pydantic", "pyyaml", "scipy", "soundfile", "soxr"]

# What the scripts of the stages import, and the programs from conda-forge these need.
ENVIRONMENTS = {
    "data": {
        "stages": "sources, mixtures and features",
        "programs": {"sox": "scaper's pitch shift and reverb"},
        "packages": [
            *("av", "dcase-util", "desed", "gdown", "jams", "librosa", "scaper", "setuptools"),
            *("deno", "requests", "sox", "torch", "torchaudio", "tqdm", "yt-dlp", "yt-dlp-ejs"),
        ],
    },
    "torch": {
        "stages": "training, and what runs networks",
        "programs": {},
        "packages": ["av", "nvidia-ml-py", "scikit-learn", "threadpoolctl", "torch", "torchaudio"],
    },
    "report": {
        "stages": "evaluation and reporting",
        "programs": {"c-compiler": "sed_scores_eval is built from source"},
        "packages": [
            *(
                "av",
                "dcase-util",
                "jinja2",
                "matplotlib",
                "psds-eval",
                "sed-eval",
                "sed-scores-eval",
            ),
            *("markupsafe", "scikit-learn", "setuptools"),
        ],
    },
}

# Packages that declare a requirement we leave out on purpose (requirements.overrides) or need one
# that does: pip would refuse or fetch it, so they are installed afterwards, without dependencies.
WITHOUT_DEPENDENCIES = {"scaper", "desed", "sed-scores-eval"}

# conda's Python prefers what the user once installed with `pip install --user`.
VARIABLES = ["variables:", '  PYTHONNOUSERSITE: "1"']

HEADER = "# Generated from requirements.lock by `make lock` (tools/write_envs.py); do not edit.\n"


def read_lock(text: str) -> dict[str, tuple[str, set[str]]]:
    """Each pinned package: its version, and the packages that asked for it (uv's `via` notes)."""
    lock: dict[str, tuple[str, set[str]]] = {}
    for line in text.splitlines():
        if pin := re.match(r"([a-z0-9-]+)==(\S+)", line):
            parents: set[str] = set()
            lock[pin[1]] = (pin[2], parents)
        elif parent := re.fullmatch(r" +# +(?:via +)?(?!via$)([a-z0-9-]+)", line):
            parents.add(parent[1])
    return lock


def closure(lock: dict[str, tuple[str, set[str]]], roots: list[str]) -> list[str]:
    """`roots` and everything they need, in the lock's order."""
    needed = set(roots)
    while more := {name for name, (_, parents) in lock.items() if parents & needed} - needed:
        needed |= more
    return [name for name in lock if name in needed]


def render(lock: dict[str, tuple[str, set[str]]]) -> dict[str, str]:
    """File names below the checkout with the text they should have."""
    files = {}
    for name, environment in ENVIRONMENTS.items():
        packages = closure(lock, [*COMMON, *environment["packages"]])
        programs = [f"  - {program} # {why}" for program, why in environment["programs"].items()]
        pins = [f"{package}=={lock[package][0]}" for package in packages]
        listed = [
            f"      - {pin}" for pin in pins if pin.split("==")[0] not in WITHOUT_DEPENDENCIES
        ]
        head = [f"# What the jobs of {environment['stages']} need.", "channels:", "  - conda-forge"]
        head += ["  - nodefaults", *VARIABLES, "dependencies:", "  - python=3.11", "  - pip"]
        lines = [*head, *programs, "  - pip:", *listed]
        files[f"envs/{name}.yaml"] = HEADER + "\n".join(lines) + "\n"
        alone = [pin for pin in pins if pin.split("==")[0] in WITHOUT_DEPENDENCIES]
        if alone:
            files[f"envs/{name}.post-deploy.sh"] = (
                f"#!/usr/bin/env bash\n{HEADER}"
                "# These ask for packages that are left out on purpose (requirements.overrides).\n"
                f"set -euo pipefail\npython -m pip install --no-deps {' '.join(alone)}\n"
            )
    return files


if __name__ == "__main__":
    for path, text in render(read_lock((ROOT / "requirements.lock").read_text())).items():
        (ROOT / path).write_text(text)
        sys.stdout.write(f"{path}\n")
