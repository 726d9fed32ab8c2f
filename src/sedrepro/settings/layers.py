"""Settings come in layers: how they merge, and which of them said what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Layer = tuple[str, dict[str, Any]]
"""A label (a file, or the command line) and what it says."""
Path = tuple[str, ...]
"""A key, part by part."""

COMMAND_LINE = "--config"
NOTHING = object()


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`change` over `base`: dictionaries merge, everything else (lists too) is replaced."""
    merged = dict(base)
    for key, value in change.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def at(value: Any, path: Path) -> Any:
    """What stands at a key, or NOTHING."""
    for part in path:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return NOTHING
    return value


def origin(path: Path, layers: list[Layer], homes: list[Path]) -> tuple[Path, str]:
    """The home and the layer that set `path`, or the deepest part of it that anything set."""
    for length in range(len(path), -1, -1):
        for home in homes:
            key = home + path[:length]
            holders = [
                (label, _replaced(layer, key))
                for label, layer in reversed(layers)
                if at(layer, key) is not NOTHING
            ]
            if holders:
                # What the command line gave includes its files: the file is the better name.
                from_file = holders[0][0] == COMMAND_LINE and _same(holders[:2])
                return home, holders[1 if from_file else 0][0]
    return homes[0], "configuration"


def _replaced(layer: dict[str, Any], key: Path) -> Any:
    """What a layer sets at a key, as one: a part of a list comes with the whole list."""
    value: Any = layer
    for part in key:
        if isinstance(value, list):
            break
        value = at(value, (part,))
    return value


def blame(layers: list[Layer], wrong: Callable[[dict[str, Any]], bool]) -> str:
    """The layer that made right settings wrong: for values of which each is good by itself."""
    merged: dict[str, Any] = {}
    culprit, before = "configuration", False
    for label, layer in layers:
        merged = merge(merged, layer)
        now = wrong(merged)
        if now and not before:
            culprit = label
        before = now
    return culprit


def _same(holders: list[tuple[str, Any]]) -> bool:
    """Whether two layers say the same; by their looks too, as NaN does not equal itself."""
    values = [value for _, value in holders]
    return len(values) == 2 and (values[0] == values[1] or repr(values[0]) == repr(values[1]))
