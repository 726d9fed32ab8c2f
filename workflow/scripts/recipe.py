"""The recipe of one SNR's mixtures, and its clip tables."""

from sedrepro.mixtures.origins import seal_tables
from sedrepro.mixtures.snr_mix import write_recipe
from sedrepro.pipeline.job import job
from sedrepro.settings.tasks import AdaptTask

with job(snakemake, AdaptTask) as task:
    write_recipe(task.project, task.name)
    seal_tables(task, snakemake.input)
