"""One subset's waveforms as the tokens of a frozen network."""

from sedrepro.cli.job import job
from sedrepro.settings import Subset
from sedrepro.training.embed import embed

with job(snakemake) as project:
    embed(
        project,
        Subset(snakemake.wildcards.corpus, snakemake.wildcards.subset),
        snakemake.wildcards.front_end,
        out=snakemake.output[0],
        gpus=snakemake.resources.get("gpu", 0),
        threads=snakemake.threads,
    )
