"""What a frozen network says of one subset's clips, as a store."""

from sedrepro.inference.embed import make_store
from sedrepro.pipeline.job import job
from sedrepro.settings.tasks import StoreTask

with job(snakemake, StoreTask) as task:
    make_store(
        task,
        out=snakemake.output[0],
        gpus=snakemake.resources.get("gpu", 0),
        threads=snakemake.threads,
    )
