"""One run: train it, take it up where it was left, or republish it."""

from sedrepro.cli.job import job, plan_of
from sedrepro.settings.tasks import TrainTask
from sedrepro.training.run import train

with job(snakemake, TrainTask, outlives_driver=True) as task:  # to save what it has first
    train(
        plan_of(task),
        task.project,
        task.layout,
        gpus=snakemake.resources.get("gpu", 0),
        threads=snakemake.threads,
    )
