"""The shards of a subset → its soundscape tables and clip tables."""

from sedrepro import papers, settings
from sedrepro.mixtures import soundscapes

soundscapes.collect(
    settings.load(snakemake.config, papers=papers.settings_of()), snakemake.wildcards.subset
)
