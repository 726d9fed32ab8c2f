"""Type the commands of docs/tutorial.md in a copy of the checkout; write what the terminal said.

python tools/record_tutorial.py FOLDER [--more FILE ...]

The record is docs/tutorial.txt. With `--more`, settings are laid over the miniature's and
nothing is recorded but in FOLDER: so a test types everything in less time.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from documented import commands, files, read

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "tutorial.md"
RECORD = ROOT / "docs" / "tutorial.txt"
SET_UP = ("git clone", "make", "source")
MINI = "config/mini.yaml"
KEPT = 14
"""Lines of a long output that are kept at its beginning and at its end."""
MACHINE = ("Date", "Workflow ID", "Platform", "Host", "User", "Python version", "Command")
"""What Snakemake says of the machine: no part of the lesson."""


def typed() -> list[str]:
    """The tutorial's commands, less the set-up."""
    return [command for command in commands(read(PAGE)) if not command.startswith(SET_UP)]


def copy_checkout(folder: Path) -> None:
    """The tracked and new files, as a fresh clone has them."""
    words = ["git", "-C", str(ROOT), "ls-files", "-co", "--exclude-standard", "-z"]
    for name in subprocess.run(words, check=True, capture_output=True, text=True).stdout.split(
        "\0"
    ):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)


def run(command: str, folder: Path, more: list[str]) -> str:
    """What a command says; an error if it fails."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    dropped = {"PYTHONPATH", "SEDREPRO_DRIVER", "COVERAGE_PROCESS_CONFIG"}
    kept = {key: value for key, value in os.environ.items() if key not in dropped}
    done = subprocess.run(
        ["bash", "-euc", command.replace(MINI, " ".join([MINI, *more]))],
        cwd=folder,
        env={**kept, "PATH": path, "COLUMNS": "100", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    # `sedrepro diff` ends with 1 where something differs, as diff does.
    if done.returncode and not (command.startswith("sedrepro diff") and done.returncode == 1):
        raise SystemExit(f"{command}\n{done.stdout}")
    return done.stdout


def shortened(text: str, folder: Path) -> str:
    """The beginning and the end of a long output, without the name of the folder."""
    lines = re.sub(re.escape(str(folder)), "~/sedrepro", text).rstrip().splitlines()
    lines = [line for line in lines if not line.strip().startswith(tuple(f"{m}:" for m in MACHINE))]
    if len(lines) > 2 * KEPT:
        left_out = len(lines) - 2 * KEPT
        lines = [*lines[:KEPT], f"… {left_out} lines …", *lines[-KEPT:]]
    return "\n".join(line.rstrip()[:120] for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--more", nargs="+", default=[], metavar="FILE", help="further settings")
    options = parser.parse_args()
    folder = options.folder.resolve()
    copy_checkout(folder)
    for name, text in files(read(PAGE)):
        (folder / name).write_text(text, encoding="utf-8")
    said = []
    for command in typed():
        said.append(f"$ {command}\n{shortened(run(command, folder, options.more), folder)}\n")
        print(said[-1], flush=True)
    record = folder / "tutorial.txt" if options.more else RECORD
    record.write_text("\n".join(said), encoding="utf-8")


if __name__ == "__main__":
    main()
