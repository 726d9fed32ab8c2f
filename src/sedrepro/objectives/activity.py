"""Sound activity: how many classes sound at once, and what that says about the classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Activity(NamedTuple):
    """How many of some classes are active, as a state: the number less `low`, in 0 … `states` - 1.

    The paper's three states are silence, one class, two or more: low 0, 3 states.
    """

    counted: list[int]
    """The classes that count, by index."""
    low: int = 0
    states: int = 3

    def amount(self, probabilities: Tensor) -> Tensor:
        """(…, class) → (…): the expected number of active classes, on the scale of the states."""
        total = probabilities[..., self.counted].sum(-1)
        return (total - self.low).clamp(0, self.states - 1)

    def state(self, active: Tensor) -> Tensor:
        """(…, class) → (…): the state in which these classes are active (above 0.5)."""
        return self.amount((active > 0.5).float()).long()

    def agreement(self, frame: Tensor, logits: Tensor) -> Tensor:
        """(clip, frame): whether detections and activity say the same (1) or not (0)."""
        return (self.state(frame) == logits.argmax(-1)).float()

    def cross_task(self, frame: Tensor, logits: Tensor) -> Tensor:
        """Squared difference of the expected number and the likeliest state × its probability.

        Gradients reach the classes within the states' range, and the activity by its probability.
        """
        probability, state = logits.softmax(-1).max(-1)
        return F.mse_loss(self.amount(frame), probability * state)

    def corrected(self, frame: Tensor, logits: Tensor, boost: float) -> Tensor:
        """Scores (…, class) raised where the activity says that a class is missing.

        With at least one class expected and none found the likeliest gains `boost`; with two
        expected and one found the second does, if it exceeds `boost` itself.
        """
        state = logits.argmax(-1)
        expected = torch.where(state > 0, state + self.low, 0)
        counted = frame[..., self.counted]
        found = (counted > 0.5).sum(-1)
        wanted = min(2, len(self.counted))
        ranked = counted.topk(wanted, dim=-1)
        short = [(expected == 1) & (found == 0), (expected == 2) & (found == 1)]
        short[1] = short[1] & (ranked.values[..., -1] > boost)
        raised = counted
        for place, lacking in enumerate(short[:wanted]):
            chosen = F.one_hot(ranked.indices[..., place], len(self.counted))
            raised = raised + boost * lacking.unsqueeze(-1) * chosen
        result = frame.clone()
        result[..., self.counted] = raised.clamp(0, 1)
        return result


def selected_agreement(
    student: Tensor,
    teacher: Tensor,
    agreed: Tensor,
    disagreeing: float,
    criterion: Literal["mse", "bce"] = "mse",
) -> Tensor:
    """Consistency of (clip, frame, class) scores, less weight on frames without agreement.

    Each side is masked, not left out: both means run over all cells.
    """
    trusted = agreed.unsqueeze(-1)
    doubted = 1 - trusted
    difference = criteria[criterion]
    kept = difference(trusted * student, trusted * teacher)
    return kept + disagreeing * difference(doubted * student, doubted * teacher)


criteria: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": F.mse_loss,
    "bce": F.binary_cross_entropy,
}
