"""What is wrong with a setting, in one line: the file that set it, the key, what is allowed."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from .layers import NOTHING, Layer, Path, at, origin


def explain(
    details: list[Any],
    model: type[BaseModel],
    layers: list[Layer],
    homes: list[Path] | None = None,
    culprit: str | None = None,
) -> str:
    """The first of an error's complaints, and how many others there are.

    `details` are pydantic's. `layers` are in order of precedence, lowest first; `homes` are the
    keys below which the model's settings may be set, highest precedence first. `culprit` is the
    layer to name, where the deepest layer that set the key need not be it.
    """
    first = details[0]
    homes = homes or [()]
    path = _loc(first)
    if first["type"] not in ("missing", "extra_forbidden"):
        path = _set_part(path, layers, homes) or path
    home, label = origin(path, layers, homes)
    label = culprit or label
    key = ".".join(home + path)
    alike = [detail for detail in details if _loc(detail)[: len(path)] == path]
    if first["type"] == "extra_forbidden":
        siblings = field_names(model, path[:-1])
        text = f"{label}: unknown key {key}{neighbour(path[-1], siblings)}"
        if siblings:
            text += f"; keys here are {', '.join(siblings)}"
    elif first["type"] == "missing":
        alike = [one for one in details if one["type"] == "missing" and _loc(one)[:-1] == path[:-1]]
        others_too = [_loc(one)[-1] for one in alike if one is not first]
        text = f"{label}: {', '.join([key, *others_too])} {'are' if others_too else 'is'} missing"
    elif key:
        text = f"{label}: {key}: {_message(alike)}"
    else:
        text = f"{label}: {_message(alike)}"
    others = len(details) - len(alike)
    return text + (f" (and {others} more)" if others else "")


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
            if any(at(layer, home + path[:length]) is not NOTHING for _, layer in layers):
                return path[:length]
    return ()


def _message(details: list[Any]) -> str:
    """What is allowed, all members of a union in one sentence, and what was given."""
    prefix = "Input should be "
    texts = list(dict.fromkeys(detail["msg"].removeprefix("Value error, ") for detail in details))
    texts = [re.sub(r"valid dictionary.*", "block of `key: value`", text) for text in texts]
    if not all(text.startswith(prefix) for text in texts):
        return texts[0]
    allowed = " or ".join(text.removeprefix(prefix).partition(", unable")[0] for text in texts)
    given = details[0]["input"]
    close = neighbour(given, _choices(details)) if isinstance(given, str) else ""
    return f"should be {allowed}, not {given!r}{close}"


def _choices(details: list[Any]) -> list[str]:
    """The words among which a value should have been."""
    texts = [detail.get("ctx", {}).get("expected", "") for detail in details]
    return [word for text in texts for word in re.findall(r"'([^']*)'", text)]


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
