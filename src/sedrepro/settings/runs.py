"""Runs, and the one place that knows where every file lies."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ..errors import SedreproError
from ..files import file_digest
from .blocks import FrontEnd
from .declared import CORPORA
from .paper import PaperSettings
from .project import Project, Released, Report
from .rows import settled
from .streams import Grid, HeldOut, Stream, Subset

TABLES = ("clips", "events", "audit")
"""The clip tables of a subset."""
IDENTITY = ("paper", "row", "condition", "fold", "seed", "kind", "source")
"""What of a described run names it."""
MADE_WITH = ("settings", "front_ends", "classes", "method", "released")
"""The rest of it: what the run is made with."""


@dataclass(frozen=True)
class Run:
    """paper × row × condition × fold × seed, and nothing else."""

    paper: str
    row: str
    condition: str
    seed: int
    fold: int | None = None

    @property
    def variant(self) -> str:
        return self.condition if self.fold is None else f"{self.condition}.fold{self.fold}"

    @property
    def folder(self) -> str:
        return f"{self.paper}/{self.row}/{self.variant}/seed{self.seed}"

    def __str__(self) -> str:
        return self.folder

    @classmethod
    def parse(cls, folder: str) -> Run:
        """The run a folder belongs to: paper/row/condition[.fold<k>]/seed<s>."""
        try:
            paper, row, variant, seed = folder.strip("/").split("/")[-4:]
            condition, _, fold = variant.partition(".fold")
            return cls(
                paper, row, condition, int(seed.removeprefix("seed")), int(fold) if fold else None
            )
        except ValueError:
            raise SedreproError(
                f"{folder}: not a run; runs look like lgc_sed/mt/desed/seed42"
            ) from None


@dataclass(frozen=True)
class Plan:
    """A run with everything it means, resolved and typed."""

    run: Run
    kind: str
    source: Run | None
    settings: PaperSettings
    front_ends: dict[str, FrontEnd]
    classes: list[str]
    method: str | None = None
    released: Released | None = None
    """What others released, of a row of that kind."""

    @property
    def brings_truth(self) -> bool:
        """Whether the truth comes with released detections, and not from a corpus's tables."""
        return self.released is not None and self.released.has_detections

    @property
    def resources(self) -> list[str]:
        """What others trained, without which there is no run."""
        if self.released is None:
            return self.settings.weights()
        own = [] if self.brings_truth else self.settings.weights()
        return [*own, self.released.resource]

    @property
    def grid(self) -> Grid:
        return self.settings.grid(self.front_ends)

    @property
    def streams(self) -> list[Stream]:
        return self.settings.streams() if self.kind == "train" else []

    @property
    def batch(self) -> int:
        """Clips of a training batch."""
        return sum(stream.group for stream in self.streams)

    @property
    def held_out(self) -> list[HeldOut]:
        """Of released detections only the set that they are of."""
        sets = self.settings.held_out()
        if self.released is not None and self.brings_truth:
            return [held_out for held_out in sets if held_out.name == self.released.set]
        return sets

    def inputs(self) -> list[tuple[Subset, str]]:
        """Every store the run reads, once, as (subset without its portion, front end)."""
        found: dict[tuple[str, str, str], None] = {}
        if self.brings_truth:
            return []
        for stream in self.streams:
            for subset in stream.subsets:
                found |= {(subset.corpus, subset.name, name): None for name in stream.inputs}
        for held_out in self.held_out:
            found |= {
                (held_out.subset.corpus, held_out.subset.name, name): None
                for name in held_out.inputs
            }
        return [(Subset(corpus, name), front_end) for corpus, name, front_end in found]

    def missing_required_subsets(self, empty: Collection[Subset]) -> list[Subset]:
        """Those of the empty subsets, named as in `inputs`, without which there can be no run.

        Unlabelled data may be absent; labelled may not, nor all that is reported on, nor what
        selects the epoch.
        """
        needed = [stream.subsets for stream in self.streams if stream.labels != "none"]
        needed.append(tuple(held_out.subset for held_out in self.held_out if held_out.reports))
        if self.kind == "train":
            needed += [(held_out.subset,) for held_out in self.held_out if held_out.selects]
        found: dict[Subset, None] = {}
        for subsets in needed:
            wholes = [Subset(subset.corpus, subset.name) for subset in subsets]
            if all(whole in empty for whole in wholes):
                found |= dict.fromkeys(wholes)
        return list(found)

    def describe_training(self) -> dict[str, Any]:
        """Everything that decides the checkpoint and its scores; how they are decoded does not."""
        described = self.describe()
        described["settings"].pop("decoding")
        return described

    @property
    def scored(self) -> Run:
        """The run whose scores are measured: a row that re-evaluates reads its source's."""
        return self.source if self.kind == "reevaluate" and self.source else self.run

    @property
    def reported(self) -> list[HeldOut]:
        """The sets that numbers are printed of."""
        return [held_out for held_out in self.held_out if held_out.reports]

    @property
    def tuned_on(self) -> HeldOut | None:
        """The set that the decoding is tuned on, if it is tuned."""
        boxes = self.settings.decoding.boxes
        if boxes is None:
            return None
        return next(
            (held_out for held_out in self.held_out if held_out.name == boxes.tuned_on), None
        )

    @property
    def measured_on(self) -> list[HeldOut]:
        """The sets whose truth the numbers depend on."""
        return [*self.reported, *([self.tuned_on] if self.tuned_on else [])]

    @property
    def truths(self) -> list[Subset]:
        """The subsets whose tables say what is true of those sets."""
        return [] if self.brings_truth else [held_out.subset for held_out in self.measured_on]

    def describe_measuring(self, report: Report) -> dict[str, Any]:
        """Every setting that the numbers depend on, beside the scores and the truth."""
        return {
            "decoding": self.settings.decoding.model_dump(mode="json"),
            "held_out": [asdict(held_out) for held_out in self.measured_on],
            "classes": list(self.classes),
            "bootstrap": report.bootstrap,
            "confidence": report.confidence,
        }

    def describe(self) -> dict[str, Any]:
        """The run with everything it means, as JSON."""
        return {
            "paper": self.run.paper,
            "row": self.run.row,
            "condition": self.run.condition,
            "fold": self.run.fold,
            "seed": self.run.seed,
            "kind": self.kind,
            "method": self.method,
            "source": self.source and self.source.folder,
            "settings": self.settings.model_dump(mode="json"),
            "front_ends": {
                name: fe.model_dump(mode="json") for name, fe in self.front_ends.items()
            },
            "classes": list(self.classes),
            "released": self.released and self.released.model_dump(mode="json"),
        }

    @classmethod
    def restore(cls, described: Mapping[str, Any], model: type[PaperSettings]) -> Plan:
        """The plan a description was made of."""
        keys = ("paper", "row", "condition", "seed", "fold")
        released = described.get("released")
        return cls(
            run=Run(**{key: described[key] for key in keys}),
            kind=described["kind"],
            source=Run.parse(described["source"]) if described["source"] else None,
            settings=model.of(described.get("method")).model_validate(described["settings"]),
            front_ends={k: FrontEnd.model_validate(v) for k, v in described["front_ends"].items()},
            classes=list(described["classes"]),
            method=described.get("method"),
            released=Released.model_validate(released) if released else None,
        )


def runs(project: Project, paper: str) -> list[Run]:
    """Every selected run of a paper, in printing order."""
    return [run for row in project.selected_rows(paper) for run in runs_of_row(project, paper, row)]


def runs_of_row(project: Project, paper: str, row: str) -> list[Run]:
    """Every run of a row, selected or not."""
    spec = project.papers[paper]
    return [
        Run(paper, row, condition, seed, fold)
        for condition in spec.conditions
        for fold in spec.run_folds
        for seed in seeds_of(project, paper, row)
    ]


def seeds_of(project: Project, paper: str, row: str) -> list[int]:
    """The seeds of a row's runs; what others released is scored once."""
    spec = project.papers[paper]
    seeds = spec.seeds or project.seeds
    return seeds[:1] if spec.table[row].kind == "released" else seeds


def plan(project: Project, run: Run, model: type[PaperSettings]) -> Plan:
    """What a run means under these settings; a SedreproError if it cannot be made."""
    spec = project.papers.get(run.paper)
    if spec is None or run.row not in spec.table or run.condition not in spec.conditions:
        raise SedreproError(f"{run}: no such run in the configuration")
    row = spec.table[run.row]
    settings = settled(project, run.paper, run.row, run.condition, model, run.fold)
    names = {name for part in settings.reads() for name in part.inputs}
    return Plan(
        run=run,
        kind=row.kind,
        source=_source(project, run, row.source),
        settings=settings,
        front_ends={name: project.front_ends[name] for name in sorted(names)},
        classes=settings.classes(project.data),
        method=row.method,
        released=row.released,
    )


def scored(project: Project, run: Run) -> Run:
    """The run whose scores give a run's numbers, told without looking at its settings."""
    row = project.papers[run.paper].table[run.row]
    return (_source(project, run, row.source) if row.kind == "reevaluate" else None) or run


def _source(project: Project, run: Run, source: str | None) -> Run | None:
    if source is None:
        return None
    paper, _, row = source.rpartition("/")
    paper = paper or run.paper
    conditions = project.papers[paper].conditions
    condition = run.condition if run.condition in conditions else next(iter(conditions))
    return Run(paper, row, condition, run.seed, run.fold)


@dataclass(frozen=True)
class Layout:
    """Where files lie: `data` is <folder>/<scale>, `results` is results/<name>."""

    data: str
    results: str

    @classmethod
    def of(cls, project: Project) -> Layout:
        return cls(project.data_folder, project.result_folder)

    def raw(self, corpus: str) -> str:
        return f"{self.data}/raw/{corpus}"

    def status(self, resource: str) -> str:
        return f"{self.data}/status/{resource}.json"

    def table(self, subset: Subset, table: str) -> str:
        """A subset's `clips`, `events` or `audit` table."""
        return f"{self.data}/corpora/{subset.corpus}/{subset.name}/{table}.tsv"

    def recipe(self, subset: Subset) -> str:
        """What the clips of a mixed corpus are mixed of, by which rules."""
        return f"{self.mixtures(subset.corpus, subset.name)}.tsv"

    def truths(self, subset: Subset) -> dict[str, str]:
        """The files that say what is true of a subset: tables, and of mixed clips their recipe."""
        files = {name: self.table(subset, name) for name in TABLES}
        if CORPORA[subset.corpus].mixed:
            files["recipe"] = self.recipe(subset)
        return files

    def digests(self, subsets: Iterable[Subset]) -> dict[str, str]:
        """The content of every file that says what is true of some subsets."""
        wholes = sorted({(subset.corpus, subset.name) for subset in subsets})
        return {
            f"{corpus}/{name}/{what}": file_digest(path)
            for corpus, name in wholes
            for what, path in self.truths(Subset(corpus, name)).items()
        }

    def tables_key(self, subset: Subset) -> str:
        """The key of a subset's clip tables."""
        return f"{self.data}/corpora/{subset.corpus}/{subset.name}/key.json"

    def mixtures(self, corpus: str, subset: str) -> str:
        return f"{self.data}/mixtures/{corpus}/{subset}"

    def store(self, subset: Subset, front_end: str) -> str:
        return f"{self.data}/features/{subset.corpus}/{subset.name}.{front_end}.h5"

    def run(self, run: Run, file: str = "") -> str:
        return f"{self.results}/runs/{run.folder}" + (f"/{file}" if file else "")

    def log(self, stage: str, run: Run) -> str:
        """What a run's latest job of a stage (`train`, `evaluate`) printed."""
        return f"{self.results}/logs/{stage}/{run.folder.replace('/', '.')}.log"

    def data_log(self, stage: str, name: str) -> str:
        """What the latest job before training printed."""
        return f"{self.data}/logs/{stage}/{name}.log"

    def results_log(self, stage: str, paper: str = "") -> str:
        """What the latest job after evaluation printed: of a paper, or of the page."""
        return f"{self.results}/logs/{stage}{'/' if paper else ''}{paper}.log"

    def paper_table(self, paper: str, form: str = "csv") -> str:
        return f"{self.results}/tables/{paper}.{form}"

    def figure(self, paper: str, figure: str, form: str = "png") -> str:
        return f"{self.results}/figures/{paper}/{figure}.{form}"

    @property
    def report(self) -> str:
        return f"{self.results}/report/index.html"

    def results_key(self, part: str) -> str:
        """The key of a paper's tables (`tables/<paper>`), of its figures, or of the page."""
        return f"{self.results}/{part}.key.json"
