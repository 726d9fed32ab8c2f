"""One resource of the registry: fetched, verified, unpacked; or a status that says why not."""

from sedrepro.cli.job import job
from sedrepro.files import write_json
from sedrepro.sources.fetch import obtain

with job(snakemake) as project:
    write_json(snakemake.output[0], obtain(snakemake.wildcards.resource, project))
