"""The numbers of one run, from its stored scores and the truth."""

from sedrepro.cli.job import job, plan_of
from sedrepro.evaluation import evaluate
from sedrepro.files import write_json
from sedrepro.settings import Layout

with job(snakemake) as project:
    metrics = evaluate(plan_of(snakemake), project, Layout.of(project))
    write_json(snakemake.output.metrics, metrics)
