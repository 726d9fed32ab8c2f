"""What every table costs on this machine, from the steps that a rehearsal measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from .. import settings
from ..clips import read_clips
from ..errors import SedreproError
from ..files import read_json
from ..settings import Layout, PaperSettings, Plan, Project, Run, Stream, Subset
from ..settings.runs import seeds_of
from ..sources.registry import Registry
from ..training.rehearsal import whole_memory
from .text import table

SEEDS = (1, 3)
MAESTRO_SECONDS = 232.5
"""The mean length of a recording of MAESTRO, by the table of durations that comes with it."""
STORED_BYTES = 2
"""Of a stored value: 16 bits."""
JOULES = 3.6e6
"""In a kWh."""
HEADING = ["paper", "rows", "runs", "1 seed", "3 seeds", "energy, 1 seed", "memory"]

Models = Mapping[str, type[PaperSettings]]


@dataclass(frozen=True)
class Sum:
    """What some runs take together; energy is None where no device tells it."""

    runs: int = 0
    seconds: float = 0.0
    joules: float | None = 0.0
    memory: float = 0.0
    """MiB of the largest run."""
    extrapolated: bool = False

    def __add__(self, other: Sum) -> Sum:
        both = None not in (self.joules, other.joules)
        return Sum(
            self.runs + other.runs,
            self.seconds + other.seconds,
            (self.joules or 0.0) + (other.joules or 0.0) if both else None,
            max(self.memory, other.memory),
            self.extrapolated or other.extrapolated,
        )


class Costs:
    """A rehearsal's measurements, and what follows from them for the runs of a project."""

    def __init__(
        self, project: Project, models: Models, registry: Registry, found: Mapping[str, Any]
    ) -> None:
        self.project = project
        self.models = models
        self.registry = registry
        self.layout = Layout.of(project)
        self.rows = [row for row in found["rows"] if "problem" not in row]
        self.encoders = {
            one["front_end"]: one for one in found.get("encoders", []) if "problem" not in one
        }
        self._counts: dict[Subset, int | None] = {}

    # How much there is to do

    def clips(self, subset: Subset) -> int | None:
        """The clips of a set: those of its table, or before there is one about as many as come.

        Without tables nothing is known of rendered sets.
        """
        if subset not in self._counts:
            path = Path(self.layout.table(subset, "clips"))
            if path.exists():
                count = sum(subset.holds(clip.fold) for clip in read_clips(path))
                self._counts[subset] = count
            else:
                rendered = self.project.data.origin == "render"
                self._counts[subset] = None if rendered else self.expected(subset)
        return self._counts[subset]

    def expected(self, subset: Subset) -> int | None:
        """Clips of a set when all arrive, about: nine tenths of a cut set train; folds are four."""
        data = self.project.data
        if subset.corpus == "snr_mix":
            counts = [4 * data.snr_mix.clips_per_fold]
        else:
            carried = self.registry.carrying(subset.corpus, subset.name)
            counts = [self.registry[name].subsets[subset.name] for name in carried]
        if not counts:
            return None
        count = float(max(counts))
        if subset.corpus == "maestro":
            training = subset.name == "train"
            hop = data.maestro.train_hop if training else data.maestro.validation_hop
            count *= 1 + (MAESTRO_SECONDS - data.maestro.window) / hop
        if subset.portion:
            other = 0.75 if subset.portion.startswith("!") else 0.25
            count *= {"train": 0.9, "held_out": 0.1}.get(subset.portion, other)
        return round(count)

    def steps(self, plan: Plan) -> int | None:
        """Steps of an epoch."""
        if plan.settings.training.steps_per_epoch:
            return plan.settings.training.steps_per_epoch
        ends = [stream for stream in plan.streams if stream.ends_epoch]
        counts = [count // s.group for s in ends if (count := self._drawn(s)) is not None]
        return max(1, min(counts)) if counts else None

    def _drawn(self, stream: Stream) -> int | None:
        counts = [self.clips(subset) for subset in stream.subsets]
        return None if None in counts else sum(count or 0 for count in counts)

    def scored(self, plan: Plan) -> int:
        """Clips that a run scores, each as often as it is: before and in validations, and by every
        kept checkpoint."""
        training = plan.settings.training
        models = max(1, len(plan.settings.MODELS or ()))
        each = {held_out.name: self.clips(held_out.subset) or 0 for held_out in plan.held_out}
        selecting = sum(each[held_out.name] for held_out in plan.held_out if held_out.selects)
        if plan.settings.recomputes:
            selecting += (self.steps(plan) or 0) * plan.batch
        validations = -(-training.epochs // training.validate_every)
        return models * (validations * selecting + len(training.keep) * sum(each.values()))

    def resident(self, plan: Plan) -> float:
        """MiB of training data that a run keeps in its device's memory."""
        values = 0
        for stream in plan.streams:
            each = sum(prod(plan.front_ends[name].shape) for name in stream.inputs)
            values += each * (self._drawn(stream) or 0)
        size = values * STORED_BYTES / 2**20
        return size if size <= self.project.device_store_gb * 1024 else 0.0

    # What it takes

    def run(self, plan: Plan) -> Sum | None:
        """A run, as its row was measured; or else as the others of its method, or paper, were."""
        mine = [row for row in self.rows if row["paper"] == plan.run.paper]
        same = [row for row in mine if row["row"] == plan.run.row]
        alike = [row for row in mine if self._method(row) == plan.method]
        chosen = same or alike or mine
        found = [one for row in chosen if (one := self._as(plan, row))]
        if not found:
            return None
        together = sum(found, Sum())
        joules = None if together.joules is None else together.joules / len(found)
        memory = together.memory + self.resident(plan)
        seconds = together.seconds / len(found)
        return Sum(1, seconds, joules, memory, together.extrapolated or not same)

    def _method(self, row: Mapping[str, Any]) -> str | None:
        known = self.project.papers[row["paper"]].table.get(row["row"])
        return known.method if known else None

    def _as(self, plan: Plan, row: Mapping[str, Any]) -> Sum | None:
        steps = self.steps(plan)
        if steps is None:
            return None
        steps *= plan.settings.training.epochs
        batches = plan.batch / row["clips"]
        scoring = self.scored(plan) * row["clip_s"]
        saving = plan.settings.training.epochs / plan.settings.training.checkpoint_every
        seconds = steps * row["step_s"] * batches + scoring + saving * row["save_s"]
        joules = row["step_j"] and steps * row["step_j"] * batches
        return Sum(1, seconds, joules, whole_memory(row), row["clips"] < row["batch"])

    def runs(self, chosen: Iterable[tuple[str, str]]) -> dict[Run, Plan]:
        """The runs that train, with one seed, for rows of papers: theirs, and those they start from
        or re-read."""
        waiting = []
        for paper, row in chosen:
            spec = self.project.papers[paper]
            waiting += [
                Run(paper, row, condition, 0, fold)
                for condition in spec.conditions
                for fold in spec.run_folds
            ]
        found: dict[Run, Plan] = {}
        while waiting:
            run = waiting.pop()
            if run in found:
                continue
            try:
                plan = settings.plan(self.project, run, self.models[run.paper])
            except SedreproError:
                continue  # told where the row is asked for
            if plan.source:
                waiting.append(plan.source)
            if plan.kind == "train":
                found[run] = plan
        return found

    def of(self, chosen: Iterable[tuple[str, str]]) -> tuple[Sum, int]:
        """What rows of papers take with one seed, and how many of their runs are left out."""
        found = [self.run(plan) for plan in self.runs(chosen).values()]
        known = [one for one in found if one is not None]
        return sum(known, Sum()), len(found) - len(known)

    def heard(self, chosen: Iterable[tuple[str, str]]) -> dict[str, tuple[int, Sum]]:
        """What the frozen encoders that rows read take, once for all seeds: clips and cost."""
        stores = {store for plan in self.runs(chosen).values() for store in plan.inputs()}
        found = {}
        for name, one in self.encoders.items():
            clips = sum(
                self.clips(subset) or 0 for subset, front_end in stores if front_end == name
            )
            if clips:
                joules = one["clip_j"] and clips * one["clip_j"]
                found[name] = clips, Sum(0, clips * one["clip_s"], joules, one["peak_mb"])
        return found

    def compared(self, chosen: Iterable[tuple[str, str]]) -> str:
        """Finished runs beside what is reckoned for them, where there are any."""
        took = reckoned = 0.0
        count = 0
        for plan in self.runs(chosen).values():
            for seed in seeds_of(self.project, plan.run.paper, plan.run.row):
                run = Run(**{**vars(plan.run), "seed": seed})
                path = Path(self.layout.run(run, "run.json"))
                record = read_json(path) if path.exists() else {}
                expected = self.run(plan)
                if record.get("status") == "done" and expected:
                    took += record["cost"]["wall_s"]
                    reckoned += expected.seconds
                    count += 1
        if not count:
            return ""
        return (
            f"  {count} finished runs took {_hours(took)}, for which {_hours(reckoned)} are "
            f"reckoned: {reckoned / took:.2f} of it"
        )


def text(project: Project, models: Models, registry: Registry, layout: Layout) -> str:
    """Hours, energy and memory of every paper and of all; one line where nothing was rehearsed."""
    path = Path(layout.results, "rehearsal.json")
    if not path.exists():
        return "cost on this machine: not known; `make rehearsal` measures it"
    found = read_json(path)
    costs = Costs(project, models, registry, found)
    hardware = found["hardware"]
    rows, left_out = [], 0
    known = [p for p in project.selected_papers() if any(r["paper"] == p for r in costs.rows)]
    for paper in [*known, "all"]:
        for name in ("headline", "every row"):
            chosen = [
                (one, row)
                for one in (known if paper == "all" else [paper])
                for row in _rows(project, one, name)
            ]
            together, missing = costs.of(chosen)
            left_out += missing if paper == "all" else 0
            rows.append(_line(paper if name == "headline" else "", name, together))
    lines = [
        f"training on {hardware['gpu'] or hardware['cpu']}, one run at a time, as a rehearsal of "
        f"{len(costs.rows)} rows says:",
        *(f"  {line}" for line in table(HEADING, rows)),
    ]
    everything = [(paper, row) for paper in known for row in _rows(project, paper, "every row")]
    for name, (clips, cost) in costs.heard(everything).items():
        energy = "" if cost.joules is None else f", {cost.joules / JOULES:.1f} kWh"
        lines.append(
            f"  before it {name} hears {clips:,} clips once: {_hours(cost.seconds)}{energy}"
        )
    lines += _not_rehearsed(project, found["rows"], known)
    lines += filter(None, [costs.compared(everything)])
    if left_out:
        lines.append(
            f"  {left_out} runs are not counted: how many clips they train on is not known"
        )
    return "\n".join([*lines, *_assumed(found)])


def _rows(project: Project, paper: str, name: str) -> list[str]:
    spec = project.papers[paper]
    return spec.headline if name == "headline" else list(spec.table)


def _line(paper: str, name: str, found: Sum) -> list[str]:
    energy = "not known" if found.joules is None else f"{found.joules / JOULES:,.1f} kWh"
    mark = "*" if found.extrapolated else ""
    return [
        *(paper, name, str(found.runs)),
        *(f"{_hours(count * found.seconds)}{mark}" for count in SEEDS),
        *(energy, f"{found.memory / 1024:.1f} GiB{mark}"),
    ]


def _hours(seconds: float) -> str:
    """Hours; minutes of what is short."""
    hours = seconds / 3600
    return (
        f"{hours:,.0f} h"
        if hours >= 100
        else f"{hours:.1f} h"
        if hours >= 1
        else (f"{seconds / 60:.1f} min")
    )


def _not_rehearsed(
    project: Project, rows: Iterable[Mapping[str, Any]], known: list[str]
) -> list[str]:
    """What failed in the rehearsal, and papers without any row in it."""
    lines = [
        f"  not rehearsed: {row['paper']} {row['row']} ({row['problem']})"
        for row in rows
        if "problem" in row
    ]
    tried = {row["paper"] for row in rows}
    lines += [f"  not rehearsed: {p}" for p in project.selected_papers() if p not in tried]
    missing = [paper for paper in project.selected_papers() if paper not in known]
    return [*lines, f"  `all` is without {', '.join(missing)}"] if missing else lines


def _assumed(found: Mapping[str, Any]) -> list[str]:
    """What these figures take for granted, in the order of what matters most."""
    rows = [row for row in found["rows"] if "problem" not in row]
    lines = ["what that assumes:"]
    if any(row["clips"] < row["batch"] for row in rows):
        lines.append(
            "  * extrapolated: rows that were not rehearsed take what others of their method do; of"
            "\n    some a part of the batch was measured, and time and memory grow with its clips"
        )
    else:
        lines.append("  * extrapolated: these rows were not rehearsed, others of their method were")
    if any(row["random"] for row in rows):
        lines.append("  pre-trained weights were random ones of the same shape: they cost the same")
    if not found["hardware"]["gpu"]:
        lines.append("  a CPU tells nobody what energy it takes")
    return [
        *lines,
        "  every clip arrives (sets that are there are counted); nothing else uses the device",
        "  3 seeds train three times; with several devices the hours are shared out between them",
        "  memory: a whole batch, and the training data kept on the device (device_store_gb)",
        "  not counted: downloads, log-mel features, metrics and figures (minutes a run)",
    ]
