"""A corpus's own tables and audio described as clips, events and audit of one subset."""

from sedrepro import tables
from sedrepro.cli.job import job
from sedrepro.mixtures.origins import seal_tables
from sedrepro.settings.tasks import AdaptTask
from sedrepro.sources import ave, desed, maestro

ADAPTERS = {"desed": desed.adapt, "maestro": maestro.adapt, "ave": ave.adapt}

with job(snakemake, AdaptTask) as task:
    clips, events, audit = ADAPTERS[task.corpus](task.name, task.project)
    tables.write(snakemake.output.clips, clips, tables.CLIPS)
    tables.write(snakemake.output.events, events, tables.EVENTS)
    tables.write(snakemake.output.audit, audit, tables.AUDIT)
    seal_tables(task, snakemake.input)
