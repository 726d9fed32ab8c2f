"""Settings are merged once, here: model defaults < config.yaml < paper.yaml < overlay."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from ..errors import SedreproError
from .paper import PaperSettings
from .project import Project

Layer = tuple[str, dict[str, Any]]


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping, read safely; an empty file is an empty mapping."""
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SedreproError(f"{path}: no such file") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SedreproError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SedreproError(f"{path}: expected `key: value` lines, found a {type(value).__name__}")
    return value


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """`change` over `base`: dictionaries merge, everything else (lists too) is replaced."""
    merged = dict(base)
    for key, value in change.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key), Mapping):
            merged[key] = merge(merged[key], value)
        else:
            merged[key] = value
    return merged


def load(
    overlay: Mapping[str, Any] | None = None,
    *,
    papers: Mapping[str, type[PaperSettings]],
    files: Iterable[str | Path] = (),
    root: str | Path = ".",
) -> Project:
    """Merge and validate everything that can be set.

    `overlay` is what the command line gave (its files and `--config` merged, as Snakemake hands
    it over); `files` are those files, used to name the culprit in an error. Without an overlay
    the files themselves are merged.
    """
    config = Path(root) / "config"
    layers: list[Layer] = [("config/config.yaml", read_yaml(config / "config.yaml"))]
    for path in sorted(config.glob("papers/*/paper.yaml")):
        layers.append(
            (f"config/papers/{path.parent.name}/paper.yaml", {"papers": {path.parent.name: read_yaml(path)}})
        )
    layers += [(str(path), read_yaml(path)) for path in files]
    if overlay is not None:
        layers.append(("--config", dict(overlay)))
    merged: dict[str, Any] = {}
    for _, layer in layers:
        merged = merge(merged, layer)
    try:
        project = Project.model_validate(merged)
    except ValidationError as error:
        raise SedreproError(_explain(error, Project, layers)) from None
    for paper in project.papers:
        if paper not in papers:
            raise SedreproError(
                f"config/papers/{paper}: no such paper{_neighbour(paper, papers)}; "
                f"papers are {', '.join(papers)}"
            )
        _validate_rows(project, paper, papers[paper], layers)
    return project


def row_settings(project: Project, paper: str, row: str, condition: str) -> dict[str, Any]:
    """The settings of a row under a condition, before the paper's defaults: paper < condition < row."""
    spec = project.papers[paper]
    return merge(merge(spec.settings, spec.conditions[condition]), spec.table[row].settings)


def _validate_rows(
    project: Project, paper: str, model: type[PaperSettings], layers: list[Layer]
) -> None:
    spec = project.papers[paper]
    for row in spec.table:
        for condition in spec.conditions:
            try:
                settings = model.model_validate(row_settings(project, paper, row, condition))
            except ValidationError as error:
                homes = [
                    ("papers", paper, "table", row, "settings"),
                    ("papers", paper, "conditions", condition),
                    ("papers", paper, "settings"),
                ]
                raise SedreproError(_explain(error, model, layers, homes)) from None
            _check_front_ends(project, paper, row, settings)


def _check_front_ends(project: Project, paper: str, row: str, settings: PaperSettings) -> None:
    wanted = {name for part in [*settings.streams(), *settings.held_out()] for name in part.inputs}
    for name in sorted(wanted - set(project.front_ends)):
        raise SedreproError(
            f"config/papers/{paper}/paper.yaml: row {row} reads front end {name!r}"
            f"{_neighbour(name, project.front_ends)}; front_ends are {', '.join(project.front_ends)}"
        )


def _explain(
    error: ValidationError,
    model: type[BaseModel],
    layers: list[Layer],
    homes: list[tuple[str, ...]] | None = None,
) -> str:
    """One line: file, key, what is wrong, what is allowed."""
    details = error.errors()
    first = details[0]
    path = tuple(str(part) for part in first["loc"])
    home, label = _origin(path, layers, homes or [()])
    key = ".".join(home + path) or "the configuration"
    if first["type"] == "extra_forbidden":
        siblings = _field_names(model, path[:-1])
        text = f"{label}: unknown key {key}{_neighbour(path[-1], siblings)}"
        if siblings:
            text += f"; keys here are {', '.join(siblings)}"
    elif first["type"] == "missing":
        text = f"{label}: {key} is missing"
    else:
        text = f"{label}: {key}: {first['msg'].removeprefix('Value error, ')}"
        if path and not isinstance(first["input"], dict):
            text += f", not {first['input']!r}"
    others = len(details) - 1
    return text + (f" (and {others} more)" if others else "")


def _origin(
    path: tuple[str, ...], layers: list[Layer], homes: list[tuple[str, ...]]
) -> tuple[tuple[str, ...], str]:
    """The home and the file that set `path`, or the deepest part of it that anything set."""
    for length in range(len(path), -1, -1):
        for home in homes:
            for label, layer in reversed(_named_first(layers)):
                if _has(layer, home + path[:length]):
                    return home, label
    return homes[0], "configuration"


def _named_first(layers: list[Layer]) -> list[Layer]:
    """Order for blame: the merged overlay counts only where no file of the command line has the key."""
    return sorted(layers, key=lambda layer: layer[0] != "--config")


def _has(layer: Any, path: tuple[str, ...]) -> bool:
    for part in path:
        if isinstance(layer, Mapping) and part in layer:
            layer = layer[part]
        elif isinstance(layer, list) and part.isdigit() and int(part) < len(layer):
            layer = layer[int(part)]
        else:
            return False
    return True


def _neighbour(name: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean {close[0]}?)" if close else ""


def _field_names(model: Any, path: tuple[str, ...]) -> list[str]:
    """The keys a block knows, found by walking the models along `path`."""
    for part in path:
        model = _child(model, part)
    block = _block(model)
    if block is None:
        return []
    return [field.alias or name for name, field in block.model_fields.items()]


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
    for candidate in (kind, *typing.get_args(kind)):
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None
