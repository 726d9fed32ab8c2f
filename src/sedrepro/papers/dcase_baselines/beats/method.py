"""The DCASE 2023 system beside BEATs: its frozen tokens join the CRNN late, and are not mixed."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from ...bases.heterogeneous.method import merged
from ...bases.mean_teacher import method as mean_teacher
from .settings import Settings


class Method(mean_teacher.Method):
    """The mean teacher's losses; mixup acts on spectra and labels alone, as in its code."""

    settings: Settings

    def build(self) -> dict[str, nn.Module]:
        return {"student": merged(self.plan, self.settings.network, self.settings.encoder)}

    def read(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        return (*super().read(inputs), inputs[self.settings.encoder.front_end])
