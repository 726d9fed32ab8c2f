"""Settings of ATST-SED's network, whose transformer is part of it."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ....settings.blocks import Count
from ...bases.heterogeneous import settings as heterogeneous
from ...bases.mean_teacher import settings as mean_teacher


class Encoder(heterogeneous.Encoder):
    """The transformer in the network."""

    resource: Literal["atst_frame"] = Field("atst_frame", description="which one")
    cached: Literal[False] = Field(False, description="its weights are the checkpoint's own")
    bands: Count = Field(1, description="tokens per time step (frequency patches)")


class Settings(mean_teacher.Settings):
    """What a row of ATST-SED may change. It is scored here; `mtda_hsed` trains it."""

    network: heterogeneous.Network = Field(
        default_factory=heterogeneous.Network, description="the CRNN"
    )
    encoder: Encoder = Field(default_factory=Encoder, description="the transformer in the network")
