"""One resource of the registry: fetched, verified, unpacked; or a status that says why not."""

from sedrepro.cli.job import checkout, job
from sedrepro.files import write_json
from sedrepro.settings.tasks import FetchTask
from sedrepro.sources import registry
from sedrepro.sources.fetch import obtain

with job(snakemake, FetchTask) as task:
    known = registry.load(checkout(snakemake))
    write_json(snakemake.output[0], obtain(task.resource, task.project, known))
