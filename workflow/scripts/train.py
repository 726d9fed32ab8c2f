"""One run: train it, take it up where it was left, or republish it."""

from sedrepro.cli.job import job, plan_of
from sedrepro.settings import Layout
from sedrepro.training.run import train

with job(snakemake, outlives_driver=True) as project:  # to save what it has first
    train(
        plan_of(snakemake),
        project,
        Layout.of(project),
        gpus=snakemake.resources.get("gpu", 0),
        threads=snakemake.threads,
    )
