"""A corpus's own tables and audio described as clips, events and audit of one subset."""

from sedrepro import tables
from sedrepro.mixtures.origins import seal_tables, stamps
from sedrepro.pipeline.job import job
from sedrepro.settings import declared
from sedrepro.settings.tasks import AdaptTask

with job(snakemake, AdaptTask) as task:
    trees = stamps(snakemake.input.own)
    adapt = declared.resolve(declared.CORPORA[task.corpus].adapt)
    clips, events, audit = adapt(task.name, task.project)
    tables.write(snakemake.output.clips, clips, tables.CLIPS)
    tables.write(snakemake.output.events, events, tables.EVENTS)
    tables.write(snakemake.output.audit, audit, tables.AUDIT)
    seal_tables(task, snakemake.input.statuses, trees)
