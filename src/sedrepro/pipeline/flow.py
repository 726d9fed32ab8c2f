"""What the Snakefile plans with: paths, inputs and parameters of every rule. Light by contract."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from .. import papers, settings
from ..errors import SedreproError
from ..files import ERROR
from ..liveness import DRIVER, identity
from ..settings import Layout, Plan, Project, Run, Subset, declared, tasks
from ..settings import given as given_settings
from ..settings.declared import FrontEndKind
from ..settings.given import RUNTIME_VARIABLE, runtime
from ..settings.rows import check_windows
from ..settings.runs import TABLES
from ..sources import coverage, registry
from ..training.state import OUTPUTS

THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
FORMS = ("csv", "differences.csv", "md", "tex")
SOURCE = Path(__file__).resolve().parents[2]
"""The folder that holds the package."""
DATA_FIRST = 2
"""The priority of jobs that make data: where cores are few they go before runs."""
SNR_MIX = "snr_mix"
"""The corpus that is mixed of two others; each of its subsets is an SNR."""


class Flow:
    """The project as rules see it: wildcards in, paths and parameters out."""

    def __init__(self, project: Project, root: str | Path = ".") -> None:
        self.project = project
        self.layout = Layout.of(project)
        self.registry = registry.load(root)
        self.models = papers.settings_models()
        self.root = Path(root)
        self.papers = project.selected_papers()
        self.run_files = OUTPUTS
        self.overlay: dict[str, Any] = {}

    @classmethod
    def load(
        cls,
        overlay: Mapping[str, Any],
        *,
        files: Iterable[str] = (),
        root: str | Path = ".",
        folder: str | Path | None = None,
    ) -> Flow:
        """Read, merge and validate everything that can be set: in the checkout `root`, and in a
        working folder elsewhere."""
        project = settings.load(
            overlay,
            papers=papers.settings_models(),
            files=files,
            root=root,
            folder=folder,
            lazily=True,
        )
        flow = cls(project, root)
        coverage.check(project, flow.models, flow.registry)
        coverage.check_local(project)
        flow.overlay = dict(overlay)
        return flow

    def environment(self, source: str) -> dict[str, str]:
        """What every job inherits: where the package is, who drives it, one thread each, and the
        settings that say how it works and not what it makes."""
        path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        threads = {name: os.environ.get(name, "1") for name in THREAD_VARIABLES}
        how = {RUNTIME_VARIABLE: runtime(self.project)}
        return {"PYTHONPATH": path, DRIVER: identity(), **threads, **how}

    @cached_property
    def inputs(self) -> list[tuple[Subset, str]]:
        """Every store any row of any paper could ask for."""
        found: dict[tuple[str, str, str], None] = {}
        for paper, spec in self.project.papers.items():
            for row in spec.table:
                for condition in spec.conditions:
                    run = Run(paper, row, condition, self.project.seeds[0])
                    try:
                        inputs = self.of(run).inputs()
                    except SedreproError:  # said when someone asks for the row
                        continue
                    for subset, front_end in inputs:
                        found[subset.corpus, subset.name, front_end] = None
        return [(Subset(corpus, name), front_end) for corpus, name, front_end in found]

    def wildcards(self) -> dict[str, str]:
        """Constraints under which a wildcard can only take values that exist."""
        specs = self.project.papers.values()
        conditions = _one_of(condition for spec in specs for condition in spec.conditions)
        folds = "|".join(str(fold) for spec in specs for fold in spec.folds or [])
        return {
            "paper": _one_of(self.project.papers),
            "row": _one_of(row for spec in specs for row in spec.table),
            "variant": f"({conditions})" + (rf"(\.fold({folds}))?" if folds else ""),
            "seed": r"\d+",
            "corpus": _one_of(subset.corpus for subset, _ in self.inputs),
            "subset": _one_of(subset.name for subset, _ in self.inputs),
            "front_end": _one_of(front_end for _, front_end in self.inputs),
            "resource": _one_of(self.registry.resources),
            "shard": r"\d+",
        }

    @property
    def mixes(self) -> bool:
        return self.project.data.desed.synthetic == "mix"

    def adapted(self) -> str:
        """Constraint on the subsets the corpus adapters read, not the mixtures stage."""
        names = {s.name for s, _ in self.inputs if s.corpus != SNR_MIX}
        return _one_of(names - set(tasks.SYNTHETIC if self.mixes else ()))

    def mixed(self) -> str:
        """Constraint on the subsets the mixtures stage makes."""
        return _one_of(tasks.SYNTHETIC)

    def snrs(self) -> str:
        """Constraint on the subsets of the corpus that is mixed at fixed SNRs."""
        return _one_of(s.name for s, _ in self.inputs if s.corpus == SNR_MIX)

    def recipe(self, subset: str) -> str:
        """The recipe its clips are mixed by."""
        return self.layout.recipe(Subset(SNR_MIX, subset))

    # What jobs are given

    def fetch_task(self, wildcards: Any) -> dict[str, Any]:
        name = wildcards.resource
        corpus = self.registry[name].corpus
        given = given_settings.pick(self.project, *self._source_settings(corpus))
        entry = self.registry[name].model_dump(mode="json", exclude_defaults=True)
        rendered = self.project.data.origin == "render"
        source = {} if rendered else entry
        return tasks.FetchTask(given=given, resource=name, source=source).describe()

    def fetch_priority(self, wildcards: Any) -> int:
        """Archives come in hours and YouTube's clips in days: with few cores archives go first."""
        return DATA_FIRST if self.registry[wildcards.resource].clips else DATA_FIRST + 1

    def fetch_threads(self, wildcards: Any) -> int:
        """Whoever waits for YouTube for days holds no core meanwhile."""
        waits = self.registry[wildcards.resource].clips and self.project.data.origin == "download"
        return 0 if waits else 1

    def _source_settings(self, corpus: str) -> list[str]:
        """What decides a resource's content, beside the registry's entry."""
        own = corpus if corpus in type(self.project.data).model_fields else "weights"
        if self.project.data.origin != "render":
            # What was still arriving is fetched to its end once that is no longer allowed.
            return ["data.origin", f"data.{own}.local", "data.allow_partial"]
        looks = {
            "fsdkaggle2018": ["data.snr_mix", "data.fsdkaggle2018.local"],
            "tau2019": ["data.snr_mix", "data.tau2019.local"],
            "tut2018": ["data.snr_mix", "data.tut2018.local"],
            "ave": ["data.ave"],
        }
        shape = looks.get(corpus, ["data.desed.classes", f"data.{own}.local"])
        return ["data.origin", "data.look", *shape]

    def adapt_task(self, corpus: str, subset: str) -> dict[str, Any]:
        return tasks.AdaptTask.plan(self.project, corpus, subset).describe()

    def mix_task(self, wildcards: Any) -> dict[str, Any]:
        shard = int(wildcards.shard)
        return tasks.MixTask.plan(self.project, wildcards.subset, shard).describe()

    def store_task(self, wildcards: Any) -> dict[str, Any]:
        w = wildcards
        return tasks.StoreTask.plan(self.project, w.corpus, w.subset, w.front_end).describe()

    def train_task(self, wildcards: Any) -> dict[str, Any]:
        return tasks.TrainTask.plan(self.project, self.of(self.run(wildcards))).describe()

    def evaluate_task(self, wildcards: Any) -> dict[str, Any]:
        return tasks.EvaluateTask.plan(self.project, self.of(self.run(wildcards))).describe()

    def report_task(self, *papers: str) -> dict[str, Any]:
        return tasks.ReportTask.plan(self.project, papers or self.papers).describe()

    # Sources and mixtures

    def resources(self, subset: Subset) -> list[str]:
        """What is fetched for a subset's tables."""
        return self.fetched(self.registry.behind(subset, self.project.data))

    def statuses(self, wildcards: Any) -> list[str]:
        """The statuses a subset's tables are made from."""
        return self.statuses_of(wildcards.corpus, wildcards.subset)

    def statuses_of(self, corpus: str, subset: str) -> list[str]:
        return [self.layout.status(name) for name in self.resources(Subset(corpus, subset))]

    def own_trees(self, wildcards: Any) -> list[str]:
        """The user's own trees that a subset's tables describe."""
        return registry.own_trees(self.project.data, wildcards.corpus)

    def own_trees_mixed(self, wildcards: Any) -> list[str]:
        """The same of the corpus that is mixed of two others."""
        return registry.own_trees(self.project.data, SNR_MIX)

    def seals(self) -> dict[str, dict[str, Any]]:
        """The keys of all clip tables, and what those are to be made with."""
        subsets = dict.fromkeys(subset for subset, _ in self.inputs)
        return {
            self.layout.tables_key(subset): given_settings.without_folders(
                tasks.tables_of(self.project, subset)
            )
            for subset in subsets
        }

    def placed(self, resource: str) -> list[str]:
        """Files of a resource that were put there by hand: placing one is a reason to fetch.

        What a fetch itself downloaded is none; its first run would trigger a second.
        """
        return registry.placed(resource, self.registry[resource], self.project.data_folder)

    def shards(self, subset: str) -> list[str]:
        folder = self.layout.mixtures("desed", subset)
        return [f"{folder}/shard{k}.tsv" for k in range(self.project.data.desed.soundscapes.shards)]

    def table(self, corpus: str, subset: str, name: str) -> str:
        return self.layout.table(Subset(corpus, subset), name)

    def tables_key(self, corpus: str, subset: str) -> str:
        return self.layout.tables_key(Subset(corpus, subset))

    def store(self, corpus: str, subset: str, front_end: str) -> str:
        return self.layout.store(Subset(corpus, subset), front_end)

    def clip_sources(self, wildcards: Any) -> list[str]:
        """What says which clips a store holds and, where they are mixed on reading, of what."""
        clips = self.table(wildcards.corpus, wildcards.subset, "clips")
        key = self.tables_key(wildcards.corpus, wildcards.subset)
        if wildcards.corpus == SNR_MIX:
            return [clips, key, self.recipe(wildcards.subset)]
        return [clips, key]

    def tables(self, subset: Subset) -> list[str]:
        """A subset's clip tables, and the key by which a changed one is known."""
        found = [self.layout.table(subset, name) for name in TABLES]
        return [*found, self.layout.tables_key(subset)]

    def _kind(self, front_end: str) -> FrontEndKind:
        return declared.FRONT_ENDS[self.project.front_ends[front_end].kind]

    def extracted(self) -> str:
        """Constraint on the front ends that are computed from recordings."""
        return _one_of(name for _, name in self.inputs if not self._kind(name).weights)

    def embedded(self) -> str:
        """Constraint on the front ends that frozen networks compute."""
        return _one_of(name for _, name in self.inputs if self._kind(name).weights)

    def embed_inputs(self, wildcards: Any) -> list[str]:
        """What the network reads, and its weights."""
        kind = self._kind(wildcards.front_end)
        weights = [self.layout.status(name) for name in self.fetched([kind.weights])]
        if kind.of_waveforms:
            waveform = self.project.front_ends[wildcards.front_end].waveform
            return [self.store(wildcards.corpus, wildcards.subset, waveform), *weights]
        videos = self.project.data.ave.videos
        return [*self.clip_sources(wildcards), *(weights if videos else [])]

    @property
    def extract_threads(self) -> int:
        """Cores an extraction may use; the miniature's sets are too small to share."""
        return 1 if self.project.data.origin == "render" else 8

    # Runs

    def of(self, run: Run) -> Plan:
        return settings.plan(self.project, run, self.models[run.paper])

    def run(self, wildcards: Any) -> Run:
        w = wildcards
        return Run.parse(f"{w.paper}/{w.row}/{w.variant}/seed{w.seed}")

    def run_priority(self, wildcards: Any) -> int:
        """The first run of each paper that trains goes first: it shows early what is wrong with the
        paper, and how long all of it will take."""
        return int(self.run(wildcards) in self.firsts)

    @cached_property
    def firsts(self) -> set[Run]:
        """The first run of each paper that trains."""
        found = {}
        for paper in self.papers:
            table = self.project.papers[paper].table
            for run in reversed(self.runs(paper)):
                if table[run.row].kind == "train":
                    found[paper] = run
        return set(found.values())

    def train_inputs(self, wildcards: Any) -> list[str]:
        """Stores, their tables, weights, and the run this one starts from."""
        plan = self.of(self.run(wildcards))
        self._check_windows(plan.run.paper)
        stores = [self.layout.store(subset, front_end) for subset, front_end in plan.inputs()]
        subsets = dict.fromkeys(subset for subset, _ in plan.inputs())
        tables = [path for subset in subsets for path in self.tables(subset)]
        source = [self.layout.run(plan.source, name) for name in OUTPUTS] if plan.source else []
        weights = [self.layout.status(name) for name in self.fetched(plan.resources)]
        return stores + tables + weights + source

    @cache  # noqa: B019 (one flow per process)
    def _check_windows(self, paper: str) -> None:
        """Papers are looked at when somebody asks for one of their runs."""
        check_windows(self.project, paper, self.models[paper])

    def fetched(self, names: list[str]) -> list[str]:
        """Those of the resources that are not in a folder of the user's own."""
        data = self.project.data
        return [name for name in names if not registry.local(data, self.registry[name].corpus)]

    def evaluate_inputs(self, wildcards: Any) -> list[str]:
        """The scores (of the run, or of the run it re-reads) and the truth."""
        plan = self.of(self.run(wildcards))
        truth = [path for subset in plan.truths for path in self.layout.truths(subset).values()]
        scores, record = (self.layout.run(plan.scored, name) for name in ("scores.h5", "run.json"))
        return [scores, record, *truth]

    # Results

    def runs(self, paper: str) -> list[Run]:
        return settings.runs(self.project, paper)

    def metrics(self, paper: str) -> list[str]:
        return [self.layout.run(run, "metrics.json") for run in self.runs(paper)]

    def wholes(self, paper: str) -> list[str]:
        """Every file of every run that a paper's numbers come from.

        They are asked for by name: a run that was forgotten, or lost a file, is made again though
        its numbers still lie there.
        """
        found: dict[str, None] = {}
        for run in self.runs(paper):
            scored = settings.scored(self.project, run)
            found |= dict.fromkeys(self.layout.run(scored, name) for name in self.run_files)
        return [*found, *self.metrics(paper)]

    def trained(self, paper: str, name: str) -> list[str]:
        """A file of every run of a paper that has a folder of its own outputs."""
        table = self.project.papers[paper].table
        runs = [run for run in self.runs(paper) if table[run.row].kind != "reevaluate"]
        return [self.layout.run(run, name) for run in runs]

    def paper_tables(self, paper: str) -> list[str]:
        return [self.layout.paper_table(paper, form) for form in FORMS]

    def figures(self, paper: str, *forms: str) -> list[str]:
        return [
            self.layout.figure(paper, figure, form)
            for figure in self.project.papers[paper].figures
            for form in forms or ("png", "svg")
        ]

    def captions(self, paper: str) -> dict[str, str]:
        """Each figure's caption, as a label in Snakemake's report, where braces are wildcards."""
        figures = self.project.papers[paper].figures
        escape = str.maketrans({"{": "{{", "}": "}}"})
        return {name: figure.caption.translate(escape) for name, figure in figures.items()}

    def published(self, paper: str) -> list[str]:
        path = Path(os.path.relpath(self.root / "config" / "papers" / paper / "published.csv"))
        return [str(path)] if path.exists() else []

    def results(self, paper: str) -> list[str]:
        return self.paper_tables(paper) + self.figures(paper)

    def key(self, part: str, paper: str = "") -> str:
        """The key of a paper's tables or figures, or of the page."""
        return self.layout.results_key(f"{part}/{paper}" if paper else part)

    def command(self, word: str) -> str:
        """A `sedrepro` command under the settings of this workflow.

        It runs on the driver's Python, also in a conda environment, where Snakemake takes
        PYTHONPATH from a job's environment.
        """
        values = (shlex.quote(f"{k}={json.dumps(v)}") for k, v in self.overlay.items())
        options = " ".join(["", "--config", *values]) if self.overlay else ""
        source = shlex.quote(f"PYTHONPATH={SOURCE}")
        return f"env {source} {shlex.quote(sys.executable)} -m sedrepro.cli {word}{options}"

    def dated(self) -> list[str]:
        """The folders that hold what rules make of other files."""
        data = [
            f"{self.layout.data}/{part}" for part in ("status", "corpora", "mixtures", "features")
        ]
        return [*data, self.layout.results]

    def data(self) -> list[str]:
        """Every status and every table the selected papers need."""
        found: dict[str, None] = {}
        for paper in self.papers:
            for run in self.runs(paper):
                for subset, _ in self.of(run).inputs():
                    statuses = [self.layout.status(name) for name in self.resources(subset)]
                    found |= dict.fromkeys(statuses + self.tables(subset))
                weights = self.fetched(self.of(run).resources)
                found |= dict.fromkeys(map(self.layout.status, weights))
        return list(found)


def in_one_line(function: Callable[[Any], list[str]]) -> Callable[[Any], list[str]]:
    """The same input function, with its error as one line.

    Snakemake wraps what an input function raises in an exception of its own, and prints it with a
    traceback over many lines. It does so with everything but `SystemExit`.
    """

    def asked(wildcards: Any) -> list[str]:
        try:
            return function(wildcards)
        except SedreproError as error:
            raise SystemExit(f"{ERROR}{error}") from None

    return asked


def _one_of(values: Iterable[str]) -> str:
    return "|".join(sorted({re.escape(value) for value in values})) or "(?!)"
