"""What every table costs on this machine, from the steps that a rehearsal measured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import settings
from ..errors import SedreproError
from ..files import read_json
from ..settings import Layout, PaperSettings, Plan, Project, Run, Stream, Subset
from ..sources.registry import Registry

SEEDS = (1, 3)
ASSUMED = """\
  taken for granted: every clip that is expected is there; a step grows with its clips; rows that
  were not rehearsed cost what the others of their paper do; nothing else uses the device."""


def expected(project: Project, registry: Registry, subset: Subset) -> int | None:
    """Clips of a set when all arrive, about: nine tenths of a cut set train; folds are four.

    None of MAESTRO, of which recordings are counted and windows are shown.
    """
    if subset.corpus == "snr_mix":
        counts = [4 * project.data.snr_mix.clips_per_fold]
    else:
        carried = registry.carrying(subset.corpus, subset.name)
        counts = [registry[name].subsets[subset.name] for name in carried]
    if not counts or subset.corpus == "maestro":
        return None
    part = 1.0
    if subset.portion:
        part = {"train": 0.9, "held_out": 0.1}.get(
            subset.portion, 0.75 if subset.portion.startswith("!") else 0.25
        )
    return round(max(counts) * part)


def steps_of(project: Project, plan: Plan, registry: Registry) -> int | None:
    """Steps of a whole run."""
    training = plan.settings.training
    if training.steps_per_epoch:
        return training.epochs * training.steps_per_epoch
    ends = [stream for stream in plan.streams if stream.ends_epoch]
    counts = [count // s.group for s in ends if (count := _clips(project, s, registry)) is not None]
    return training.epochs * max(1, min(counts)) if counts else None


def _clips(project: Project, stream: Stream, registry: Registry) -> int | None:
    counts = [expected(project, registry, subset) for subset in stream.subsets]
    return None if None in counts else sum(count or 0 for count in counts)


def scored_of(project: Project, plan: Plan, registry: Registry) -> int:
    """Clips that a run scores, each as often as it is: validations, then every kept checkpoint."""
    training = plan.settings.training
    models = max(1, len(plan.settings.MODELS or ()))
    each = {
        held_out.name: expected(project, registry, held_out.subset) or 0
        for held_out in plan.held_out
    }
    selecting = sum(each[held_out.name] for held_out in plan.held_out if held_out.selects)
    validations = -(-training.epochs // training.validate_every)
    return models * (validations * selecting + len(training.keep) * sum(each.values()))


def seconds_of(
    project: Project, plan: Plan, measured: Mapping[str, Any], registry: Registry
) -> float | None:
    """A whole run, as one like it was measured."""
    steps = steps_of(project, plan, registry)
    if steps is None:
        return None
    batch = sum(stream.group for stream in plan.streams)
    training = steps * measured["step_s"] * batch / measured["clips"]
    return training + scored_of(project, plan, registry) * measured["clip_s"]


def text(
    project: Project,
    models: Mapping[str, type[PaperSettings]],
    registry: Registry,
    layout: Layout,
) -> str:
    """Hours and memory of every table and of all; one line where nothing was rehearsed."""
    path = Path(layout.results, "rehearsal.json")
    if not path.exists():
        return "cost on this machine: not known; `make rehearsal` measures it"
    found = read_json(path)
    rows = [row for row in found["rows"] if "problem" not in row]
    hardware = found["hardware"]
    lines = [f"cost on {hardware['gpu'] or hardware['cpu']}, from a rehearsal of {len(rows)} rows:"]
    sums: dict[str, float] = {"headline": 0.0, "every row": 0.0}
    whole = True
    for paper in project.selected_papers():
        mine = [row for row in rows if row["paper"] == paper]
        if not mine:
            lines.append(f"  {paper}: not rehearsed{_why(paper, found['rows'])}")
            whole = False
            continue
        spec = project.papers[paper]
        memory = max((row["gpu_memory_mb"] or row["memory_mb"]) / 1024 for row in mine)
        parts = []
        for name, chosen in (("headline", spec.headline), ("every row", list(spec.table))):
            taken = _hours(project, _plans(project, paper, chosen, models[paper]), mine, registry)
            sums[name] += taken
            parts.append(f"{name} {_seeds(taken)}")
        lines.append(f"  {paper}: {'; '.join(parts)}; {memory:.1f} GiB")
    rest = "" if whole else ", without what was not rehearsed"
    parts = [f"{name} {_seeds(hours)}" for name, hours in sums.items()]
    lines.append(f"  all: {'; '.join(parts)}{rest}")
    if any(row["clips"] < row["batch"] for row in rows):
        lines.append("  measured with parts of batches, as memory or time were short: extrapolated")
    return "\n".join([*lines, ASSUMED])


def _why(paper: str, rows: Iterable[Mapping[str, Any]]) -> str:
    reasons = {row["problem"] for row in rows if row["paper"] == paper and "problem" in row}
    return f" ({'; '.join(sorted(reasons))})" if reasons else ""


def _seeds(hours: float) -> str:
    return ", ".join(
        f"{hours * count:.1f} h with {count} seed{'s' * (count > 1)}" for count in SEEDS
    )


def _plans(
    project: Project, paper: str, rows: Iterable[str], model: type[PaperSettings]
) -> Iterable[Plan]:
    """A run of each row that trains, under each condition and fold."""
    spec = project.papers[paper]
    for row in rows:
        for condition in spec.conditions if spec.table[row].kind == "train" else ():
            for fold in spec.run_folds:
                try:
                    yield settings.plan(project, Run(paper, row, condition, 0, fold), model)
                except SedreproError:
                    continue  # told where the row is asked for


def _hours(
    project: Project, plans: Iterable[Plan], rows: list[dict[str, Any]], registry: Registry
) -> float:
    taken = 0.0
    for plan in plans:
        alike = [row for row in rows if row["row"] == plan.run.row] or rows
        times = [seconds_of(project, plan, row, registry) or 0.0 for row in alike]
        taken += sum(times) / len(times)
    return taken / 3600
