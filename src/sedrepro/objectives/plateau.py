"""A learning rate that falls when a score stops rising, as torch's ReduceLROnPlateau has it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Plateau:
    """`factor` of the rate after each score; a rise counts if it exceeds a share of the best."""

    patience: int
    decay: float
    threshold: float
    factor: float = 1.0
    best: float = -float("inf")
    waited: int = 0

    def see(self, score: float) -> None:
        if score > self.best * (1 + self.threshold):
            self.best = score
            self.waited = 0
            return
        self.waited += 1
        if self.waited > self.patience:
            self.factor = self.factor * self.decay
            self.waited = 0

    def state(self) -> dict[str, float]:
        return {"factor": self.factor, "best": self.best, "waited": self.waited}

    def load(self, state: dict[str, float]) -> None:
        self.factor = state["factor"]
        self.best = state["best"]
        self.waited = int(state["waited"])
