"""`sedrepro export`: a finished run's scores or detections in the forms others read."""

from __future__ import annotations

import argparse

from .. import papers, settings
from ..places import typed, typed_run
from ..settings import Layout, Paper, Project
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
    parser.add_argument("--set", metavar="SET", help="by default the run's first")
    parser.add_argument("--model", help="student or teacher; by default that of the first table")


def export(options: argparse.Namespace, project: Project) -> int:
    """Write the tables, and print the command that scores them."""
    from ..evaluation import export

    run, layout = run_of(options.run, project), Layout.of(project)
    plan = settings.plan(project, run, papers.settings_of()[run.paper])
    model = options.model or headline_model(project.papers[run.paper])
    output = export.output(plan, layout, options.set, model)
    command = f"sedrepro score {run.paper} --set {output.set} --as NAME"
    if options.scores is not None:
        export.write_scores(output, options.scores)
        command += f" --scores {options.scores}"
    else:
        alone = export.write_detections(output, plan, options.detections)
        threshold = plan.settings.decoding.threshold
        command += f" --detections {options.detections} --at-threshold {threshold:g} {alone}"
    print(f"{len(output.truth.clips):,} clips of {output.set} by {model}; this scores them:")
    print(command)
    return 0


def headline_model(paper: Paper) -> str:
    """The model of the first column of the paper's first table."""
    first = next(iter(paper.tables.values()))
    return first.columns[0].model
