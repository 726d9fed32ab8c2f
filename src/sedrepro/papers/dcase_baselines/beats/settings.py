"""Settings of the mean teacher beside a frozen encoder."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from ....settings import FrontEnd, Grid
from ...bases.heterogeneous.settings import Encoder, Network
from ...bases.mean_teacher import settings as mean_teacher


class Settings(mean_teacher.Settings):
    """What a row with a frozen encoder may change."""

    front_end: str = Field("wave16k", description="the front end of the spectra")
    network: Network = Field(default_factory=Network, description="the CRNN")
    encoder: Encoder = Field(default_factory=Encoder, description="the frozen transformer")

    @model_validator(mode="after")
    def _frozen(self) -> Settings:
        if not self.encoder.cached or self.rct.use:
            raise ValueError("tokens come from stores: encoder.cached on, rct.use off")
        return self

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.front_end, *self.encoder.inputs)

    def weights(self) -> list[str]:
        return [self.encoder.resource]

    def grid(self, front_ends: Mapping[str, FrontEnd]) -> Grid:
        grid = super().grid(front_ends)
        self.encoder.check(grid, front_ends)
        return grid
