"""The whole configuration as one typed model: the project, its papers, their rows."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from .blocks import Block, FrontEnd
from .data import Data
from .explain import neighbour
from .layers import Layer

LOGMEL64 = FrontEnd(
    kind="stft_logmel", sample_rate=32000, hop=1024, n_mels=64, f_min=50.0, f_max=16000.0
)

FRONT_ENDS = {
    "mel128": FrontEnd(),
    "wave16k": FrontEnd(kind="waveform"),
    "logmel64": LOGMEL64,
    "beats": FrontEnd(kind="beats", channels=768),
    "atst_frame": FrontEnd(kind="atst_frame", channels=768),
    "ave_visual": FrontEnd(kind="vgg_visual"),
    "ave_audio": FrontEnd(kind="vgg_audio", channels=128),
    "clip_visual": FrontEnd(kind="audioclip_visual", channels=1024),
    "clip_audio": FrontEnd(kind="audioclip_audio", channels=1024, sample_rate=44100),
}

Key = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]


class Released(Block):
    """What others released of a trained system, and how it is laid out."""

    resource: str = Field(description="the resource of config/datasets.yaml that brings it")
    layout: Literal["detections", "dcase_crnn", "cross_task"] = Field(
        description="detections: tables of events, one per threshold; dcase_crnn, cross_task: "
        "weights of student and teacher of that network, as Lightning or ATST-SED saves them"
    )
    path: str = Field(description="the checkpoint, or the folder of tables, below the raw tree")
    model: str = Field("student", description="detections: which network made them")
    set: str = Field("validation", description="detections: the held-out set they are of")
    at: str | None = Field(None, description="detections: the table at the threshold of F1 scores")
    truth: str | None = Field(
        None, description="detections: the events of the set, in DESED's form"
    )
    durations: str | None = Field(None, description="detections: the length of each of its clips")
    versions: dict[str, tuple[str, str]] = Field(
        default_factory=dict,
        description="metrics that a package's version moves: the value by the version in use here, "
        "and by the one that the published number is of",
    )

    @property
    def has_detections(self) -> bool:
        return self.layout == "detections"

    @model_validator(mode="after")
    def _truth_with_durations(self) -> Released:
        if self.has_detections and not (self.truth and self.durations):
            raise ValueError("detections come with `truth` and `durations`")
        return self


class Row(Block):
    """One line of a paper's table."""

    label: str = Field(description="the row's name in tables and figures")
    kind: Literal["train", "reevaluate", "untrained", "published", "released"] = Field(
        "train",
        description="train; reevaluate: decode another row's scores anew; untrained: same network, "
        "no training; published: other people's number, nothing to run; released: a system that "
        "others trained, scored again here",
    )
    released: Released | None = Field(None, description="of a released row: what there is of it")
    source: str | None = Field(
        None, alias="from", description="[paper/]row whose run this one starts from or re-reads"
    )
    method: Key | None = Field(
        None, description="one of the paper's `methods`; null: the paper's own method"
    )
    settings: dict[str, Any] = Field(
        default_factory=dict, description="what this row changes in the settings of its method"
    )
    conditions: dict[Key, dict[str, Any]] = Field(
        default_factory=dict, description="what this row changes under one condition alone"
    )
    reconstructed: bool = Field(
        False,
        description="made from a description, not from its authors' code or equations: the label "
        "says `reconstructed`, and its scores are never compared with published ones",
    )
    note: str = Field("", description="printed under the table")

    @model_validator(mode="after")
    def _says_that_it_is_reconstructed(self) -> Row:
        if self.reconstructed and "reconstructed" not in self.label:
            raise ValueError(
                f"label {self.label!r} of a reconstructed row must say `reconstructed`"
            )
        return self

    @model_validator(mode="after")
    def _source_where_needed(self) -> Row:
        if self.kind == "reevaluate" and not self.source:
            raise ValueError("a reevaluate row needs `from: row`")
        if (self.kind == "released") != (self.released is not None):
            raise ValueError("a row of kind released, and no other, says what is `released`")
        return self


class Column(Block):
    """One column of a printed table: a model's metric on a held-out set, by an implementation."""

    set: str = Field(description="the held-out set")
    model: str = Field(description="student, teacher, …")
    metric: str = Field(description="psds1, psds2, event_f1, …")
    implementation: str = Field(description="who computed it; a metric is never printed without")
    label: str | None = Field(
        None, description="class, for class-wise columns; `*`: a column for every class"
    )
    heading: str | None = Field(
        None, description="column heading; default: metric and implementation"
    )


class Table(Block):
    """One table of a paper."""

    caption: str = Field(description="what the table shows, as a sentence")
    rows: list[str] | None = Field(None, description="rows, in order; null: all of the paper")
    columns: list[Column] = Field(description="columns, in order")
    remarks: list[Column] = Field(
        default_factory=list, description="values printed under the table, one sentence each"
    )
    conditions: list[Key] | None = Field(
        None, description="conditions with columns of their own, in order; null: all of the paper"
    )
    transposed: bool = Field(
        False, description="printed with rows and columns exchanged, for class-wise tables"
    )
    about: list[Literal["parameters", "front ends"]] = Field(
        default_factory=list, description="columns about a row itself, printed before its scores"
    )
    note: str = Field("", description="printed under the table")


class Figure(Block):
    """One figure of a paper; drawn for every run set by the function of the same name."""

    caption: str = Field(description="what the figure shows, as a sentence")


class Paper(Block):
    """One paper: what it is, the rows of its tables, the settings they share."""

    title: str = Field(description="the paper's title")
    authors: str = Field(description="family names, in the paper's order")
    venue: str = Field(description="where and when it appeared")
    url: str = Field(description="where to read it")
    code: str | None = Field(None, description="the authors' code")
    status: str = Field("", description="what of the paper could be read, and what is our choice")
    cost: str = Field(
        "",
        description="what is known of a full-scale run's cost; `sedrepro plan --long` tells it "
        "until one has been measured",
    )
    precision: str = Field(
        "",
        description="what the authors computed in, where it is known; runs in mixed precision name "
        "it beside their scores",
    )
    evidence: str = Field("", description="what we worked from, for README's table")
    corpora: list[str] = Field(description="corpora the paper needs")
    conditions: dict[Key, dict[str, Any]] = Field(
        description="data variants, each with the settings it changes"
    )
    folds: list[int] | None = Field(None, description="cross-validation folds to run")
    seeds: list[int] | None = Field(None, description="seeds to run; null: the project's")
    rows: Literal["headline", "all"] | list[str] | None = Field(
        None, description="rows to run: headline, all, or a list of names; null: the project's"
    )
    headline: list[str] = Field(description="the rows that carry the paper's claim")
    baseline: str | None = Field(
        None, description="the row others are compared with; null: the first trained headline row"
    )
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="settings shared by all rows of the paper's own method (docs/parameters.md)",
    )
    methods: dict[Key, dict[str, Any]] = Field(
        default_factory=dict,
        description="other methods that rows name, each with the settings its rows share",
    )
    table: dict[Key, Row] = Field(description="every row there is, in printing order")
    tables: dict[Key, Table] = Field(default_factory=dict, description="the tables to print")
    figures: dict[Key, Figure] = Field(default_factory=dict, description="the figures to draw")

    @model_validator(mode="after")
    def _rows_exist(self) -> Paper:
        named = [("headline", self.headline)]
        if self.baseline is not None:
            named.append(("baseline", [self.baseline]))
        if isinstance(self.rows, list):
            named.append(("rows", self.rows))
        named += [(f"tables.{name}.rows", table.rows or []) for name, table in self.tables.items()]
        for where, rows in named:
            for row in rows:
                if row not in self.table:
                    raise ValueError(
                        f"{where} names row {row!r}{neighbour(row, self.table)}; rows are "
                        f"{', '.join(self.table)}"
                    )
        for where, conditions in [
            *((f"tables.{name}", table.conditions or []) for name, table in self.tables.items()),
            *((f"table.{name}", row.conditions) for name, row in self.table.items()),
        ]:
            for condition in conditions:
                if condition not in self.conditions:
                    raise ValueError(
                        f"{where}.conditions names {condition!r}"
                        f"{neighbour(condition, self.conditions)}; conditions are "
                        f"{', '.join(self.conditions)}"
                    )
        return self

    @property
    def run_folds(self) -> list[int] | list[None]:
        """The fold of each run; one run without a fold where nothing is cross-validated."""
        return self.folds or [None]

    def runnable(self, wanted: str | list[str]) -> list[str]:
        """The wanted rows that can be run, in printing order."""
        if wanted == "all":
            chosen = set(self.table)
        else:
            chosen = set(self.headline if wanted == "headline" else wanted)
        return [row for row in self.table if row in chosen and self.table[row].kind != "published"]


class Report(Block):
    """Statistics and the results page."""

    bootstrap: int = Field(200, ge=0, description="bootstrap resamples; 0: no intervals over clips")
    confidence: float = Field(0.95, gt=0, lt=1, description="level of every interval")
    examples: int = Field(4, ge=0, le=8, description="clips shown and played per paper")
    audio: bool = Field(
        True, description="recordings in the page; false: a page that can be passed on"
    )
    tensorboard: bool = Field(
        False,
        description="true: each training writes TensorBoard's events to results/<name>/tensorboard "
        "(needs the package tensorboard, which is not in the lock)",
    )


class Project(Block):
    """Everything that can be set."""

    name: Key | None = Field(None, description="name of the result set; null: the scale")
    scale: Literal["full", "mini"] = Field("full", description="full, or the miniature")
    run: list[str] | None = Field(None, description="papers `all` runs; null: every paper")
    seeds: list[int] = Field(
        [42], min_length=1, description="training seeds; tables average over them"
    )
    rows: Literal["headline", "all"] | list[str] = Field(
        "headline",
        description="rows to run of every paper: headline, all, or a list of names; a paper runs "
        "those of the names that it has",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="auto: a GPU if the job has one, else the CPU"
    )
    gpu: int = Field(1, ge=0, description="GPUs a training job asks for; mini: 0")
    gpu_share: int = Field(
        1,
        ge=1,
        description="jobs that may use one GPU at once; a small network does not fill a large "
        "device. Allow so many jobs with --resources gpu=<devices × gpu_share>",
    )
    amp: bool | Literal["cpu"] = Field(
        False,
        description="mixed precision on a GPU: faster, but the papers' authors trained in float32; "
        "such runs say so beside their scores; cpu: also on a CPU that is faster in bfloat16",
    )
    compile: bool | Literal["graphs"] = Field(
        False,
        description="true: training steps are compiled (torch.compile), which takes minutes "
        "before the first, and a C++ compiler; graphs: on a GPU with CUDA graphs, on a CPU as "
        "true. Such runs have keys of their own",
    )
    deterministic: bool = Field(False, description="bit-identical runs on a GPU too (slower)")
    device_store_gb: float = Field(
        24.0, ge=0, description="training data up to this size is kept on the device"
    )
    data: Data = Field(default_factory=Data, description="raw and prepared data")
    front_ends: dict[Key, FrontEnd] = Field(
        default_factory=lambda: dict(FRONT_ENDS),
        description="front ends by name",
    )
    report: Report = Field(default_factory=Report, description="statistics and the results page")
    papers: dict[Key, Paper] = Field(default_factory=dict, description="config/papers/*/paper.yaml")
    _layers: list[Layer] = PrivateAttr(default_factory=list)

    @property
    def layers(self) -> list[Layer]:
        """What this was merged from, lowest precedence first: an error names the one to change."""
        return self._layers

    def merged_from(self, layers: list[Layer]) -> Project:
        """Remember the layers."""
        self._layers = layers
        return self

    @property
    def result_set(self) -> str:
        return self.name or self.scale

    @property
    def data_folder(self) -> str:
        """Prepared data of one scale; a result set on someone's own recordings has its own."""
        return f"{self.data.folder}/{self.result_set if self.data.desed.local else self.scale}"

    @property
    def result_folder(self) -> str:
        return f"results/{self.result_set}"

    def selected_papers(self) -> list[str]:
        return [paper for paper in self.papers if self.run is None or paper in self.run]

    def selected_rows(self, paper: str) -> list[str]:
        """The rows of a paper to run, in printing order."""
        spec = self.papers[paper]
        return spec.runnable(self.rows if spec.rows is None else spec.rows)

    @model_validator(mode="after")
    def _rows_exist(self) -> Project:
        known = {row for spec in self.papers.values() for row in spec.table}
        for row in self.rows if isinstance(self.rows, list) and known else []:
            if row not in known:
                raise ValueError(f"rows names row {row!r}{neighbour(row, known)}; no paper has it")
        return self

    @model_validator(mode="after")
    def _papers_exist(self) -> Project:
        for paper in self.run or []:
            if paper not in self.papers:
                raise ValueError(
                    f"run names paper {paper!r}{neighbour(paper, self.papers)}; papers are "
                    f"{', '.join(self.papers)}"
                )
        return self
