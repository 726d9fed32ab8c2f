"""One run: train it, take it up where it was left, take over what others did, or republish it."""

from sedrepro.evaluation.take import take
from sedrepro.pipeline.job import job, plan_of
from sedrepro.settings.tasks import TrainTask
from sedrepro.training.run import train

with job(snakemake, TrainTask, outlives_driver=True) as task:  # to save what it has first
    plan = plan_of(task)
    if plan.brings_truth:
        take(plan, task.project, task.layout)
    else:
        train(
            plan,
            task.project,
            task.layout,
            gpus=snakemake.resources.get("gpu", 0),
            threads=snakemake.threads,
        )
