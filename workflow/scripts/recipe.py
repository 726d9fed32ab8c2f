"""The recipe of one SNR's mixtures, and its clip tables."""

from sedrepro.cli.job import job
from sedrepro.mixtures.snr_mix import write_recipe

with job(snakemake) as project:
    write_recipe(project, snakemake.wildcards.subset)
