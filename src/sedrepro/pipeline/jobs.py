"""Every job around the runs: what it is for, what it leaves, and where its log lies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..settings import Subset, declared
from ..settings.tasks import SYNTHETIC
from .flow import SNR_MIX, Flow

BEFORE = ("fetch", "adapt", "recipe", "mix", "collect", "extract", "embed")
AFTER = ("tabulate", "draw", "publish")


@dataclass(frozen=True)
class Job:
    """One job of a rule that makes no run."""

    rule: str
    name: str
    log: str
    leaves: str
    """The file that is there once the job is done."""

    @property
    def is_done(self) -> bool:
        return Path(self.leaves).exists()


def before_training(flow: Flow) -> list[Job]:
    """What the selected runs need: resources, clip tables, stores."""
    stores: dict[tuple[Subset, str], None] = {}
    resources: dict[str, None] = {}
    for paper in flow.papers:
        for run in flow.runs(paper):
            plan = flow.of(run)
            stores |= dict.fromkeys(plan.inputs())
            resources |= dict.fromkeys(flow.fetched(plan.resources))
    for subset, front_end in list(stores):
        made = flow.project.front_ends[front_end]
        if declared.FRONT_ENDS[made.kind].of_waveforms:
            stores[subset, made.waveform] = None
    subsets = dict.fromkeys(subset for subset, _ in stores)
    for subset in subsets:
        resources |= dict.fromkeys(flow.resources(subset))
    layout = flow.layout
    found = [
        Job("fetch", name, layout.data_log("fetch", name), layout.status(name))
        for name in resources
    ]
    for subset in subsets:
        found += _tables(flow, subset)
    for subset, front_end in stores:
        frozen = declared.FRONT_ENDS[flow.project.front_ends[front_end].kind].weights
        rule = "embed" if frozen else "extract"
        name = f"{subset.corpus}.{subset.name}.{front_end}"
        found.append(Job(rule, name, layout.data_log(rule, name), layout.store(subset, front_end)))
    return sorted(found, key=lambda job: BEFORE.index(job.rule))


def _tables(flow: Flow, subset: Subset) -> Iterator[Job]:
    """The jobs that describe a subset by clip tables, and mix it where it is mixed here."""
    layout = flow.layout
    described = layout.tables_key(subset)
    if flow.mixes and subset.corpus == "desed" and subset.name in SYNTHETIC:
        for number, shard in enumerate(flow.shards(subset.name)):
            name = f"{subset.name}.{number}"
            yield Job("mix", name, layout.data_log("mix", name), shard)
        log = layout.data_log("collect", subset.name)
        yield Job("collect", subset.name, log, described)
    elif subset.corpus == SNR_MIX:
        yield Job("recipe", subset.name, layout.data_log("recipe", subset.name), described)
    else:
        name = f"{subset.corpus}.{subset.name}"
        yield Job("adapt", name, layout.data_log("adapt", name), described)


def after_evaluation(flow: Flow) -> list[Job]:
    """Tables and figures of every paper, and the page."""
    layout = flow.layout
    found = [
        Job(rule, paper, layout.results_log(rule, paper), layout.results_key(f"{part}/{paper}"))
        for rule, part in (("tabulate", "tables"), ("draw", "figures"))
        for paper in flow.papers
    ]
    log = layout.results_log("publish")
    return [*found, Job("publish", "page", log, layout.results_key("report"))]
