"""Clips of one subset → feature store."""

from sedrepro import papers, settings
from sedrepro.features.extract import extract

if __name__ == "__main__":  # worker processes import this file and must not start over
    extract(
        settings.load(snakemake.config, papers=papers.settings_of()),
        settings.Subset(snakemake.wildcards.corpus, snakemake.wildcards.subset),
        snakemake.wildcards.front_end,
        out=snakemake.output[0],
        workers=snakemake.threads,
    )
