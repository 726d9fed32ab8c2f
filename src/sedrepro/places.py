"""The checkout has the code and the defaults, the working folder what is made with them.

They are the same unless Snakemake is told `--directory`, or another workflow imports this one. The
driver then marks the working folder with its checkout. Jobs and commands find both from there.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from .errors import SedreproError

MARK = Path(".snakemake") / "sedrepro.json"


@dataclass(frozen=True)
class Place:
    """Where somebody stands."""

    folder: Path
    checkout: Path


def top() -> Path | None:
    """The working folder that we are in, looked for upwards, as git does."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / MARK).is_file() or _is_checkout(folder):
            return folder
    return None


def find() -> Place:
    """The working folder that we are in, and its checkout."""
    folder = top()
    if folder is None:
        raise SedreproError(
            f"{Path.cwd()}: sedrepro is not at work here: go to its checkout, or set up this "
            "folder with `snakemake -n all --directory . -s CHECKOUT/Snakefile`"
        )
    note = folder / MARK
    if not note.is_file():
        return Place(folder, folder)
    try:
        marked = Path(json.loads(note.read_text(encoding="utf-8"))["checkout"])
    except (OSError, ValueError, KeyError, TypeError):
        raise SedreproError(f"{note}: not readable; delete it and start Snakemake again") from None
    if not _is_checkout(marked):
        raise SedreproError(
            f"{folder}: its checkout {marked} is no longer there; tell it the new one with "
            f"`snakemake -n all --directory {folder} -s CHECKOUT/Snakefile`"
        )
    return Place(folder, marked)


def checkout() -> Path:
    """The checkout of the working folder that we are in."""
    return find().checkout


def mark(folder: str | Path, root: str | Path) -> None:
    """Note in a working folder that its checkout is `root`."""
    path = Path(folder) / MARK
    with contextlib.suppress(OSError):  # nothing can be written, so nothing is run here either
        if os.path.samefile(folder, root):
            path.unlink(missing_ok=True)  # a checkout is its own, also after it was moved
            return
        path.parent.mkdir(exist_ok=True)
        text = json.dumps({"checkout": str(Path(root).resolve())}) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def typed(path: str) -> Path:
    """A path from the command line, such that it still holds in the working folder."""
    return Path(path) if top() in (None, Path.cwd()) else Path(path).absolute()


def typed_run(run: str) -> str:
    """A run's name, or its folder: that it is if something lies there."""
    return str(typed(run)) if Path(run).exists() else run


def _is_checkout(folder: Path) -> bool:
    return (folder / "config" / "datasets.yaml").is_file() and (folder / "src/sedrepro").is_dir()
