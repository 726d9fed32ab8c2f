"""A stand-in for conda: what Snakemake asks of it, answered with virtual environments.

It knows the calls of `snakemake --use-conda` and refuses every other. An environment is a virtual
environment at the prefix that Snakemake chose. The packages of the file's `pip:` list are the very
files of the environment this program runs in, linked, or copied across devices; a pin of another
version is an error. Post-deploy scripts find a real pip there. What the conda channels would hold
cannot be tested so: of a program the stand-in takes the system's.

    install(folder)    ->  folder/bin/conda, folder/bin/activate: put folder/bin on the PATH

Each Python process of an environment leaves a note of where its modules came from in
`<prefix>/imports/`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path

import yaml

VERSION = "25.1.1"
PYTHON = f"python={sys.version_info.major}.{sys.version_info.minor}"
PROGRAMS = {"sox": "sox", "c-compiler": "cc"}
"""conda packages, and the program of each that the system must have."""
WITH_PIP = "SEDREPRO_STANDIN_PIP"
"""When set, the list is installed with pip, as conda does it: minutes instead of seconds."""

# Sourced under `set -euo pipefail`, as conda's own.
ACTIVATE = """\
export CONDA_PREFIX="$1" PATH="$1/bin:$PATH"
. "$1/variables.sh"
"""

NOTE = """\
import atexit, json, os, sys, time

def note():
    files = {name: getattr(module, "__file__", None) or list(getattr(module, "__path__", []))
             for name, module in list(sys.modules.items()) if module is not None}
    kept = {"argv": sys.argv, "modules": files, "path": sys.path,
            "no_user_site": os.environ.get("PYTHONNOUSERSITE")}
    folder = os.path.join(sys.prefix, "imports")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f"{time.time_ns()}.{os.getpid()}.json"), "w") as out:
        json.dump(kept, out)

atexit.register(note)
"""


class Refused(SystemExit):
    """What conda would have ended with; Snakemake shows it."""


def install(folder: Path) -> Path:
    """`conda` and `activate`, for the PATH; their folder."""
    target = folder / "bin"
    target.mkdir(parents=True)
    words = shlex.join([sys.executable, __file__, str(folder)])
    (target / "conda").write_text(f'#!/bin/sh\nexec {words} "$@"\n')
    (target / "conda").chmod(0o755)
    (target / "activate").write_text(ACTIVATE)
    return target


def main(base: str, words: list[str]) -> None:
    match words:
        case ["--version"]:
            print(f"conda {VERSION}")
        case ["info", "--json"]:
            system = f"{sys.platform}-{platform.machine().replace('x86_64', '64')}"
            print(json.dumps({"conda_prefix": base, "platform": system}))
        case ["config", "--get", "channel_priority", "--json"]:
            print(json.dumps({"get": {"channel_priority": "strict"}, "success": True}))
        case ["clean", *_]:
            pass
        case ["env", "create", *options]:
            parser = argparse.ArgumentParser()
            parser.add_argument("--file", type=Path, required=True)
            parser.add_argument("--prefix", type=Path, required=True)
            parser.add_argument("--quiet", action="store_true")
            parser.add_argument("--no-default-packages", action="store_true")
            given = parser.parse_args(options)
            create(yaml.safe_load(given.file.read_text()), given.prefix)
        case _:
            raise Refused(f"the stand-in for conda does not know: conda {shlex.join(words)}")


def create(file: dict, prefix: Path) -> None:
    """The environment a file describes."""
    unknown = file.keys() - {"channels", "dependencies", "variables"}
    if unknown:
        raise Refused(f"not understood in an environment file: {', '.join(unknown)}")
    if prefix.exists():
        raise Refused(f"prefix already exists: {prefix}")
    pins: list[str] = []
    programs: list[str] = []
    for entry in file["dependencies"]:
        if isinstance(entry, dict):
            pins += entry.pop("pip")
        elif entry not in (PYTHON, "pip"):
            programs.append(entry)
    environment(prefix, pins)
    for program in programs:
        if program not in PROGRAMS or not shutil.which(PROGRAMS[program]):
            raise Refused(f"PackagesNotFoundError: {program}")
        (prefix / "bin" / PROGRAMS[program]).symlink_to(shutil.which(PROGRAMS[program]))
    variables = file.get("variables", {}).items()
    lines = (f"export {name}={shlex.quote(str(value))}\n" for name, value in variables)
    (prefix / "variables.sh").write_text("".join(lines))


def environment(prefix: Path, pins: list[str]) -> None:
    """A virtual environment with pip and the pinned packages, and nothing else."""
    venv.create(prefix, symlinks=True)
    (site,) = prefix.glob("lib/python*/site-packages")
    link("pip", None, site)
    if os.environ.get(WITH_PIP):
        listed = prefix / "pip.txt"
        listed.write_text("\n".join(pins))
        command = [prefix / "bin/python", "-m", "pip", "install", "-U", "--exists-action=b"]
        subprocess.run([*command, "-r", listed], check=True)
    else:
        for pin in pins:
            name, equals, version = re.sub(r"\s", "", pin).partition("==")
            if not equals:
                raise Refused(f"not pinned: {pin}")
            link(name, version, site)
    # What pip would have fetched beyond the list, or refused.
    check = [prefix / "bin/python", "-m", "pip", "check"]
    checked = subprocess.run(check, capture_output=True, text=True)
    if checked.returncode:
        raise Refused(f"the list is not what pip would install: {checked.stdout}")
    (site / "sitecustomize.py").write_text(NOTE)


def link(name: str, version: str | None, site: Path) -> None:
    """Put a package of the running environment into another one, less its programs."""
    try:
        found = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        raise Refused(f"No matching distribution found for {name}=={version}") from None
    if version not in (None, found.version):
        raise Refused(f"{name}=={version} is asked for, the lock's environment has {found.version}")
    for file in found.files:
        source, target = found.locate_file(file), site / file
        if ".." in file.parts or target.exists():  # some files are listed twice
            continue
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            place(source, target)
        elif len(file.parts) > 1 and file.suffix in (".py", ".so"):
            # Older pips list a README and a setup.py that they leave out.
            raise Refused(f"{name}: {source} is gone")


def place(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another device
        shutil.copy2(source, target)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
