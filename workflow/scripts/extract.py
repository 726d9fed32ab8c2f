"""One subset's clips as a feature store."""

from sedrepro.cli.job import job
from sedrepro.features.extract import extract
from sedrepro.settings import Subset

if __name__ == "__main__":  # worker processes import this file and must not start over
    with job(snakemake) as project:
        extract(
            project,
            Subset(snakemake.wildcards.corpus, snakemake.wildcards.subset),
            snakemake.wildcards.front_end,
            out=snakemake.output[0],
            workers=snakemake.threads,
        )
