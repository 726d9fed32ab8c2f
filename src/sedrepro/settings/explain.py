"""What is wrong with a setting, in one line: the file that set it, the key, what is allowed."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

Layer = tuple[str, dict[str, Any]]
Path = tuple[str, ...]

COMMAND_LINE = "--config"
_NOTHING = object()


def explain(
    error: ValidationError,
    model: type[BaseModel],
    layers: list[Layer],
    homes: list[Path] | None = None,
) -> str:
    """The first of the error's complaints, and how many others there are.

    `layers` are in order of precedence, lowest first; `homes` are the keys below which the model's
    settings may be set, highest precedence first.
    """
    details = error.errors()
    first = details[0]
    homes = homes or [()]
    path = _loc(first)
    if first["type"] not in ("missing", "extra_forbidden"):
        path = _set_part(path, layers, homes) or path
    home, label = origin(path, layers, homes)
    key = ".".join(home + path)
    alike = [detail for detail in details if _loc(detail)[: len(path)] == path]
    if first["type"] == "extra_forbidden":
        siblings = field_names(model, path[:-1])
        text = f"{label}: unknown key {key}{neighbour(path[-1], siblings)}"
        if siblings:
            text += f"; keys here are {', '.join(siblings)}"
    elif first["type"] == "missing":
        text, alike = f"{label}: {key} is missing", details[:1]
    elif key:
        text = f"{label}: {key}: {_message(alike)}"
    else:
        text = _message(alike)
    others = len(details) - len(alike)
    return text + (f" (and {others} more)" if others else "")


def origin(path: Path, layers: list[Layer], homes: list[Path]) -> tuple[Path, str]:
    """The home and the file that set `path`, or the deepest part of it that anything set."""
    for length in range(len(path), -1, -1):
        for home in homes:
            holders = [
                (label, value)
                for label, layer in reversed(layers)
                if (value := _at(layer, home + path[:length])) is not _NOTHING
            ]
            if holders:
                # What the command line gave includes its files: the file is the better name.
                from_file = holders[0][0] == COMMAND_LINE and _same(holders[:2])
                return home, holders[1 if from_file else 0][0]
    return homes[0], "configuration"


def neighbour(name: str, known: Iterable[str]) -> str:
    """` (did you mean …?)`, if a known name is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def field_names(model: Any, path: Path) -> list[str]:
    """The keys a block knows, found by walking the models along `path`."""
    for part in path:
        model = _child(model, part)
    block = _block(model)
    if block is None:
        return []
    return [field.alias or name for name, field in block.model_fields.items()]


def _loc(detail: Any) -> Path:
    return tuple(str(part) for part in detail["loc"])


def _set_part(path: Path, layers: list[Layer], homes: list[Path]) -> Path:
    """`path` without what pydantic adds to name the member of a union."""
    for length in range(len(path), 0, -1):
        for home in homes:
            if any(_at(layer, home + path[:length]) is not _NOTHING for _, layer in layers):
                return path[:length]
    return ()


def _same(holders: list[tuple[str, Any]]) -> bool:
    """Whether two layers say the same; by their looks too, as NaN does not equal itself."""
    values = [value for _, value in holders]
    return len(values) == 2 and (values[0] == values[1] or repr(values[0]) == repr(values[1]))


def _message(details: list[Any]) -> str:
    """What is allowed, all members of a union in one sentence, and what was given."""
    prefix = "Input should be "
    texts = list(dict.fromkeys(detail["msg"].removeprefix("Value error, ") for detail in details))
    texts = [re.sub(r"valid dictionary.*", "block of `key: value`", text) for text in texts]
    if not all(text.startswith(prefix) for text in texts):
        return texts[0]
    allowed = " or ".join(text.removeprefix(prefix).partition(", unable")[0] for text in texts)
    return f"should be {allowed}, not {details[0]['input']!r}"


def _at(layer: Any, path: Path) -> Any:
    for part in path:
        if isinstance(layer, Mapping) and part in layer:
            layer = layer[part]
        elif isinstance(layer, list) and part.isdigit() and int(part) < len(layer):
            layer = layer[int(part)]
        else:
            return _NOTHING
    return layer


def _child(kind: Any, part: str) -> Any:
    block = _block(kind)
    if block is not None:
        for name, field in block.model_fields.items():
            if part in (name, field.alias):
                return field.annotation
        return None
    for candidate in (kind, *typing.get_args(kind)):
        arguments = typing.get_args(candidate)
        if typing.get_origin(candidate) in (dict, list) and arguments:
            return arguments[-1]
    return None


def _block(kind: Any) -> type[BaseModel] | None:
    """The block among a type's alternatives."""
    alternatives = () if typing.get_origin(kind) in (dict, list) else typing.get_args(kind)
    for candidate in (kind, *alternatives):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
