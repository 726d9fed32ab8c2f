"""One subset's clips as a feature store."""

from sedrepro.features.extract import make_store
from sedrepro.pipeline.job import job
from sedrepro.settings.tasks import StoreTask

if __name__ == "__main__":  # worker processes import this file and must not start over
    with job(snakemake, StoreTask) as task:
        make_store(task, out=snakemake.output[0], workers=snakemake.threads)
