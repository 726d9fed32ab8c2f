"""The numbers of one run, from its stored scores and the truth."""

from sedrepro.evaluation import write
from sedrepro.pipeline.job import job, plan_of
from sedrepro.settings.tasks import EvaluateTask

with job(snakemake, EvaluateTask) as task:
    output = snakemake.output
    write(plan_of(task), task.project, task.layout, output.metrics, output.resamples)
