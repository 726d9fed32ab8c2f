"""sedrepro: sound-event papers, from download to the table beside the paper's own numbers."""

__version__ = "0.1.0"
