"""One paper's table."""

from pathlib import Path

from sedrepro.cli.job import job
from sedrepro.reporting import tabulate
from sedrepro.settings import Layout

root = Path(snakemake.scriptdir).parents[1]
with job(snakemake) as project:
    tabulate(project, snakemake.wildcards.paper, Layout.of(project), root)
