"""Trained systems of others: where what they released lies, and why it cannot be used."""

from __future__ import annotations

from pathlib import Path

from ..errors import SedreproError
from ..files import read_json
from ..settings import Layout, Project
from ..settings.project import Released
from . import registry

CORPUS = "released"


def place(released: Released, project: Project) -> Path:
    """The checkpoint, or the folder of tables.

    A folder in the place of a checkpoint is an unpacked archive: its only .ckpt file is meant.
    """
    path = registry.raw(project, CORPUS) / released.path
    if released.has_detections or not path.is_dir():
        return path
    found = sorted(path.rglob("*.ckpt"))
    if len(found) != 1:
        named = ", ".join(file.name for file in found) or "none"
        raise SedreproError(f"{path}: must hold one .ckpt file; it holds {named}")
    return found[0]


def tables(released: Released, project: Project) -> dict[str, Path]:
    """What comes with detections: `at`, `truth` and `durations`, as far as they are named."""
    named = {name: getattr(released, name) for name in ("at", "truth", "durations")}
    root = registry.raw(project, CORPUS)
    return {name: root / path for name, path in named.items() if path}


def lacking(released: Released, project: Project) -> str | None:
    """Why the system cannot be scored, or None."""
    needed = [place(released, project), *tables(released, project).values()]
    absent = [path for path in needed if not path.exists()]
    if not absent:
        return None
    status = Path(Layout.of(project).status(released.resource))
    reason = read_json(status)["reason"] if status.exists() else ""
    return f"{released.resource}: {reason or f'{absent[0]} does not exist'}"
