"""The selective state-space block (Mamba) as a plain loop over time, and its scan."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def scan(x: Tensor, delta: Tensor, decay: Tensor, b: Tensor, c: Tensor, skip: Tensor) -> Tensor:
    """h_t = exp(Δ_t A) h_{t-1} + Δ_t B_t x_t and y_t = <C_t, h_t> + D x_t, per channel; h_0 = 0.

    x, delta (clip, time, channel); decay = A (channel, state); b, c (clip, time, state);
    skip = D (channel). In float32, whatever autocast is on.
    """
    with torch.autocast(x.device.type, enabled=False):
        x, delta, b, c = x.float(), delta.float(), b.float(), c.float()
        kept = torch.exp(delta[..., None] * decay)
        entering = (delta * x)[..., None] * b[:, :, None]
        state = torch.zeros_like(entering[:, 0])
        outputs = []
        for t in range(x.shape[1]):
            state = kept[:, t] * state + entering[:, t]
            outputs.append((state * c[:, t, None]).sum(-1))
        return torch.stack(outputs, 1) + skip * x


class Mamba(nn.Module):
    """(clip, time, d) → (clip, time, d), causal."""

    def __init__(self, d: int, *, state: int = 16, kernel: int = 4, expand: int = 2) -> None:
        super().__init__()
        inner, rank = expand * d, math.ceil(d / 16)
        self.rank = rank
        self.state = state
        self.in_proj = nn.Linear(d, 2 * inner, bias=False)
        self.conv = nn.Conv1d(inner, inner, kernel, groups=inner, padding=kernel - 1)
        self.x_proj = nn.Linear(inner, rank + 2 * state, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        self.a_log = nn.Parameter(torch.arange(1.0, state + 1).log().repeat(inner, 1))
        self.skip = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, d, bias=False)
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        step = torch.empty(inner).uniform_(math.log(0.001), math.log(0.1)).exp().clamp(min=1e-4)
        with torch.no_grad():  # so that the softplus gives `step` at first
            self.dt_proj.bias.copy_(step + torch.log(-torch.expm1(-step)))

    def forward(self, u: Tensor) -> Tensor:
        x, z = self.in_proj(u).chunk(2, -1)
        x = F.silu(self.conv(x.mT)[..., : u.shape[1]].mT)
        dt, b, c = self.x_proj(x).split([self.rank, self.state, self.state], -1)
        delta = F.softplus(self.dt_proj(dt))
        y = scan(x, delta, -self.a_log.float().exp(), b, c, self.skip)
        return self.out_proj(y.to(z.dtype) * F.silu(z))

    def without_decay(self) -> list[nn.Parameter]:
        """What no weight decay may touch, beside biases and norms."""
        return [self.a_log, self.skip]
