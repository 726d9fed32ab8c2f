"""ATST-SED's network after its second stage: student and teacher have a transformer each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor, nn

from ....errors import SedreproError
from ....features.atst import AtstMel
from ....networks.atst import Atst
from ....networks.crnn import Detection
from ....networks.hetero import Hetero, pooled
from ...bases.heterogeneous.method import ENCODING, merged
from ...bases.mean_teacher import method as mean_teacher
from ...contract import Batch, Term
from .settings import Settings


class Method(mean_teacher.Method):
    """Scores only: `mtda_hsed/atst_sed` trains such a network."""

    settings: Settings

    def build(self) -> dict[str, nn.Module]:
        encoder = self.settings.encoder
        student = merged(self.plan, self.settings.network, encoder)
        student.transformer = Atst(encoder.width, encoder.depth)
        self.front = AtstMel().to(self.device)
        return {"student": student}

    def linear(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """With the spectra that the transformer reads."""
        return {**super().linear(inputs), ENCODING: self.front(inputs[self.settings.front_end])}

    def detect(self, model: str, inputs: Mapping[str, Any]) -> Detection:
        (mel,) = self.read(inputs)
        network = cast(Hetero, self.networks[model])
        tokens = network.get_submodule("transformer")(inputs[ENCODING])
        return self.forward(model, mel, pooled(tokens, network.frames))

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        raise SedreproError(f"{self.plan.run}: is only scored; mtda_hsed/atst_sed trains it")
