"""The mean teacher: a student that agrees with the average of its own past."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def agreement(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference; the teacher's side carries no gradient."""
    return F.mse_loss(student, teacher.detach())
