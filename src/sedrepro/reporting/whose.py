"""Whose recordings a table shows, and what follows for what is printed beside its scores."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..files import read_json
from ..papers import settings_models
from ..settings import Layout, Project, Run, Subset, plan, scored
from ..sources import registry
from ..sources.whose import OWN, RENDERED, Origin, declared, worst
from .records import Record, read_rows

MINIATURE = (
    "Miniature: synthetic look-alike data and a small network; it cannot be compared with the "
    "published numbers."
)
LOOK_ALIKES = "Synthetic look-alike data; they cannot be compared with the published numbers."
SMALL = "A small network, trained for a short time (scale: mini)."


@dataclass(frozen=True)
class Whose:
    """Whose recordings some rows were trained and scored on."""

    origins: Mapping[str, Origin] = field(default_factory=dict)
    """By corpus."""
    trees: Mapping[str, str] = field(default_factory=dict)
    """The folders of the user's own trees, by corpus."""
    small: bool = False
    """Whether networks are the miniature's."""

    def _kinds(self) -> set[str]:
        return {origin.kind for origin in self.origins.values()}

    @property
    def own(self) -> bool:
        """Whether any are the user's own: no published number is shown beside their scores."""
        return OWN in self._kinds()

    @property
    def rendered(self) -> bool:
        """Whether any were rendered here in the place of a download."""
        return RENDERED in self._kinds()

    @property
    def miniature(self) -> bool:
        """Whether all of it is made up here: data and networks."""
        return self.rendered and self.small and not self.own

    @property
    def word(self) -> str:
        """What a result set of it is called."""
        if self.own:
            return "own data"
        if self.rendered:
            return "miniature" if self.small else "look-alike data"
        return "small networks" if self.small else "full scale"

    @property
    def obstacle(self) -> str:
        """Why no score can be compared with a published number; empty if they can be."""
        if self.own:
            return "own data"
        if self.rendered:
            return "miniature: look-alike data" if self.small else "look-alike data"
        return "a small network (scale: mini)" if self.small else ""

    @property
    def notes(self) -> list[str]:
        """What is said of it under a table and on the page."""
        said = []
        for corpus, origin in self.origins.items():
            if origin.kind == OWN:
                tree = self.trees.get(corpus)
                where = f" ({Path(tree).name}, by data.{corpus}.local)" if tree else ""
                why = f": {origin.why}" if origin.why else ""
                said.append(f"Own data{where}{why}. Nothing is compared with published numbers.")
        if self.rendered and not self.own:
            return [MINIATURE if self.small else LOOK_ALIKES]
        return said + ([SMALL] if self.small else [])


def together(shown: Iterable[Whose]) -> Whose:
    """What several tables show."""
    all_of_them = list(shown)
    corpora = dict.fromkeys(corpus for one in all_of_them for corpus in one.origins)
    return Whose(
        {c: worst(one.origins[c] for one in all_of_them if c in one.origins) for c in corpora},
        {corpus: tree for one in all_of_them for corpus, tree in one.trees.items()},
        any(one.small for one in all_of_them),
    )


def whose(
    project: Project, paper: str, rows: Iterable[str], layout: Layout, found: Sequence[Record]
) -> Whose:
    """Whose recordings these rows of a paper read: by the settings, by clip tables and by runs.

    Any of them may be missing: clip tables where results were copied alone, runs before they are
    made. Rows that nobody asked for may be impossible under these settings; a table of nothing
    else shows what the paper's other rows do.
    """
    running = project.selected_rows(paper)
    there = {*running, *(record.run.row for record in found)}
    chosen = [row for row in dict.fromkeys(rows) if row in there] or running
    told: dict[str, list[Origin]] = {}
    for subset in dict.fromkeys(s for row in chosen for s in _subsets(project, paper, row)):
        known = told.setdefault(subset.corpus, [declared(project.data, subset.corpus)])
        known += map(Origin.read, read_rows(Path(layout.table(subset, "audit")), "\t"))
    for record in found:
        if record.run.row in chosen:
            for audit in _data(project, record, layout):
                if audit.get("corpus") in told:
                    told[audit["corpus"]].append(Origin.read(audit))
    trees = {corpus: tree for corpus in told if (tree := _tree(project, corpus))}
    origins = {corpus: worst(known) for corpus, known in sorted(told.items())}
    return Whose(origins, trees, project.scale == "mini")


def _tree(project: Project, corpus: str) -> str | None:
    return None if corpus == "snr_mix" else registry.local(project.data, corpus)


def _subsets(project: Project, paper: str, row: str) -> Iterator[Subset]:
    """What a row reads under its first condition; the others read other variants of the same."""
    spec = project.papers[paper]
    fold = spec.folds[0] if spec.folds else None
    run: Run | None = Run(paper, row, next(iter(spec.conditions)), project.seeds[0], fold)
    while run is not None:
        planned = plan(project, run, settings_models()[run.paper])
        yield from (subset for subset, _ in planned.inputs())
        run = planned.source


def _data(project: Project, record: Record, layout: Layout) -> list[dict]:
    """What a run read, or the run whose scores it decodes."""
    block = record.block("data")
    source = scored(project, record.run)
    if not block and source != record.run:
        try:
            block = read_json(layout.run(source, "run.json")).get("data", {})
        except (OSError, ValueError):
            block = {}
    return [audit for audit in block.values() if isinstance(audit, dict)]
