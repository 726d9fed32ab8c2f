"""All figures of one paper."""

from sedrepro.cli.job import job
from sedrepro.reporting import draw
from sedrepro.settings import Layout

with job(snakemake) as project:
    draw(project, snakemake.params.paper, Layout.of(project))
