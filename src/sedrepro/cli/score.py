"""`sedrepro score`: somebody else's detections or scores on a set, without audio or training."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from .. import papers, settings
from ..errors import SedreproError
from ..places import typed
from ..settings import HeldOut, Layout, Plan, Project, Run

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
    at = _checked(options)
    plan, held = held_out(project, options.paper, options.set)
    from ..evaluation import external, released

    layout = Layout.of(project)
    given = {
        "detections": options.detections,
        "scores": options.scores,
        "at_threshold": at and at[1],
        "truth": options.truth,
        "durations": options.durations,
    }
    files = {what: path for what, path in given.items() if path is not None}
    system = external.External(options.name, plan, held, files, options.smooth)
    known = released.known(held, plan, layout, options.truth, options.durations)
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


def _checked(options: argparse.Namespace) -> tuple[float, Path] | None:
    """The threshold and file of `--at-threshold`; options that do not go together are refused."""
    if (options.truth is None) != (options.durations is None):
        raise SedreproError("--truth and --durations go together: give both or neither")
    if options.smooth and options.scores is None:
        raise SedreproError("--smooth goes with --scores")
    if options.at_threshold is None:
        return None
    if options.detections is None:
        raise SedreproError("--at-threshold goes with --detections")
    threshold, path = options.at_threshold
    try:
        return float(threshold), options.started / path
    except ValueError:
        raise SedreproError(f"--at-threshold {threshold}: not a number") from None


def held_out(project: Project, paper: str, name: str) -> tuple[Plan, HeldOut]:
    """A set of a paper, and the first headline row that is scored on it."""
    if paper not in project.papers:
        raise SedreproError(f"{paper}: no such paper; papers are {', '.join(project.papers)}")
    spec = project.papers[paper]
    sets: dict[str, None] = {}
    for condition in spec.conditions:
        for row in spec.headline:
            run = Run(paper, row, condition, project.seeds[0], spec.run_folds[0])
            plan = settings.plan(project, run, papers.settings_of()[paper])
            for held in plan.held_out:
                if "sed" in held.metrics and held.name == name:
                    return plan, held
                if "sed" in held.metrics:
                    sets[held.name] = None
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
