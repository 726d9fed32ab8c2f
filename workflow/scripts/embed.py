"""One subset's waveforms as the tokens of a frozen network."""

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
