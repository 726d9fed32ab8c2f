"""`sedrepro export`: a finished run's scores, detections or weights in forms others read."""

from __future__ import annotations

import argparse

from .. import papers, settings
from ..errors import SedreproError
from ..places import typed, typed_run
from ..settings import Layout, Paper, Plan, Project
from .naming import HELP, run_of


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("run", type=typed_run, help=HELP)
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument(
        "--scores",
        type=typed,
        metavar="DIR",
        help="write a table of frames per clip, filtered as the row decodes them",
    )
    target.add_argument(
        "--detections", type=typed, metavar="DIR", help="write a table of detections per threshold"
    )
    target.add_argument(
        "--checkpoint",
        type=typed,
        metavar="DIR",
        help="write the weights, with a card of settings, data and metrics",
    )
    parser.add_argument("--set", metavar="SET", help="by default the run's first")
    parser.add_argument("--model", help="student or teacher; by default that of the first table")


def export(options: argparse.Namespace, project: Project) -> int:
    """Write the tables or weights, and print the command that scores them."""
    from ..evaluation import export

    run, layout = run_of(options.run, project), Layout.of(project)
    plan = settings.plan(project, run, papers.settings_models()[run.paper])
    model = options.model or headline_model(project.papers[run.paper])
    if options.checkpoint is not None:
        return _export_checkpoint(options, plan, layout)
    output = export.output(plan, layout, options.set, model)
    command = f"sedrepro score {run.paper} --set {output.set} --as NAME"
    if options.scores is not None:
        export.write_scores(output, options.scores)
        command += f" --scores {options.scores}"
    else:
        at_threshold = export.write_detections(output, plan, options.detections)
        threshold = plan.settings.decoding.threshold
        command += f" --detections {options.detections}"
        command += f" --at-threshold {threshold:g} {at_threshold}"
    print(f"{len(output.truth.clips):,} clips of {output.set} by {model}; this scores them:")
    print(command)
    return 0


def _export_checkpoint(options: argparse.Namespace, plan: Plan, layout: Layout) -> int:
    from ..evaluation.run import why_not_run

    if (reason := why_not_run(plan.scored, layout)) is not None:
        raise SedreproError(f"{plan.run}: was not run: {reason}")
    from ..inference.card import write_checkpoint

    path = write_checkpoint(plan, layout, options.checkpoint)
    print(f"{path.parent}: weights and card; on any machine these take them:")
    print(f"sedrepro predict --run {path} RECORDINGS")
    print(f"sedrepro score {plan.run.paper} --set SET --as NAME --checkpoint {path}")
    return 0


def headline_model(paper: Paper) -> str:
    """The model of the first column of the paper's first table."""
    first = next(iter(paper.tables.values()))
    return first.columns[0].model
