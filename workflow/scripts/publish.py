"""The results page."""

from pathlib import Path

from sedrepro.cli.job import job
from sedrepro.reporting import publish
from sedrepro.settings import Layout

root = Path(snakemake.scriptdir).parents[1]
with job(snakemake) as project:
    publish(project, Layout.of(project), root)
