"""2APAE and the poolings it is compared with: clip labels in, clip probabilities out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...features.normalise import Standardise
from ...networks.crnn import channels_last
from ...networks.tagging import Atrous, Tagging, TwoStep, Vgg
from ...objectives.plateau import Plateau
from .. import contract
from ..contract import Batch, Epoch, Term
from .settings import Settings

MODEL = "network"


class Method(contract.Method):
    """L = BCE of clips + alpha · MSE of the reconstructed input."""

    settings: Settings

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        plateau = self.settings.plateau
        self.plateau = Plateau(plateau.patience, plateau.factor, plateau.threshold)

    def build(self) -> dict[str, nn.Module]:
        settings, classes = self.settings, len(self.plan.classes)
        bands, frames = self.plan.front_ends[settings.front_end].shape
        size, network = (frames, bands), settings.network
        if settings.pooling == "two_step":
            built: nn.Module = TwoStep(classes, network.channels, size)
        elif settings.pooling == "atrous_ap":
            built = Atrous(classes, network.atrous_channels)
        else:
            built = Vgg(classes, network.vgg_channels, settings.pooling, size, network.gwrp_decay)
        return {MODEL: channels_last(built), "standardise": Standardise(bands)}

    @property
    def reconstructs(self) -> bool:
        """Without its loss the decoder would only cost time: it is there, and never run."""
        return self.settings.pooling == "two_step" and self.settings.alpha > 0

    def prepare(self, clips: Callable[[], Iterable[Mapping[str, Tensor]]]) -> None:
        standardise = cast(Standardise, self.networks["standardise"])
        standardise.measure(inputs[self.settings.front_end] for inputs in clips())

    def normalised(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """(clip, frame, mel), each band with mean 0 and deviation 1 over the training folds."""
        return self.networks["standardise"](inputs[self.settings.front_end]).mT.contiguous()

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        x = self.normalised(batch.inputs)
        found = self._forward(x, self.reconstructs)
        terms = {"tags": Term(1.0, F.binary_cross_entropy(found.clip, batch.clips))}
        if found.reconstruction is not None:
            error = F.mse_loss(found.reconstruction, x)
            terms["reconstruction"] = Term(self.settings.alpha, error)
        return terms

    def _forward(self, x: Tensor, reconstruct: bool) -> Tagging:
        return self.forward(MODEL, x, **({"reconstruct": True} if reconstruct else {}))

    def scores(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = self._forward(self.normalised(inputs), False)
        frames = {"frame": found.frame} if self.settings.frame_scores else {}
        return {"clip": found.clip, **frames}

    def rate(self, step: int) -> float:
        return self.plateau.factor

    def on_epoch(self, epoch: Epoch) -> None:
        if epoch.metrics:
            self.plateau.see(self.select(epoch.metrics))

    def state(self) -> dict[str, Any]:
        return {"plateau": self.plateau.state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.plateau.load(state["plateau"])

    @torch.no_grad()
    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Clip and frame scores; of 2APAE also both attentions, the input and how it is redrawn."""
        x = self.normalised(inputs)
        found = self._forward(x, self.reconstructs)
        spectrum = inputs[self.settings.front_end].exp()
        maps = {"input": spectrum, "clip": found.clip, "frame": found.frame, "standardised": x.mT}
        if found.frequency is not None and found.time is not None:
            maps |= {"frequency": found.frequency, "time": found.time}
        if found.reconstruction is not None:
            maps["reconstruction"] = found.reconstruction.mT
        return maps
