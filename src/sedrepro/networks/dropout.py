"""Dropout whose masks cost a CPU little: PyTorch draws them there one element at a time."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

LEVELS = 256
"""A byte decides on an element, so that a rate is a multiple of 1/256."""
CHUNK = 1 << 18
"""Elements at a time: what they need fits a core's cache."""


class Dropout(nn.Dropout):
    """Zeroes elements at random and scales the others, so that the expectation stays.

    On a CPU the rate is the nearest multiple of 1/256. A mask depends on the state of PyTorch's
    generator and the number of elements, not on the number of threads.
    """

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type != "cpu":
            return super().forward(x)
        dropped = round(self.p * LEVELS)
        if not self.training or not dropped:
            return x
        return _masked(x, dropped)


def _masked(x: Tensor, dropped: int) -> Tensor:
    """`x` under a mask of its own."""
    return _Masked.apply(x, draw(x.numel(), dropped), LEVELS / max(1, LEVELS - dropped))


@cache
def hide_from_compiler() -> None:
    """To be called before a network is compiled: NumPy draws masks, which PyTorch's compiler cannot
    follow. A decorator would load the compiler, which takes seconds, in every process."""
    global _masked
    _masked = torch.compiler.disable(_masked)


def draw(count: int, dropped: int) -> np.ndarray:
    """A mask of `count` elements, a bit each, that drops `dropped` of 256; a set bit keeps one.

    Every mask has a generator of its own, with a seed from PyTorch's: so whatever saves and
    restores PyTorch's state (a resumed run, blocks that are computed again) gets the same masks.
    """
    seed = int(torch.empty((), dtype=torch.int64).random_().item())
    generator = np.random.SFC64(seed)
    if 2 * dropped == LEVELS:
        return generator.random_raw(-(-count // 64)).view(np.uint8)
    drawn = generator.random_raw(-(-count // 8)).view(np.uint8)
    return np.packbits(drawn >= dropped, bitorder="little")


class _Masked(torch.autograd.Function):
    """Product with a mask of bits and a scale; the gradient is the same product."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: np.ndarray, scale: float) -> Tensor:
        ctx.bits = bits
        ctx.scale = scale
        masked = torch.empty_like(x)
        ctx.strides = masked.stride()
        return _product(x, masked, bits, scale)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        # Bits belong to places in memory, so the gradient is laid out as the input was.
        masked = gradient.new_empty_strided(gradient.shape, ctx.strides)
        return _product(gradient, masked, ctx.bits, ctx.scale), None, None


def _product(x: Tensor, out: Tensor, bits: np.ndarray, scale: float) -> Tensor:
    """`x` · mask · scale into `out`, chunk by chunk in the order in which `out` lies in memory."""
    if x.stride() != out.stride():
        x = out.copy_(x)
    count = x.numel()
    source, target = (t.as_strided((count,), (1,)) for t in (x, out))
    for start in range(0, count, CHUNK):
        stop = min(start + CHUNK, count)
        mask = torch.from_numpy(np.unpackbits(bits[start // 8 : -(-stop // 8)], bitorder="little"))
        part = target[start:stop]
        torch.mul(source[start:stop], mask[: stop - start], out=part).mul_(scale)
    return out
