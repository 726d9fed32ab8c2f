#!/usr/bin/env python3
"""Fetch the public data that some tests compare with, and lay it out where they look for it.

Everything comes from the registry (config/datasets.yaml) with its checksums, by the code that
fetches it for papers. What nobody offers for download (golden outputs of the authors' networks)
stays absent, and its tests are skipped.
"""

from __future__ import annotations

import lzma
import shutil
import sys
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sedrepro.errors import SedreproError
from sedrepro.settings import Layout, Project
from sedrepro.sources import registry
from sedrepro.sources.fetch import Fetching
from sedrepro.sources.registry import Registry

FOLDER = ".test-data"


@dataclass(frozen=True)
class Piece:
    """One file the tests read: of which files of which resource it is made."""

    resource: str
    files: tuple[str, ...]
    source: str
    """Where its content lies in the raw tree: a file, or a folder that is packed."""
    inner: str = ""
    """A folder in it whose files move up in the archive."""


PIECES = {
    "desed-tables/metadata.tar.xz": Piece(
        "desed_metadata", ("weak.tsv", "unlabel_in_domain.tsv", "validation.tsv"), "metadata"
    ),
    "desed-operating-points/student.tar.xz": Piece(
        "dcase2021_detections", ("validation", "student"), "dcase2021", "student"
    ),
    "maestro/development_metadata.csv": Piece(
        "maestro_durations", ("development_metadata.csv",), "metadata/development_metadata.csv"
    ),
    "maestro/gt_dev.csv.xz": Piece("maestro_durations", ("gt_dev.csv",), "metadata/gt_dev.csv"),
    "ave/Annotations.txt": Piece("ave_annotations", ("Annotations.txt",), "data/Annotations.txt"),
    **{
        f"ave/{part}_order.h5": Piece("ave_orders", (f"{part}_order.h5",), f"data/{part}_order.h5")
        for part in ("train", "val", "test")
    },
    "snr-mix/fsdkaggle2018_train_post_competition.csv.xz": Piece(
        "fsdkaggle2018",
        ("FSDKaggle2018.meta.zip",),
        "FSDKaggle2018.meta/train_post_competition.csv",
    ),
    "snr-mix/tau2019_meta.csv.xz": Piece(
        "tau2019",
        ("TAU-urban-acoustic-scenes-2019-development.meta.zip",),
        "TAU-urban-acoustic-scenes-2019-development/meta.csv",
    ),
}


def fetch(name: str, piece: Piece, project: Project, known: Registry, folder: Path) -> None:
    """Make one piece, unless it is there."""
    target = folder / name
    if target.exists():
        return
    fetching = Fetching(piece.resource, known, project)
    for file in fetching.resource.files:
        if file.name.startswith(piece.files):
            outcome = fetching.file(file)
            if outcome.state != "ok":
                raise SedreproError(f"{name}: {outcome.reason}")
    source = Path(Layout.of(project).raw(fetching.resource.corpus)) / piece.source
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    if source.is_dir():
        pack(part, members(source, piece.inner))
    elif target.suffix == ".xz":
        part.write_bytes(lzma.compress(source.read_bytes()))
    else:
        shutil.copyfile(source, part)
    part.replace(target)


def members(source: Path, inner: str) -> Iterable[tuple[Path, str]]:
    """The files of a folder under their names in the archive; those of `inner` move up."""
    for path in sorted(source.rglob("*.[ct]sv")):
        place = path.relative_to(source)
        if place.parts[0] == inner:
            place = place.relative_to(inner)
        yield path, place.as_posix()


def pack(target: Path, listed: Iterable[tuple[Path, str]]) -> None:
    with tarfile.open(target, "w:xz") as archive:
        for path, name in listed:
            archive.add(path, name)


def main(folder: Path = Path(FOLDER)) -> int:
    """All pieces; what cannot be had is named, and the others are made."""
    known = registry.load()
    project = Project.model_validate({"data": {"folder": str(folder / "data")}})
    missing = 0
    for name, piece in PIECES.items():
        try:
            fetch(name, piece, project, known, folder)
        except SedreproError as error:
            print(f"error: {error}", file=sys.stderr)
            missing += 1
    print(f"{len(PIECES) - missing} of {len(PIECES)} files are in {folder}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
