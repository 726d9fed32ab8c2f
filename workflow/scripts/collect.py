"""The shards of a subset joined: its soundscape tables and its clip tables."""

from sedrepro.mixtures.origins import seal_tables
from sedrepro.mixtures.soundscapes import collect
from sedrepro.pipeline.job import job
from sedrepro.settings.tasks import AdaptTask

with job(snakemake, AdaptTask) as task:
    collect(task.project, task.name)
    seal_tables(task, snakemake.input)
