"""The names in pickles that mean something here, each with what our own code makes of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from math import prod
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from .pickles import CONTAINERS, ENTRY, Known, Machine, Named, Placeholder, UnreadableError

DTYPES = {str(value): value for value in vars(torch).values() if isinstance(value, torch.dtype)}
"""The data types of torch, which pickles name as constants."""

STORAGES = {
    "UntypedStorage": torch.uint8,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
}


MOST_AXES = 64


class Storage:
    """Bytes that tensors share, and the type in which the file counts them."""

    def __init__(self, content: Tensor, dtype: torch.dtype) -> None:
        self.content = content
        self.dtype = dtype

    def tensor(self, offset: int, size: tuple, stride: tuple, dtype: torch.dtype) -> Tensor:
        """A view. It must lie inside the storage, and have no more values than that."""
        count = len(self.content) // dtype.itemsize
        numbers = all(type(n) is int and 0 <= n < 1 << 63 for n in (offset, *size, *stride))
        if not numbers or not len(size) == len(stride) <= MOST_AXES:
            raise UnreadableError(f"a tensor has size {_short(size)} and stride {_short(stride)}")
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if prod(size) > count or (prod(size) and last >= count):
            raise UnreadableError(
                f"a tensor of size {_short(size)}, stride {_short(stride)} and offset {offset} "
                f"exceeds its storage of {count} values"
            )
        empty = torch.empty(0, dtype=dtype, device=self.content.device)
        return empty.set_(self.content.untyped_storage(), offset, size, stride)


def _short(numbers: tuple) -> str:
    return str(numbers)[:60]


def dtype_of(kind: Any) -> torch.dtype:
    """The data type of a kind of storage, told by the name of its class."""
    name = getattr(kind, "name", "")
    found = STORAGES.get(name.rpartition(".")[2]) if name.startswith("torch.") else None
    if found is None:
        raise UnreadableError(f"a storage is of the unknown kind {name[:60]!r}")
    return found


def _tensor(m: Machine, storage: Storage, offset: int, size: tuple, stride: tuple, *_: Any) -> Any:
    return storage.tensor(offset, size, stride, storage.dtype)


def _tensor_of_type(
    m: Machine,
    storage: Storage,
    offset: int,
    size: tuple,
    stride: tuple,
    gradient: bool,
    hooks: Any,
    dtype: torch.dtype,
    *_: Any,
) -> Tensor:
    return storage.tensor(offset, size, stride, dtype)


def _parameter(m: Machine, data: Tensor, *_: Any) -> Tensor:
    return data


def _with_attributes(m: Machine, function: Named, kind: Any, arguments: tuple, *_: Any) -> Any:
    """A tensor that had a class or attributes of its own, without them."""
    if function == Named("torch._tensor._rebuild_from_type_v2"):
        raise UnreadableError("a tensor with attributes is made of one with attributes")
    return m.call(function, arguments)


def _dict(m: Machine, pairs: Iterable = ()) -> dict:
    if isinstance(pairs, dict):
        m.allowance.spend(ENTRY * len(pairs))
        return dict(pairs)
    if not isinstance(pairs, CONTAINERS):
        raise UnreadableError("a dictionary is made of no pairs")
    return m.pairs([part for key, value in pairs for part in (key, value)])


def _dict_with_default(m: Machine, factory: Any = None, pairs: Iterable = ()) -> dict:
    return _dict(m, pairs)


def _set(m: Machine, items: Iterable = ()) -> set:
    return m.keys(items)


def _frozenset(m: Machine, items: Iterable = ()) -> frozenset:
    return frozenset(m.keys(items))


def _size(m: Machine, numbers: tuple = ()) -> torch.Size:
    m.allowance.spend(ENTRY * len(numbers))
    return torch.Size(numbers)


def _device(m: Machine, *parts: Any) -> torch.device:
    return torch.device(*parts)


def _complex(m: Machine, real: float = 0.0, imaginary: float = 0.0) -> complex:
    return complex(real, imaginary)


def _bytes(m: Machine, text: str = "", encoding: str = "latin1") -> bytes:
    """Bytes. Protocol 2, in which torch writes, has them as a text and its encoding."""
    if encoding not in ("latin1", "latin-1"):
        raise UnreadableError(f"bytes are a text in {encoding[:20]!r}")
    m.allowance.spend(len(text))
    return text.encode("latin1")


def _array_dtype(described: Placeholder) -> np.dtype:
    """The data type of an array; only numbers are allowed."""
    code, order = described.arguments[0], "="
    if described.more:
        order = described.more[0][1]
    if not re.fullmatch(r"[biufc]\d{1,2}", code) or order not in ("<", ">", "|", "="):
        raise UnreadableError(f"an array holds {code[:20]!r}, not numbers")
    return np.dtype(order + code)


def _scalar(m: Machine, dtype: Placeholder, content: bytes) -> int | float | bool | complex:
    return np.frombuffer(content, _array_dtype(dtype), 1)[0].item()


def _empty_array(m: Machine, *_: Any) -> np.ndarray:
    """An array without content: `_fill_array` takes it from the state that follows."""
    return np.empty(0)


def _fill_array(m: Machine, array: np.ndarray, state: tuple) -> None:
    _, shape, described, by_columns, content = state
    dtype = _array_dtype(described)
    numbers = all(type(n) is int and n >= 0 for n in shape)
    if not numbers or len(content) != prod(shape) * dtype.itemsize:
        raise UnreadableError(f"an array of shape {_short(shape)} has {len(content)} bytes")
    m.allowance.spend(len(content))
    array.__setstate__((1, shape, dtype, bool(by_columns), content))


def _array(
    m: Machine, content: bytes, dtype: Placeholder, shape: tuple, order: Literal["C", "F"] = "C"
) -> np.ndarray:
    """An array of protocol 5, where the bytes come first."""
    m.allowance.spend(len(content))
    return np.frombuffer(bytearray(content), _array_dtype(dtype)).reshape(shape, order=order)


CALLS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_type,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _with_attributes,
    "torch.Size": _size,
    "torch.device": _device,
    "collections.OrderedDict": _dict,
    "collections.Counter": _dict,
    "collections.defaultdict": _dict_with_default,
    "builtins.dict": _dict,
    "builtins.set": _set,
    "builtins.frozenset": _frozenset,
    "builtins.bytes": _bytes,
    "builtins.complex": _complex,
    "_codecs.encode": _bytes,
}
for package in ("numpy.core", "numpy._core"):
    CALLS |= {
        f"{package}.multiarray.scalar": _scalar,
        f"{package}.multiarray._reconstruct": _empty_array,
        f"{package}.numeric._frombuffer": _array,
    }
KNOWN = Known(CALLS, DTYPES, {np.ndarray: _fill_array})
