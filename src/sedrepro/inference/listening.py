"""A network that hears one clip at a time, from its samples to its filtered scores."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from .. import audio
from ..metrics.decode import median_filter
from ..papers.contract import Method
from ..settings import HeldOut, declared
from .networks import as_input


def listener(method: Method, model: str, held_out: HeldOut) -> Callable[[np.ndarray], np.ndarray]:
    """Samples at the front end's rate → scores (frame, class), as the row decodes them."""
    (name,) = held_out.inputs
    front_end, decoding = method.plan.front_ends[name], method.plan.settings.decoding
    transform = declared.resolve(declared.FRONT_ENDS[front_end.kind].work).transform(front_end)
    windows = decoding.windows(method.plan.classes)
    method.networks.eval()

    @torch.inference_mode()
    def listen(samples: np.ndarray) -> np.ndarray:
        stored = torch.from_numpy(transform(audio.fit(samples, front_end.samples)))
        found = method.scores(model, {name: as_input(stored[None].to(method.device))})
        return median_filter(found[decoding.scores].float().cpu().numpy(), windows)[0]

    return listen
