"""What one fetch is about: a resource, where its files go, with whom it talks, and how it went."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ..settings import Layout, Project
from . import http, registry, verify
from .registry import Registry
from .session import HOSTS, Session

State = Literal["ok", "partial", "absent", "arriving"]


@dataclass
class Outcome:
    """How one file (or a set of clips) went."""

    name: str
    state: State
    reason: str = ""
    files: int = 0
    bytes: int = 0


class Errand:
    """A resource to be fetched, and what the fetch of its files and of its clips need to know."""

    def __init__(self, name: str, known: Registry, project: Project) -> None:
        data, resource = project.data_folder, known[name]
        self.name = name
        self.resource = resource
        self.known = known
        self.data = data
        self.project = project
        self.settings = project.data.fetch
        self.raw = Path(Layout.of(project).raw(resource.corpus))
        self.downloads = Path(registry.downloads(data, name))
        self.lock = verify.Lock(data)
        self.session = Session(self.settings, Path(data) / "downloads" / HOSTS)

    @cached_property
    def record(self) -> dict[str, Any]:
        """The host's own word on sizes and checksums; asked at most once."""
        return http.read_record(self.resource.record, self.session) if self.resource.record else {}
