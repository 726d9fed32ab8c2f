"""A corpus's own tables and audio described as clips, events and audit of one subset."""

from sedrepro import tables
from sedrepro.cli.job import job
from sedrepro.sources import ave, desed, maestro

ADAPTERS = {"desed": desed.adapt, "maestro": maestro.adapt, "ave": ave.adapt}

with job(snakemake) as project:
    adapt = ADAPTERS[snakemake.wildcards.corpus]
    clips, events, audit = adapt(snakemake.wildcards.subset, project)
    tables.write(snakemake.output.clips, clips, tables.CLIPS)
    tables.write(snakemake.output.events, events, tables.EVENTS)
    tables.write(snakemake.output.audit, audit, tables.AUDIT)
