"""Pre-trained weights: where a resource's file lies, and why it cannot be used."""

from __future__ import annotations

from pathlib import Path

from ..files import read_json
from ..settings import Layout, Project
from . import registry


def path(resource: str, project: Project) -> Path:
    """The file of a resource of weights."""
    own = registry.local(project.data, "weights")
    root = Path(own).expanduser() if own else Path(Layout.of(project).raw("weights"))
    file = registry.load()[resource].files[0]
    return root / (file.place or file.name)


def lacking(resource: str, project: Project) -> str | None:
    """Why the weights cannot be used, or None."""
    if (file := path(resource, project)).exists():
        return None
    status = Path(Layout.of(project).status(resource))
    reason = read_json(status)["reason"] if status.exists() else ""
    return f"weights {resource}: {reason or f'{file} does not exist'}"
