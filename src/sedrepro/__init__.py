"""sedrepro: sound-event papers, reproduced from download to the table beside the paper's numbers."""

__version__ = "0.1.0"
