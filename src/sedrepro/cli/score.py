"""`sedrepro score`: somebody else's detections, scores or checkpoint on a set of a paper."""

from __future__ import annotations

import argparse
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from .. import papers, settings
from ..errors import SedreproError
from ..places import typed
from ..settings import HeldOut, Layout, Plan, Project, Run, declared
from ..sources import weights
from .export import headline_model

if TYPE_CHECKING:
    from ..evaluation.measures import Measures, Truth

HEADS = ("metric", "implementation", "value", "interval", "clips")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("paper", help="the paper whose classes, sets and decoding are used")
    parser.add_argument(
        "--set", required=True, metavar="SET", help="the set, as the paper calls it"
    )
    parser.add_argument("--as", required=True, dest="name", metavar="NAME", help="a name for it")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--detections",
        type=typed,
        metavar="DIR",
        help="a table of detections per threshold, which is the last number in its name",
    )
    source.add_argument(
        "--scores", type=typed, metavar="DIR", help="a table of frames per clip (sed_scores_eval's)"
    )
    source.add_argument(
        "--checkpoint",
        type=typed,
        metavar="FILE",
        help="weights: of a recipe of DCASE (Lightning), of one network, or exported from a run",
    )
    parser.add_argument(
        "--row", help="of others' weights: the row whose network they fit; by default the first"
    )
    parser.add_argument(
        "--model", help="of a checkpoint: student or teacher; by default that of the first table"
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument(
        "--at-threshold",
        nargs=2,
        metavar=("0.5", "FILE"),
        help="the detections that F1 scores are of, where the folder has none at that threshold",
    )
    parser.add_argument(
        "--smooth",
        action="store_true",
        help="the scores are raw: filter them with the paper's median windows",
    )
    parser.add_argument(
        "--truth", type=typed, metavar="FILE", help="events in DESED's form, with --durations"
    )
    parser.add_argument(
        "--durations", type=typed, metavar="FILE", help="the length of every clip of the set"
    )


def score(options: argparse.Namespace, project: Project) -> int:
    """Print what a system scores, and record it in the result set."""
    at, layout = _checked(options), Layout.of(project)
    if options.checkpoint is not None:
        return _score_checkpoint(options, project, layout)
    plan, held_out = set_to_score(project, options.paper, options.set)
    from ..evaluation import external, released

    given = {
        "detections": options.detections,
        "scores": options.scores,
        "at_threshold": at and at[1],
        "truth": options.truth,
        "durations": options.durations,
    }
    files = {what: path for what, path in given.items() if path is not None}
    system = external.External(options.name, plan, held_out, files, options.smooth)
    known = released.known(held_out, plan, layout, options.truth, options.durations)
    if options.detections is not None:
        found = external.of_detections(system, known, project.report, at)
    else:
        found = external.of_scores(system, known, project.report)
    folder = external.record_external(system, known, found, project.report, layout)
    print(text(found, known.truth))
    if options.detections is not None and not any("f1" in metric for metric, *_ in found.values):
        threshold = plan.settings.decoding.threshold
        print(f"no F1: nothing at threshold {threshold:g} (--at-threshold {threshold:g} FILE)")
    print(folder)
    return 0


def _score_checkpoint(options: argparse.Namespace, project: Project, layout: Layout) -> int:
    """Score a checkpoint: run its network on the set's store, and evaluate what it says."""
    plan, held_out = set_to_score(
        project, options.paper, options.set, row=options.row, families=set(declared.METRICS)
    )
    from ..evaluation import external
    from ..training.others import Checkpoint

    def find(resource: str) -> Path:
        if why := weights.lacking(resource, project):
            raise SedreproError(f"{options.checkpoint}: builds on {why}")
        return weights.path(resource, project)

    checkpoint = Checkpoint(options.checkpoint, find, options.device)
    if checkpoint.own_method is not None:
        plan = checkpoint.own_method.plan
        held_out = _set_of(plan, options)
    model = options.model or headline_model(project.papers[options.paper])
    method = checkpoint.method(plan, model)
    system = external.External(options.name, plan, held_out, {"checkpoint": options.checkpoint})
    target = system.folder(layout) / external.SCORES
    stores = checkpoint.score(method, model, held_out, layout, target, external.MODEL)
    system = replace(system, network=external.of_network(plan, model, stores))
    known, found = external.of_checkpoint(system, layout, project.report)
    folder = external.record_external(system, known, found, project.report, layout)
    print(text(found, known.truth))
    print(folder)
    return 0


def _set_of(plan: Plan, options: argparse.Namespace) -> HeldOut:
    """The set as the run defines it that the checkpoint was exported from."""
    if plan.run.paper != options.paper:
        raise SedreproError(
            f"{options.checkpoint}: is of {plan.run.paper}; "
            f"`sedrepro score {plan.run.paper}` scores it"
        )
    if options.row not in (None, plan.run.row):
        raise SedreproError(f"{options.checkpoint}: is of row {plan.run.row!r}; leave --row out")
    sets = {held_out.name: held_out for held_out in plan.reported}
    if options.set not in sets:
        raise SedreproError(
            f"{options.checkpoint}: has no set {options.set!r}; sets are {', '.join(sets)}"
        )
    return sets[options.set]


def _checked(options: argparse.Namespace) -> tuple[float, Path] | None:
    """The threshold and file of `--at-threshold`; options that do not go together are refused."""
    if (options.truth is None) != (options.durations is None):
        raise SedreproError("--truth and --durations go together: give both or neither")
    if options.smooth and options.scores is None:
        raise SedreproError("--smooth goes with --scores")
    if options.checkpoint is None and (options.row or options.model):
        raise SedreproError("--row and --model go with --checkpoint")
    if options.checkpoint is not None and options.truth is not None:
        raise SedreproError("--truth and --durations do not go with --checkpoint: it needs audio")
    if options.at_threshold is None:
        return None
    if options.detections is None:
        raise SedreproError("--at-threshold goes with --detections")
    threshold, path = options.at_threshold
    try:
        return float(threshold), options.started / path
    except ValueError:
        raise SedreproError(f"--at-threshold {threshold}: not a number") from None


def set_to_score(
    project: Project,
    paper: str,
    name: str,
    *,
    row: str | None = None,
    families: Collection[str] = ("sed",),
) -> tuple[Plan, HeldOut]:
    """A set of a paper that has metrics of some families, with the plan of a row that is scored on
    it: of `row`, or of the first headline row that is."""
    if paper not in project.papers:
        raise SedreproError(f"{paper}: no such paper; papers are {', '.join(project.papers)}")
    spec = project.papers[paper]
    made = [other for other in spec.table if spec.table[other].kind != "published"]
    if row is not None and row not in made:
        raise SedreproError(f"{paper}: no such row {row!r}; rows are {', '.join(made)}")
    sets: dict[str, None] = {}
    for condition in spec.conditions:
        for one in [row] if row else spec.headline:
            run = Run(paper, one, condition, project.seeds[0], spec.run_folds[0])
            plan = settings.plan(project, run, papers.settings_models()[paper])
            for held_out in plan.reported:
                if set(families).isdisjoint(held_out.metrics):
                    continue
                if held_out.name == name:
                    return plan, held_out
                sets[held_out.name] = None
    if not sets:
        raise SedreproError(f"{paper}: has no set with events that others' systems could detect")
    raise SedreproError(f"{paper}: no such set {name!r}; sets are {', '.join(sets)}")


def text(found: Measures, truth: Truth) -> str:
    """The values as a small table, without those of single classes."""
    clips = f"{len(truth.clips):,} of {truth.n_expected or len(truth.clips):,}"
    rows = [HEADS]
    for (metric, implementation, label), value in found.values.items():
        if not label:
            interval = "" if value.low is None else f"{value.low:.4f} … {value.high:.4f}"
            rows.append((metric, implementation, f"{value.value:.4f}", interval, clips))
    widths = [max(len(row[place]) for row in rows) for place in range(len(HEADS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )
