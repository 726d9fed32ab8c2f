"""Urban scene recordings on disk: TAU 2019 and TUT 2018 development sets share one layout."""

from __future__ import annotations

from pathlib import Path

from .. import tables
from ..settings import Layout, Project

TOPS = {
    "tau2019": "TAU-urban-acoustic-scenes-2019-development",
    "tut2018": "TUT-urban-acoustic-scenes-2018-development",
}


def root(project: Project) -> Path:
    """The folder that holds meta.csv; a user's own copy may be it, or hold it."""
    corpus = project.data.snr_mix.scenes
    local = getattr(project.data, corpus).local
    if local is None:
        return Path(Layout.of(project).raw(corpus)) / TOPS[corpus]
    own = Path(local).expanduser()
    return own if (own / "meta.csv").exists() else own / TOPS[corpus]


def read(project: Project) -> list[str] | None:
    """Every recording as the table lists it (`audio/<name>.wav`), in its order; None: no table."""
    path = root(project) / "meta.csv"
    return read_table(path) if path.exists() else None


def read_table(path: Path) -> list[str]:
    return tables.read(path, ["filename"])["filename"].tolist()
