"""Settings of ATST-SED's network, whose transformer is part of it."""

from __future__ import annotations

from pydantic import Field, model_validator

from ...bases.heterogeneous.settings import Encoder, Network
from ...bases.mean_teacher import settings as mean_teacher


class Settings(mean_teacher.Settings):
    """What a row of ATST-SED may change. It is scored here; `mtda_hsed` trains it."""

    front_end: str = Field("wave16k", description="the front end of the spectra")
    network: Network = Field(default_factory=Network, description="the CRNN")
    encoder: Encoder = Field(
        default_factory=lambda: Encoder(resource="atst_frame", cached=False, bands=1),
        description="the transformer in the network",
    )

    @model_validator(mode="after")
    def _inside(self) -> Settings:
        if self.encoder.cached or self.encoder.resource != "atst_frame":
            raise ValueError("the transformer is ATST-Frame, in the network: encoder.cached off")
        return self
