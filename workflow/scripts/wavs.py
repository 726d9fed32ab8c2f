"""The mixtures of one SNR as wav files, for those who want to hear them."""

from sedrepro.cli.job import job
from sedrepro.mixtures.snr_mix import write_wavs

with job(snakemake) as project:
    write_wavs(project, snakemake.wildcards.subset, snakemake.output[0])
