"""The recipe of one SNR's mixtures, and its clip tables."""

from sedrepro.mixtures.origins import seal_tables, stamps
from sedrepro.mixtures.snr_mix import write_recipe
from sedrepro.pipeline.job import job
from sedrepro.settings.tasks import AdaptTask

with job(snakemake, AdaptTask) as task:
    trees = stamps(snakemake.input.own)
    write_recipe(task.project, task.name)
    seal_tables(task, snakemake.input.statuses, trees)
