"""One resource of the registry: fetched, verified, unpacked; or a status that says why not."""

from pathlib import Path

from sedrepro.cli.job import job
from sedrepro.files import write_json
from sedrepro.sources import registry
from sedrepro.sources.fetch import obtain

with job(snakemake) as project:
    known = registry.load(Path(snakemake.scriptdir).parents[1])
    write_json(snakemake.output[0], obtain(snakemake.wildcards.resource, project, known))
