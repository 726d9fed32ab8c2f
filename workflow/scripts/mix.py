"""One shard of a subset's soundscapes, mixed from the sound bank."""

from sedrepro.cli.job import job
from sedrepro.mixtures.soundscapes import mix_shard

with job(snakemake) as project:
    mix_shard(project, snakemake.wildcards.subset, int(snakemake.wildcards.shard))
