"""The shards of a subset joined: its soundscape tables and its clip tables."""

from sedrepro.cli.job import job
from sedrepro.mixtures.soundscapes import collect

with job(snakemake) as project:
    collect(project, snakemake.wildcards.subset)
