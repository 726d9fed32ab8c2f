"""The one trainer: data order, steps, checkpoints, resume, scores and the record of a run."""
