"""The Method contract: a paper's code is its scientific difference, the trainer owns the rest."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from ..errors import SedreproError
from ..networks.dropout import hide_from_compiler
from ..objectives.optimisers import Adam
from ..settings import Plan


@dataclass(frozen=True)
class Batch:
    """One training batch: the groups of all streams, one after the other.

    `inputs[front_end]` is (clip, …) as stored, in float32 (waveforms in ±1);
    `frames` (clip, frame, class) and `clips` (clip, class) are the targets, zero where a stream has
    none; `parts[stream]` is the place of each group.
    """

    inputs: dict[str, Any]
    frames: Tensor
    clips: Tensor
    parts: dict[str, slice]

    def part(self, stream: str, values: Tensor) -> Tensor:
        return values[self.parts[stream]]


MEASURE = "measure/"
"""Terms of this prefix and weight 0 are no losses: the history has their mean per epoch."""


class Term(NamedTuple):
    """One term of the loss; the trainer minimises the sum of weight × value."""

    weight: float
    value: Tensor


@dataclass(frozen=True)
class Epoch:
    """What a method sees between epochs."""

    index: int
    """0-based index of the epoch that just ended."""
    metrics: Mapping[str, float]
    """`<set>/<model>/<metric>` of this epoch's validation; empty when there was none."""
    batches: Callable[[], Iterable[Batch]]
    """One pass over the training batches of the epoch that just ended, as drawn, unaugmented."""


class Method(ABC):
    """One paper's method. `networks` holds what is trained and what follows it by averaging."""

    average_before_step: bool = True
    """The DCASE recipes average after the losses and before the optimiser's step."""

    full_rate_first: ClassVar[bool] = False
    """Whether the first update runs at the full rate whatever `rate(0)` says: the DCASE recipes ask
    their schedule for the first time after it."""

    compiling: bool | str = False
    """Whether training steps run compiled networks (the setting `compile`)."""

    def __init__(
        self, plan: Plan, *, steps_per_epoch: int, device: torch.device, amp: bool
    ) -> None:
        self.plan = plan
        self.settings = plan.settings
        self.steps_per_epoch = steps_per_epoch
        self.device = device
        self.amp = amp
        self._compiled: dict[str, Callable[..., Any]] = {}
        try:  # of papers that `run` names this is known before
            plan.settings.check_classes(plan.classes)
        except ValueError as error:
            raise SedreproError(f"{plan.run}: {error}") from None
        self.networks = nn.ModuleDict(self.build())
        for follower, leader in self.averaged().items():
            self.networks[follower] = copy.deepcopy(self.networks[leader]).requires_grad_(False)
        self.networks.to(device)

    @abstractmethod
    def build(self) -> dict[str, nn.Module]:
        """The networks that are trained (or frozen), by name."""

    @abstractmethod
    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        """The terms of the loss at `step` = 1, 2, …; networks are in training mode."""

    @abstractmethod
    def scores(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """`frame` (clip, frame, class), `clip` (clip, class) and extras; networks in eval mode."""

    def select(self, metrics: Mapping[str, float]) -> float:
        """The number to maximise over checkpoints, from `<set>/<model>/<metric>`."""
        return sum(metrics[name] for name in self.settings.selection())

    def models(self) -> list[str]:
        """The models whose scores are kept."""
        return list(self.settings.MODELS or self.networks)

    def headline(self) -> str:
        """The model a recording is given to when none is named."""
        return self.models()[0]

    def averaged(self) -> dict[str, str]:
        """Followers and the network each follows by a moving average of its parameters."""
        return {}

    def decay(self, step: int) -> float:
        """The averages' decay at a step."""
        return 0.0

    def param_groups(self) -> list[dict[str, Any]]:
        """Trained parameters with their base rates."""
        parameters = [p for p in self.networks.parameters() if p.requires_grad]
        return [{"params": parameters, "lr": self.settings.training.learning_rate}]

    def optimiser(self) -> torch.optim.Optimizer:
        """What moves `param_groups`; by default Adam."""
        return Adam(self.param_groups(), fused=self.device.type == "cuda" or None)

    def rate(self, step: int) -> float:
        """The factor on every learning rate, in force from the update after `step` = 0, 1, …"""
        return 1.0

    def load_weights(self, files: Mapping[str, Path]) -> None:  # noqa: B027
        """Take what others trained, by resource (`settings.weights()`), before anything else."""

    def start_from(self, networks: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Take up the networks of the run this one starts `from`; by default all of them, whole."""
        for name, network in self.networks.items():
            if name not in networks:
                raise SedreproError(
                    f"{self.plan.run}: {self.plan.source} has no network {name!r} to start from"
                )
            try:
                network.load_state_dict(dict(networks[name]))
            except RuntimeError as error:
                reason = " ".join(str(error).split())[:300]
                raise SedreproError(
                    f"{self.plan.run}: {name} of {self.plan.source} does not fit ({reason})"
                ) from None

    def prepare(  # noqa: B027
        self, clips: Callable[[], Iterable[Mapping[str, Tensor]]]
    ) -> None:
        """Learn from the data before training, into buffers of the networks; draws nothing.

        `clips` is one pass over the inputs of all training clips, in order; of a run that does not
        train, over those of the sets it scores.
        """

    def on_epoch(self, epoch: Epoch) -> None:  # noqa: B027 (most methods do nothing here)
        """What happens between epochs."""

    def before_scores(  # noqa: B027
        self, batches: Callable[[], Iterable[Batch]]
    ) -> None:
        """What the networks need before a validation; `batches` as in `Epoch`. Draws nothing."""

    def state(self) -> dict[str, Any]:
        """What must survive a restart beyond networks, optimiser and random states."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027
        """Take back what `state` gave."""

    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Maps for figures, (clip, …) each; networks are in eval mode.

        `input` is the linear spectrum (clip, mel, frame) to show, where it is not what is stored.
        """
        return {}

    def forward(self, model: str, *inputs: Any, **options: Any) -> Any:
        """Run a network, in mixed precision where that is on; outputs are float32."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp):
            output = self._network(model)(*inputs, **options)
        return _float(output)

    def _network(self, model: str) -> Callable[..., Any]:
        """A network; compiled in training, where all batches have one shape."""
        network = self.networks[model]
        if not self.compiling or not network.training:
            return network
        if model not in self._compiled:
            graphs = self.compiling == "graphs" and self.device.type == "cuda"
            mode = "reduce-overhead" if graphs else None
            hide_from_compiler()
            self._compiled[model] = torch.compile(network, dynamic=False, mode=mode)
        return self._compiled[model]


def _float(value: Any) -> Any:
    """Outputs of a network in float32, whatever container they come in."""
    if isinstance(value, Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {key: _float(item) for key, item in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(_float, value))
    if isinstance(value, (list, tuple)):
        return type(value)(map(_float, value))
    return value
