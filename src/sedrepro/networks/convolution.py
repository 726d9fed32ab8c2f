"""Convolutions over large maps with the channels last, trained at the speed of the others."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

FEWEST = 32
"""Channels that a layer reads; with fewer of them copying costs what it saves."""


class Conv2d(nn.Conv2d):
    """`nn.Conv2d`; on CPUs without AVX-512 the gradient of its weights is found channels first.

    PyTorch's library has no fast code there for that gradient where channels lie last: on large
    maps it takes four times as long. Copying costs a fraction of that, and the values are equal.
    """

    def forward(self, x: Tensor) -> Tensor:
        if _copies_pay(x, self):
            return _Convolution.apply(x, self.weight, self.bias, self._geometry)
        return super().forward(x)

    @property
    def _geometry(self) -> tuple[Any, ...]:
        return (
            list(self.stride),
            list(self.padding),
            list(self.dilation),
            False,
            [0, 0],
            self.groups,
        )


def _copies_pay(x: Tensor, layer: Conv2d) -> bool:
    """Whether the gradient of this layer's weights will be asked for, on such a CPU."""
    return (
        x.device.type == "cpu"
        and not torch.compiler.is_compiling()
        and layer.weight.requires_grad
        and torch.is_grad_enabled()
        and layer.in_channels >= FEWEST
        and layer.kernel_size != (1, 1)
        and not isinstance(layer.padding, str)
        and layer.weight.is_contiguous(memory_format=torch.channels_last)
        and not torch.is_autocast_enabled("cpu")
        and torch.backends.cpu.get_cpu_capability() == "AVX2"
    )


class _Convolution(torch.autograd.Function):
    """A convolution whose two gradients are found in two memory formats."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, geometry: Any) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.geometry = geometry
        ctx.biases = None if bias is None else list(bias.shape)
        return torch.ops.aten.convolution(x, weight, bias, *geometry)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        before = None
        if ctx.needs_input_grad[0]:
            before, *_ = _gradients(ctx, gradient, x, weight, [True, False, False])
        gradient, x, weight = (tensor.contiguous() for tensor in (gradient, x, weight))
        wanted = [False, True, ctx.biases is not None]
        _, of_weight, of_bias = _gradients(ctx, gradient, x, weight, wanted)
        return before, of_weight, of_bias, None


def _gradients(
    ctx: Any, gradient: Tensor, x: Tensor, weight: Tensor, wanted: list[bool]
) -> tuple[Tensor | None, ...]:
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, ctx.biases, *ctx.geometry, wanted
    )
