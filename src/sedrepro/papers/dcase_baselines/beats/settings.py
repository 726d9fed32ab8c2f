"""Settings of the mean teacher beside a frozen encoder."""

from __future__ import annotations

from pydantic import model_validator

from ...bases.heterogeneous.settings import BesideEncoder
from ...bases.mean_teacher import settings as mean_teacher


class Settings(BesideEncoder, mean_teacher.Settings):
    """What a row with a frozen encoder may change."""

    @model_validator(mode="after")
    def _frozen(self) -> Settings:
        if not self.encoder.cached or self.rct.use:
            raise ValueError("tokens come from stores: encoder.cached on, rct.use off")
        return self
