"""What a paper asks of the data, said without torch: streams to train on, sets to score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Overlap = Literal["largest", "last"]
"""Whose confidence a frame takes where several events of one class meet: the largest, or that of
the last row of the table."""
Labels = Literal["frames", "clips", "none"]
Unit = Literal["clip", "recording", "video", "events"]


@dataclass(frozen=True)
class Subset:
    """Some clips of a corpus; `portion` names a value of the clip table's `fold` column.

    `!4` is every value but 4: the training clips where fold 4 is held out.
    """

    corpus: str
    name: str
    portion: str | None = None

    def holds(self, fold: str) -> bool:
        """Whether clips with this value in the `fold` column belong to the portion."""
        if self.portion is None:
            return True
        if self.portion.startswith("!"):
            return fold != self.portion[1:]
        return fold == self.portion


@dataclass(frozen=True)
class Stream:
    """One group of the training batch: its clips, their kind of labels, how many per batch."""

    name: str
    subsets: tuple[Subset, ...]
    inputs: tuple[str, ...]
    group: int
    labels: Labels
    ends_epoch: bool = True
    overlap: Overlap = "largest"


@dataclass(frozen=True)
class HeldOut:
    """A set scored after training; `selects` sets are scored during it to choose the checkpoint.

    `metrics` names the families of `sedrepro.evaluation` computed from its scores. `unit` is what
    intervals resample: clips of one recording, of one video, or mixed of the same event recordings
    depend on each other and are drawn together.
    """

    name: str
    subset: Subset
    inputs: tuple[str, ...]
    metrics: tuple[str, ...] = ("sed",)
    selects: bool = False
    reports: bool = True
    unit: Unit = "clip"

    @property
    def subsets(self) -> tuple[Subset, ...]:
        return (self.subset,)


@dataclass(frozen=True)
class Grid:
    """The output resolution of a network: label frames per clip and their length."""

    frames: int
    seconds: float
