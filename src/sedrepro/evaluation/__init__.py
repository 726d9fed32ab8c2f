"""From stored scores to the numbers of a run: one module per family of metrics, no torch."""

from .run import evaluate, write

__all__ = ["evaluate", "write"]
