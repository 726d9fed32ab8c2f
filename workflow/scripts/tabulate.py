"""One paper's tables."""

from sedrepro.pipeline.job import checkout, job
from sedrepro.reporting import tabulate
from sedrepro.settings.tasks import ReportTask

with job(snakemake, ReportTask) as task:
    tabulate(task.project, task.paper, task.layout, checkout(snakemake))
