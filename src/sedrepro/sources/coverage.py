"""Whether every subset that a paper names can be had at all: a resource must carry it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..errors import SedreproError
from ..settings import PaperSettings, Project, Subset, declared, named
from ..settings.explain import neighbour
from .registry import PATH, Registry


def check(project: Project, models: Mapping[str, type[PaperSettings]], known: Registry) -> None:
    """Refuse a subset of which the registry knows nothing: it would be planned as no files."""
    seen: set[Subset] = set()
    for paper, spec in project.papers.items():
        for row in spec.table:
            for condition in spec.conditions:
                settings = named(project, paper, row, condition, models[paper])
                if settings is None:
                    continue
                for part, subset in _subsets(settings):
                    if subset not in seen:
                        seen.add(subset)
                        _check(subset, known, f"papers.{paper}, row {row}: {part}")


def check_local(project: Project) -> None:
    """Refuse a tree of the user's own that is not there: jobs would find it missing one by one."""
    for corpus in type(project.data).model_fields:
        own = getattr(getattr(project.data, corpus), "local", None)
        if own and not Path(own).expanduser().is_dir():
            raise SedreproError(
                f"data.{corpus}.local: {own}: no such folder; name the folder of your copy, or "
                "leave the setting out to download"
            )


def _subsets(settings: PaperSettings) -> list[tuple[str, Subset]]:
    found = [(f"stream {s.name!r}", subset) for s in settings.streams() for subset in s.subsets]
    return found + [(f"set {held_out.name!r}", held_out.subset) for held_out in settings.held_out()]


def _check(subset: Subset, known: Registry, who: str) -> None:
    if declared.CORPORA[subset.corpus].mixed or known.carrying(subset.corpus, subset.name):
        return
    mine = [resource for resource in known.resources.values() if resource.corpus == subset.corpus]
    there = dict.fromkeys(name for resource in mine for name in resource.subsets)
    raise SedreproError(
        f"{PATH}: no resource carries subset {subset.name!r} of {subset.corpus}"
        f"{neighbour(subset.name, there)}, which {who} names; there are {', '.join(there)}"
    )
