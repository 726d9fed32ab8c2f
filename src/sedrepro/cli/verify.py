"""`sedrepro verify`: check the chain of keys and say what does not hold. Reads everything."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .. import chain, papers, settings
from ..errors import SedreproError
from ..evaluation.external import content_of
from ..files import file_digest
from ..mixtures import origins
from ..reporting import sealing
from ..reporting.externals import scored
from ..reporting.records import DONE, MISSING, UNFINISHED, Record, records
from ..settings import Layout, Project, Subset
from ..store import Store
from ..training.state import OUTPUTS


class ChainCheck:
    """What was looked at, and what is wrong with it."""

    def __init__(self, project: Project, layout: Layout, root: str | Path) -> None:
        self.project = project
        self.layout = layout
        self.root = root
        self.looked_at = 0
        self.problems: list[str] = []

    def run(self) -> None:
        """From clip tables to the page."""
        stores = self._stores()
        for subset in dict.fromkeys(subset for subset, _ in stores):
            self._look(self.layout.tables_key(subset), self._tables(subset))
        for subset, front_end in stores:
            path = self.layout.store(subset, front_end)
            self._look(path, self._store(Path(path), subset))
        shown: list[Record] = []
        for paper in self.project.selected_papers():
            found = records(self.project, paper, self.layout)
            for record in found:
                self._look(str(record.folder), self._run(record))
            systems = scored(self.layout, paper)
            for record in systems:
                self._look(str(record.folder), self._external(record))
            shown += [*found, *systems]
            for part, drawn in (
                (f"tables/{paper}", [*found, *systems]),
                (f"figures/{paper}", found),
            ):
                self._look(self.layout.results_key(part), self._results(part, [paper], drawn))
        chosen = self.project.selected_papers()
        self._look(self.layout.results_key("report"), self._results("report", chosen, shown))

    def _look(self, path: str, found: Iterator[str]) -> None:
        """Problems of one artefact; what was never made is none."""
        if not Path(path).exists():
            return
        self.looked_at += 1
        try:
            self.problems += found
        except SedreproError as error:
            self.problems.append(str(error))

    def _stores(self) -> list[tuple[Subset, str]]:
        """Every store that a selected run reads."""
        models = papers.settings_models()
        found: dict[tuple[Subset, str], None] = {}
        for paper in self.project.selected_papers():
            for run in settings.runs(self.project, paper):
                found |= dict.fromkeys(settings.plan(self.project, run, models[paper]).inputs())
        return list(found)

    def _tables(self, subset: Subset) -> Iterator[str]:
        path = self.layout.tables_key(subset)
        described = chain.read_seal(path, "tables")
        yield from chain.changed_files(path, described)
        if origins.recordings(subset, self.layout) != described["recordings"]:
            yield f"{path}: the recordings are not those the tables were made of"

    def _store(self, path: Path, subset: Subset) -> Iterator[str]:
        store = Store(path)
        if why := chain.other_schema("store", store.origin):
            yield f"{path}: {why}"
            return
        store.verify()
        parents = store.origin["parents"]
        here = origins.of_clips(subset, self.layout)
        if "clips" in parents and {name: parents[name] for name in here} != here:
            yield f"{path}: made of other clips than those the tables list now"

    def _run(self, record: Record) -> Iterator[str]:
        if record.state == UNFINISHED:
            yield f"{record.folder}: {record.reason}"
        for name, content in record.block("content").items():
            path = record.file(name)
            if not path.exists():
                yield f"{path}: is gone"
            elif file_digest(path) != content:
                yield f"{path}: was changed after it was written"
        if record.state not in (DONE, MISSING) or not record.described:
            return
        if not all(record.file(name).exists() for name in OUTPUTS):
            yield f"{record.folder}: not whole"

    def _external(self, record: Record) -> Iterator[str]:
        """A system that was scored: what it was scored from, as far as that still lies there."""
        if not record.done:
            yield record.reason
            return
        for what, path in record.block("paths").items():
            given = record.described["parents"]["files"][what]
            if Path(path).exists() and content_of(Path(path)) != given:
                yield f"{record.folder}: {path} was changed since it was scored"
        for name, content in record.block("content").items():
            if not record.file(name).exists() or file_digest(record.file(name)) != content:
                yield f"{record.file(name)}: was changed after it was written"

    def _results(self, part: str, chosen: list[str], found: list[Record]) -> Iterator[str]:
        path = self.layout.results_key(part)
        described = chain.read_seal(path, "results")
        yield from chain.changed_files(path, described)
        if why := sealing.stale(part, self.project, chosen, found, self.layout, self.root):
            yield why


def text(check: ChainCheck) -> str:
    """The problems, a line each, and how much was looked at."""
    count = len(check.problems)
    verdict = "every link holds" if not count else f"{count} do not hold"
    return "\n".join([*check.problems, f"{check.looked_at} artefacts: {verdict}"])
