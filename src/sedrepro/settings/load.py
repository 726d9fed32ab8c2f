"""Settings are merged once, here: model defaults < config.yaml < paper.yaml < overlay."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ..errors import SedreproError
from .explain import COMMAND_LINE, Layer, explain, neighbour, origin
from .paper import PaperSettings
from .project import Paper, Project


class _Loader(yaml.SafeLoader):
    """Safe, and a key that stands twice is an error: YAML itself would keep the last, silently."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key, _ in node.value:
            name = (key.tag, str(key.value))
            if name in seen and key.value != "<<":
                line = key.start_mark.line + 1
                raise yaml.YAMLError(f"line {line}: key {key.value!r} stands twice")
            seen.add(name)
        return node


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A YAML mapping, read safely; an empty file is an empty mapping."""
    try:
        value = yaml.load(Path(path).read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise SedreproError(f"{path}: {error.strerror.lower()}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
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
    layers: list[Layer] = [
        ("model defaults", Project().model_dump(mode="json", by_alias=True)),
        ("config/config.yaml", read_yaml(config / "config.yaml")),
    ]
    for path in sorted(config.glob("papers/*/paper.yaml")):
        layers.append(
            (
                f"config/papers/{path.parent.name}/paper.yaml",
                {"papers": {path.parent.name: read_yaml(path)}},
            )
        )
    layers += [(str(path), read_yaml(path)) for path in files]
    if overlay is not None:
        layers.append((COMMAND_LINE, dict(overlay)))
    merged: dict[str, Any] = {}
    for _, layer in layers:
        merged = merge(merged, layer)
    _check_papers(merged, papers, layers)
    try:
        project = Project.model_validate(merged)
    except ValidationError as error:
        raise SedreproError(explain(error, Project, layers)) from None
    for paper in project.papers:
        _validate_rows(project, paper, papers[paper], layers)
        _check_sources(project, paper, layers)
    return project


def row_settings(project: Project, paper: str, row: str, condition: str) -> dict[str, Any]:
    """What a row under a condition changes in the defaults of its method.

    paper (or method) < condition < row < what the row says of the condition.
    """
    spec = project.papers[paper]
    line = spec.table[row]
    shared = spec.settings if line.method is None else spec.methods.get(line.method, {})
    chosen = merge(merge(shared, spec.conditions[condition]), line.settings)
    return merge(chosen, line.conditions.get(condition, {}))


def _check_papers(merged: dict[str, Any], papers: Iterable[str], layers: list[Layer]) -> None:
    """Before anything else: a misspelt paper would be told that it lacks a title."""
    given = merged.get("papers")
    for paper in given if isinstance(given, Mapping) else ():
        if paper not in papers:
            _, label = origin(("papers", str(paper)), layers, [()])
            raise SedreproError(
                f"{label}: papers.{paper}: no such paper{neighbour(str(paper), papers)}; "
                f"papers are {', '.join(papers)}"
            )


def _check_sources(project: Project, paper: str, layers: list[Layer]) -> None:
    for name, row in project.papers[paper].table.items():
        if row.source is None:
            continue
        home, _, source = row.source.rpartition("/")
        rows = project.papers[home or paper].table if (home or paper) in project.papers else {}
        if source not in rows or rows[source].kind == "published":
            runnable = [row for row in rows if rows[row].kind != "published"]
            _, label = origin(("papers", paper, "table", name, "from"), layers, [()])
            raise SedreproError(
                f"{label}: papers.{paper}.table.{name}.from: no row {row.source!r} to start from"
                f"{neighbour(source, runnable)}; rows are {', '.join(runnable)}"
            )


def _validate_rows(
    project: Project, paper: str, own: type[PaperSettings], layers: list[Layer]
) -> None:
    spec = project.papers[paper]
    # A class of one's own may be too much for a paper that nobody asked for.
    asked = spec.selected() if paper in project.selected_papers() else []
    _check_methods(spec, paper, own, layers)
    for row, line in spec.table.items():
        model = own.of(line.method)
        shared = ("methods", line.method) if line.method else ("settings",)
        for condition in spec.conditions:
            try:
                settings = model.model_validate(row_settings(project, paper, row, condition))
            except ValidationError as error:
                homes = [
                    ("papers", paper, "table", row, "conditions", condition),
                    ("papers", paper, "table", row, "settings"),
                    ("papers", paper, "conditions", condition),
                    ("papers", paper, *shared),
                ]
                raise SedreproError(explain(error, model, layers, homes)) from None
            _check_front_ends(project, paper, row, settings)
            if row in asked:
                _check_classes(project, paper, row, settings)


def _check_methods(spec: Paper, paper: str, own: type[PaperSettings], layers: list[Layer]) -> None:
    """Methods that the paper's code does not have."""
    named = [(("table", row, "method"), line.method) for row, line in spec.table.items()]
    named += [(("methods", method), method) for method in spec.methods]
    for path, method in named:
        if method is not None and method not in own.methods:
            _, label = origin(("papers", paper, *path), layers, [()])
            known = ", ".join(own.methods) or "none but its own"
            raise SedreproError(
                f"{label}: papers.{paper}.{'.'.join(path)}: no such method"
                f"{neighbour(method, own.methods)}; methods are {known}"
            )


def _check_front_ends(project: Project, paper: str, row: str, settings: PaperSettings) -> None:
    wanted = {name for part in [*settings.streams(), *settings.held_out()] for name in part.inputs}
    for name in sorted(wanted - set(project.front_ends)):
        known = project.front_ends
        raise SedreproError(
            f"config/papers/{paper}/paper.yaml: row {row} reads front end {name!r}"
            f"{neighbour(name, known)}; front_ends are {', '.join(known)}"
        )
    try:
        settings.grid(project.front_ends)
    except ValueError as error:
        raise SedreproError(f"config/papers/{paper}/paper.yaml: row {row}: {error}") from None


def _check_classes(project: Project, paper: str, row: str, settings: PaperSettings) -> None:
    try:
        settings.check_classes(settings.classes(project.data))
    except ValueError as error:
        raise SedreproError(f"papers.{paper}: row {row}: {error}") from None
