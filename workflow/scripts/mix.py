"""One shard of a subset's soundscapes, mixed from the sound bank."""

from sedrepro.cli.job import job
from sedrepro.mixtures.soundscapes import make_shard
from sedrepro.settings.tasks import MixTask

with job(snakemake, MixTask) as task:
    make_shard(task, snakemake.input, snakemake.output[0])
