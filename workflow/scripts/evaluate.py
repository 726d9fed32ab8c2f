"""The numbers of one run, from its stored scores and the truth."""

from sedrepro.cli.job import job, plan_of
from sedrepro.evaluation import write
from sedrepro.settings import Layout

with job(snakemake) as project:
    output = snakemake.output
    write(plan_of(snakemake), project, Layout.of(project), output.metrics, output.resamples)
