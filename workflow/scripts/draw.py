"""All figures of one paper."""

from sedrepro.pipeline.job import checkout, job
from sedrepro.reporting import draw
from sedrepro.settings.tasks import ReportTask

with job(snakemake, ReportTask) as task:
    draw(task.project, task.paper, task.layout, checkout(snakemake))
