"""What each rule's job is given, as one small typed object.

Made while planning, passed through `params` as plain data, restored in the script. A task holds
every setting that can change what its job makes; a changed task is a reason to run the job again.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from .data import Desed
from .given import pick, restore, without_folders
from .project import Project
from .runs import Layout, Plan
from .streams import Subset

SYNTHETIC = ("synth_train", "synth_validation")
"""The subsets of DESED that are downloaded ready-made, or mixed here."""
TABLES_OF = {
    "desed": ("scale", "data.origin", "data.desed", "data.desed_soundbank"),
    "maestro": ("data.origin", "data.maestro"),
    "ave": ("data.origin", "data.ave", "data.look.videos"),
    "snr_mix": (
        "data.origin",
        *("data.snr_mix", "data.fsdkaggle2018", "data.tau2019", "data.tut2018"),
    ),
}
"""Settings that decide a corpus's clip tables, beside its files."""
DROPOUT = "sfc64"
"""What draws the masks of dropout on a CPU (`networks.dropout`); on a GPU PyTorch draws them."""


def tables_of(project: Project, subset: Subset) -> dict[str, Any]:
    """What of the settings decides one subset's clip tables, the rendered recordings included."""
    names = list(TABLES_OF[subset.corpus])
    if subset.corpus == "desed":
        unused = _unused(project.data.desed, subset.name)
        fields = type(project.data.desed).model_fields.keys() - unused
        names.remove("data.desed")
        names += [f"data.desed.{field}" for field in sorted(fields)]
        if "soundscapes" in unused:
            names.remove("data.desed_soundbank")
    if project.data.origin == "render":
        names += ["data.look", "data.desed.classes"]
    return pick(project, *names)


def _unused(desed: Desed, name: str) -> set[str]:
    """Settings of DESED that a subset has nothing to do with."""
    if name not in SYNTHETIC:
        return {"synthetic", "soundscapes"}
    return set() if desed.synthetic == "mix" else {"soundscapes"}


class Task(BaseModel):
    """A job's settings: `given` is the part of the project that it may read."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    given: dict[str, Any]

    @classmethod
    def of(cls, snakemake: Any) -> Self:
        """The task of the script that is running."""
        return cls.model_validate(snakemake.params.task)

    def describe(self) -> dict[str, Any]:
        """The task as `params` carry it."""
        return self.model_dump(mode="json")

    def depends(self) -> dict[str, Any]:
        """What of the task the result is a function of, for its key."""
        return self.describe() | {"given": without_folders(self.given)}

    @cached_property
    def project(self) -> Project:
        return restore(self.given)

    @cached_property
    def layout(self) -> Layout:
        return Layout.of(self.project)


class FetchTask(Task):
    """Download or render one resource; `source` is its entry in the registry, or its look."""

    resource: str
    source: dict[str, Any]


class AdaptTask(Task):
    """Describe one subset of a corpus by clip tables (adapt, collect, recipe)."""

    corpus: str
    name: str

    @classmethod
    def plan(cls, project: Project, corpus: str, name: str) -> AdaptTask:
        return cls(given=tables_of(project, Subset(corpus, name)), corpus=corpus, name=name)

    @property
    def subset(self) -> Subset:
        return Subset(self.corpus, self.name)


class MixTask(Task):
    """Mix one shard of a subset of soundscapes."""

    name: str
    shard: int

    @classmethod
    def plan(cls, project: Project, name: str, shard: int) -> MixTask:
        given = pick(project, "data.desed", "data.desed_soundbank")
        return cls(given=given, name=name, shard=shard)


class StoreTask(Task):
    """Make the store of one subset under one front end (extract, embed)."""

    corpus: str
    name: str
    front_end: str

    @classmethod
    def plan(cls, project: Project, corpus: str, name: str, front_end: str) -> StoreTask:
        settings = [f"front_ends.{front_end}", "data.weights"]
        if corpus == "ave":
            settings.append("data.ave")
        given = pick(project, *settings)
        return cls(given=given, corpus=corpus, name=name, front_end=front_end)

    @property
    def subset(self) -> Subset:
        return Subset(self.corpus, self.name)


class TrainTask(Task):
    """Train and score one run; how its scores are decoded is no part of it."""

    run: dict[str, Any]
    dropout: str
    """No setting, but it changes with the version of sedrepro, and the numbers with it."""

    @classmethod
    def plan(cls, project: Project, run: Plan) -> TrainTask:
        given = pick(project, "amp", "compile", "data.weights", "data.released", results=True)
        return cls(given=given, run=run.describe_training(), dropout=DROPOUT)


class EvaluateTask(Task):
    """Decode and measure one run's scores."""

    run: dict[str, Any]

    REPORT: ClassVar = ("report.bootstrap", "report.confidence")

    @classmethod
    def plan(cls, project: Project, run: Plan) -> EvaluateTask:
        return cls(given=pick(project, *cls.REPORT, results=True), run=run.describe())


class ReportTask(Task):
    """Print papers: tables, figures or the page."""

    papers: list[str]

    @classmethod
    def plan(cls, project: Project, papers: Iterable[str]) -> ReportTask:
        chosen = list(papers)
        shown = [f"papers.{paper}" for paper in with_sources(project, chosen)]
        corpora = {name for names in TABLES_OF.values() for name in names if "data." in name}
        corpora.remove("data.look.videos")
        if project.data.origin == "render":
            corpora.add("data.look")
        data = sorted(corpora)
        names = ("name", "scale", "seeds", "rows", "report", "front_ends", *data, *shown)
        given = pick(project, *names, results=True)
        return cls(given=given, papers=chosen)

    @property
    def paper(self) -> str:
        (paper,) = self.papers
        return paper


def with_sources(project: Project, papers: Iterable[str]) -> list[str]:
    """The papers, and those whose runs they start from or decode anew."""
    found: dict[str, None] = {}
    pending = list(papers)
    while pending:
        paper = pending.pop(0)
        if paper in found:
            continue
        found[paper] = None
        for row in project.papers[paper].table.values():
            if row.source and "/" in row.source:
                pending.append(row.source.partition("/")[0])
    return list(found)
