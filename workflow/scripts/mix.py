"""One shard of a subset's soundscapes, mixed from the sound bank."""

from sedrepro.mixtures.soundscapes import make_shard
from sedrepro.pipeline.job import job
from sedrepro.settings.tasks import MixTask

with job(snakemake, MixTask) as task:
    make_shard(task, snakemake.input, snakemake.output[0])
