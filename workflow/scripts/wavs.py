"""The mixtures of one SNR as wav files, for those who want to hear them."""

from sedrepro.mixtures.snr_mix import write_wavs
from sedrepro.pipeline.job import job
from sedrepro.settings.tasks import AdaptTask

with job(snakemake, AdaptTask) as task:
    write_wavs(task.project, task.name, snakemake.output[0])
