"""One subset's waveforms as the tokens of a frozen network."""

from sedrepro.cli.job import job
from sedrepro.settings.tasks import StoreTask
from sedrepro.training.embed import make_store

with job(snakemake, StoreTask) as task:
    make_store(
        task,
        out=snakemake.output[0],
        gpus=snakemake.resources.get("gpu", 0),
        threads=snakemake.threads,
    )
