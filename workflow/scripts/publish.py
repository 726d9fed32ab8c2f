"""The results page."""

from sedrepro.pipeline.job import checkout, job
from sedrepro.reporting import publish
from sedrepro.settings.tasks import ReportTask

with job(snakemake, ReportTask) as task:
    publish(task.project, task.layout, checkout(snakemake), task.papers)
