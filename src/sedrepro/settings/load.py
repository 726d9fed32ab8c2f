"""Settings are merged once, here: model defaults < config.yaml < paper.yaml < overlay."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from ..errors import SedreproError
from . import names
from .explain import explain, neighbour
from .layers import COMMAND_LINE, Layer, blame, merge, origin
from .paper import PaperSettings
from .project import Paper, Project
from .rows import check_windows, same_complaint, settled


class _KeysOnce(yaml.constructor.SafeConstructor):
    """A key that stands twice is an error: YAML itself would keep the last, silently."""

    @cached_property
    def _checked(self) -> set[int]:
        return set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        # A node that an alias repeats comes again, and then holds what was merged into it.
        if id(node) not in self._checked:
            self._checked.add(id(node))
            _refuse_twice(node)
        super().flatten_mapping(node)


class _Loader(_KeysOnce, yaml.SafeLoader):
    """Safe: it makes plain values only, and ends at any depth of nesting."""


_FAST = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_ShippedLoader: Any = type("_ShippedLoader", (_KeysOnce, _FAST), {})
"""Seven times as fast where libyaml is; that crashes on files that nest endlessly."""


def _refuse_twice(node: yaml.MappingNode) -> None:
    seen = set()
    for key, _ in node.value:
        name = (key.tag, str(key.value))
        if name in seen and key.value != "<<":
            line = key.start_mark.line + 1
            raise yaml.YAMLError(f"line {line}: key {key.value!r} stands twice")
        seen.add(name)


def read_yaml(path: str | Path, *, shipped: bool = False) -> dict[str, Any]:
    """A YAML mapping, read safely; an empty file is an empty mapping. `shipped`: it is our own."""
    loader = _ShippedLoader if shipped else _Loader
    try:
        value = yaml.load(Path(path).read_text(encoding="utf-8"), loader)
    except OSError as error:
        raise SedreproError(f"{path}: {str(error.strerror).lower()}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SedreproError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise SedreproError(f"{path}: expected `key: value` lines, found a {type(value).__name__}")
    return value


def load(
    overlay: Mapping[str, Any] | None = None,
    *,
    papers: Mapping[str, type[PaperSettings]],
    files: Iterable[str | Path] = (),
    root: str | Path = ".",
    folder: str | Path | None = None,
    lazily: bool = False,
) -> Project:
    """Merge and validate everything that can be set.

    `root` is the checkout; a working folder elsewhere may have a `config/` of its own.

    `overlay` is what the command line gave (its files and `--config` merged, as Snakemake hands
    it over); `files` are those files, used to name the culprit in an error. Without an overlay
    the files themselves are merged.

    Names are checked in every paper; whether the numbers of a row fit together, only in rows that
    are asked for: those to run of the papers that `run` selects. `lazily`: where `run` names no
    paper, targets do the asking, and a row is looked at when it is planned.
    """
    layers: list[Layer] = [("model defaults", Project().model_dump(mode="json", by_alias=True))]
    layers += _shipped(Path(root))
    if folder is not None:
        layers += _own(Path(folder), Path(root))
    layers += [(str(path), read_yaml(path)) for path in files]
    if overlay is not None:
        layers.append((COMMAND_LINE, dict(overlay)))
    merged: dict[str, Any] = {}
    for _, layer in layers:
        merged = merge(merged, layer)
    _check_papers(merged, papers, layers)
    project = _validated(merged, layers)
    for paper in project.papers:
        _check_sources(project, paper, layers)
        _check_methods(project.papers[paper], paper, papers[paper], layers)
        names.check(project, paper, papers[paper], root)
    for paper in project.run or [] if lazily else project.selected_papers():
        spec = project.papers[paper]
        for row in project.selected_rows(paper):
            for condition in spec.conditions:
                settled(project, paper, row, condition, papers[paper])
        check_windows(project, paper, papers[paper])
    return project


def _shipped(checkout: Path) -> list[Layer]:
    """What the checkout's `config/` says, lowest precedence first."""
    config = read_yaml(checkout / "config" / "config.yaml", shipped=True)
    layers: list[Layer] = [("config/config.yaml", config)]
    return layers + [
        (
            str(path.relative_to(checkout)),
            {"papers": {path.parent.name: read_yaml(path, shipped=True)}},
        )
        for path in _papers(checkout)
    ]


def _own(folder: Path, checkout: Path) -> list[Layer]:
    """What a working folder's own `config/` says, if it has one."""
    config = folder / "config"
    if config.resolve() == (checkout / "config").resolve():
        return []
    own = [config / "config.yaml"] if (config / "config.yaml").is_file() else []
    layers: list[Layer] = [(str(path), read_yaml(path)) for path in own]
    return layers + [
        (str(path), {"papers": {path.parent.name: read_yaml(path)}}) for path in _papers(folder)
    ]


def _papers(folder: Path) -> list[Path]:
    return sorted((folder / "config").glob("papers/*/paper.yaml"))


def _validated(merged: dict[str, Any], layers: list[Layer]) -> Project:
    try:
        return Project.model_validate(merged).merged_from(layers)
    except ValidationError as error:
        details = error.errors()

    def wrong(partial: dict[str, Any]) -> bool:
        try:
            Project.model_validate(partial)
        except ValidationError as error:
            return same_complaint(error, details[0])
        return False

    culprit = blame(layers, wrong) if details[0]["type"] == "value_error" else None
    raise SedreproError(explain(details, Project, layers, culprit=culprit))


def _check_papers(merged: dict[str, Any], papers: Collection[str], layers: list[Layer]) -> None:
    """Before anything else: a paper is a package and a folder of the same name, or a mistake."""
    given = merged.get("papers", {})
    if not isinstance(given, Mapping):
        return  # validation says what it should be
    for paper in given:
        if paper not in papers:
            _, label = origin(("papers", str(paper)), layers, [()])
            close = neighbour(str(paper), papers)
            if label == f"config/papers/{paper}/paper.yaml":
                raise SedreproError(
                    f"{label}: there is no package sedrepro/papers/{paper} with settings.py and "
                    f"method.py{close}"
                )
            raise SedreproError(
                f"{label}: papers.{paper}: no such paper{close}; papers are {', '.join(papers)}"
            )
    for paper in papers:
        if paper not in given:
            raise SedreproError(
                f"config/papers/{paper}/paper.yaml: no such file, and there is a package "
                f"sedrepro/papers/{paper}: write it, or take the package away"
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


def _check_methods(spec: Paper, paper: str, own: type[PaperSettings], layers: list[Layer]) -> None:
    """Methods that the paper's code does not have."""
    named: list[tuple[tuple[str, ...], str | None]] = [
        (("table", row, "method"), line.method) for row, line in spec.table.items()
    ]
    named += [(("methods", method), method) for method in spec.methods]
    for path, method in named:
        if method is not None and method not in own.methods:
            _, label = origin(("papers", paper, *path), layers, [()])
            known = ", ".join(own.methods) or "none but its own"
            raise SedreproError(
                f"{label}: papers.{paper}.{'.'.join(path)}: no such method"
                f"{neighbour(method, own.methods)}; methods are {known}"
            )
