"""One resource of the registry: fetched, verified, unpacked; or a status that says why not."""

from sedrepro.files import write_json
from sedrepro.miniature import obtain
from sedrepro.pipeline.job import checkout, job
from sedrepro.settings.tasks import FetchTask
from sedrepro.sources import registry

with job(snakemake, FetchTask) as task:
    known = registry.load(checkout(snakemake))
    write_json(snakemake.output[0], obtain(task.resource, task.project, known))
