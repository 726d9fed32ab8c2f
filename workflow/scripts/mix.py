"""Sound bank → one shard of a subset's soundscapes."""

from sedrepro import papers, settings
from sedrepro.mixtures import soundscapes

soundscapes.mix_shard(
    settings.load(snakemake.config, papers=papers.settings_of()),
    snakemake.wildcards.subset,
    int(snakemake.wildcards.shard),
)
