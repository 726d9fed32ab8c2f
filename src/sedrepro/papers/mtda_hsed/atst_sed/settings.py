"""Settings of ATST-SED's two training stages."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ....settings import Block, Subset
from ....settings.blocks import Positive, Share
from ...bases.heterogeneous import settings as heterogeneous


class AtstSed(Block):
    """What the two stages change in the training."""

    stage: Literal[1, 2] = Field(1, description="1: beside a frozen transformer; 2: both train")
    weak: Positive = Field(1.0, description="weight of clip terms beside frame terms")
    layer_decay: Share = Field(0.5, description="stage 2: factor of the rate per block downwards")
    lowest: Share = Field(0.1, description="stage 2: the cosine ends at this share of the rate")
    warp: Share = Field(0.5, description="stage 2: probability of a frequency warp")
    heads_rate: Positive = Field(10.0, description="stage 2: rate of RNN and heads over the CNN's")


class Settings(heterogeneous.Settings):
    """What a row of ATST-SED may change."""

    atst: AtstSed = Field(default_factory=AtstSed, description="the two stages")

    @model_validator(mode="after")
    def _trained_where_read(self) -> Settings:
        if self.atst.stage == 2 and self.encoder.cached:
            raise ValueError("encoder.cached must be off where its blocks are trained")
        return self

    @property
    def strong(self) -> tuple[Subset, ...]:
        return (Subset(heterogeneous.DESED, "strong_real"),)
