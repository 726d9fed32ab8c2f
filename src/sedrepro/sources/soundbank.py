"""DESED's sound bank as soundscapes are mixed from it, arranged from the archives it comes in.

The archives lie under `original/` as they were unpacked; `audio/<split>/soundbank/` holds links to
them. Backgrounds are the clips of SINS and TUT 2017 without target events, as DESED chose them; the
validation split is the list that comes with the bank (a tenth of it).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from ..settings import Project
from . import registry
from .unpack import place

# Where each background corpus is unpacked, its name in the bank, and the classes that are kept.
BACKGROUNDS = (
    ("DCASE2018-task5-dev", "sins", {"other"}),
    ("TUT-acoustic-scenes-2017-development", "tut-scenes-2017-dev", {"home", "office", "library"}),
)

SINS = 2060
"""Clips of SINS without target events."""


def root(project: Project) -> Path:
    """The arranged bank, or the user's own."""
    return registry.raw(project, "desed_soundbank")


def arrange(root: Path) -> str:
    """Link everything that is there to where it belongs; say what is missing of SINS."""
    original = root / "original"
    held_out = _held_out(original / "soundbank_validation.tsv")
    for name, source in (*_bank(original), *_backgrounds(original)):
        validation = name.replace("audio/train/", "audio/validation/", 1)
        target = root / (validation if validation in held_out else name)
        if not target.exists():
            place(source, target)
    found = sum(1 for _ in (root / "audio").glob("*/soundbank/background/sins/*.wav"))
    return f"{found:,} of {SINS:,} backgrounds of SINS are there" if found < SINS else ""


def _bank(original: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted((original / "audio").rglob("*.wav")):
        yield path.relative_to(original).as_posix(), path


def _backgrounds(original: Path) -> Iterator[tuple[str, Path]]:
    for folder, label, kept in BACKGROUNDS:
        table = original / folder / "meta.txt"
        if not table.exists():
            continue
        with open(table, encoding="utf-8", newline="") as handle:
            for row in csv.reader(handle, delimiter="\t"):
                path = original / folder / "audio" / Path(row[0]).name
                if len(row) > 1 and row[1] in kept and path.exists():
                    yield f"audio/train/soundbank/background/{label}/{path.name}", path


def _held_out(table: Path) -> set[str]:
    if not table.exists():
        return set()
    with open(table, encoding="utf-8", newline="") as handle:
        return {row["filepath"] for row in csv.DictReader(handle, delimiter="\t")}
