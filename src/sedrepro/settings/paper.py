"""What every paper's settings have in common; each paper's `settings.py` extends it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from .blocks import Block, Decoding, FrontEnd, Training
from .data import Data
from .streams import Grid, HeldOut, Stream


class PaperSettings(Block):
    """Settings of one run. Light on purpose: the DAG is planned from it without torch."""

    MODELS: ClassVar[tuple[str, ...]] = ()
    """The networks whose scores are kept, the one for recordings first; empty: all there are."""
    methods: ClassVar[dict[str, type[PaperSettings]]] = {}
    """Settings of the methods that a row may name instead of the paper's own."""

    training: Training = Field(default_factory=Training, description="the trainer")
    decoding: Decoding = Field(default_factory=Decoding, description="from scores to events")

    @classmethod
    def of(cls, method: str | None) -> type[PaperSettings]:
        """The settings of a row that names this method, or none."""
        return cls if method is None else cls.methods[method]

    @abstractmethod
    def streams(self) -> list[Stream]:
        """The groups of a training batch, in batch order."""

    @abstractmethod
    def held_out(self) -> list[HeldOut]:
        """The sets scored during (`selects`) and after training."""

    def reads(self) -> list[Stream | HeldOut]:
        """All that a run reads of the data."""
        return [*self.streams(), *self.held_out()]

    def selection(self) -> list[str]:
        """The numbers whose sum chooses the checkpoint, as `<set>/<model>/<metric>`."""
        return []

    def weights(self) -> list[str]:
        """Resources of pre-trained weights without which the row cannot be run."""
        return []

    @property
    def recomputes(self) -> bool:
        """Whether every validation goes over the training batches of an epoch first."""
        return False

    @abstractmethod
    def grid(self, front_ends: Mapping[str, FrontEnd]) -> Grid:
        """The resolution of the network's output."""

    @abstractmethod
    def classes(self, data: Data) -> list[str]:
        """Class names in output order."""

    def check_classes(self, classes: list[str]) -> None:
        """ValueError if a run with these classes, in output order, cannot be made."""
        if twice := sorted({name for name in classes if classes.count(name) > 1}):
            raise ValueError(f"more than one class is called {', '.join(twice)}")
