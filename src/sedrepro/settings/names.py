"""Every name a paper uses is the name of something: checked before anything is planned.

A name that nothing answers to would otherwise be found after the training, or never: a column of
empty cells, a published number that is printed nowhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path as FilePath
from typing import Any, get_args

from ..errors import SedreproError
from . import published
from .blocks import Block, Checkpoint, ClassNames, Detecting
from .data import Data
from .declared import CORPORA, FIGURES, METRICS, PACKAGES, MetricFamily
from .explain import neighbour
from .layers import Path, merge, origin
from .paper import PaperSettings
from .project import Column, Paper, Project
from .rows import Model, homes, named
from .streams import Unit

CHECKPOINTS = get_args(Checkpoint)
UNITS = get_args(Unit)


@dataclass
class Offer:
    """What a paper's rows have to offer to its tables; a row whose numbers do not fit has nothing.

    Classes are those of the data as set and as shipped: a result set with classes of its own need
    not rewrite the paper's tables.
    """

    settings: dict[tuple[str, str], PaperSettings] = field(default_factory=dict)
    classes: dict[str, None] = field(default_factory=dict)

    def families(self, rows: Iterable[str]) -> dict[str, list[MetricFamily]]:
        """The reported sets of some rows, and the families of metrics each has."""
        wanted, found = set(rows), {}
        for (row, _), settings in self.settings.items():
            if row in wanted:
                for held_out in settings.held_out():
                    if held_out.reports:
                        found[held_out.name] = [METRICS[name] for name in held_out.metrics]
        return found


def check(project: Project, paper: str, model: Model, root: str | FilePath) -> None:
    """Refuse a paper that names what is not there."""
    spec = project.papers[paper]
    offer = Offer()
    for row in spec.table:
        for condition in spec.conditions:
            settings = named(project, paper, row, condition, model)
            if settings is not None:
                _check_sets(settings, paper, row)
                known = dict.fromkeys([*settings.classes(project.data), *settings.classes(Data())])
                _check_classes(project, homes(project, paper, row, condition), settings, known)
                offer.settings[row, condition] = settings
                offer.classes |= known
    for place, corpus in enumerate(spec.corpora):
        _known(corpus, CORPORA, "corpus", project, ("papers", paper, "corpora", str(place)))
    for name, table in spec.tables.items():
        rows = table.rows if table.rows is not None else list(spec.table)
        running = [row for row in rows if spec.table[row].kind != "published"]
        sets = offer.families(running)
        for part in ("columns", "remarks"):
            for place, column in enumerate(getattr(table, part)):
                key = ("papers", paper, "tables", name, part, str(place))
                if sets:
                    _check_column(project, key, column, sets, offer, model)
    sets = offer.families(spec.table)
    given = {metric for families in sets.values() for metric in _metrics(families)}
    for name in spec.figures:
        where = ("papers", paper, "figures", name)
        _known(name, FIGURES, "figure", project, where)
        needs = FIGURES[name].needs
        if sets and needs and not given & set(needs):
            raise _refusal(project, where, f"is drawn of {' or '.join(needs)}, which no set has")
    _check_published(project, paper, offer, root)


# --- what the package of a paper says -------------------------------------------------------------


def _check_sets(settings: PaperSettings, paper: str, row: str) -> None:
    """Corpora and metrics of streams and sets, and what chooses the checkpoint."""
    model = type(settings)
    file = f"{model.__module__.replace('.', '/')}.py"
    for part in settings.reads():
        for subset in part.subsets:
            if subset.corpus not in CORPORA:
                raise SedreproError(
                    f"{file}: {part.name!r} of row {row} is of corpus {subset.corpus!r}"
                    f"{neighbour(subset.corpus, CORPORA)}; corpora are {', '.join(CORPORA)}"
                )
    for held_out in settings.held_out():
        if held_out.unit not in UNITS:
            raise SedreproError(
                f"{file}: held_out(): set {held_out.name!r} draws units {held_out.unit!r}"
                f"{neighbour(held_out.unit, UNITS)}; units are {', '.join(UNITS)}"
            )
        for name in held_out.metrics:
            if name not in METRICS:
                raise SedreproError(
                    f"{file}: held_out(): set {held_out.name!r} asks for metrics {name!r}"
                    f"{neighbour(name, METRICS)}; metrics are {', '.join(METRICS)}"
                )
    choosing = {
        f"{held_out.name}/{name}/{metric}": None
        for held_out in settings.held_out()
        if held_out.selects
        for name in model.MODELS
        for family in held_out.metrics
        for metric in METRICS[family].selects
    }
    for name in settings.selection():
        if name not in choosing:
            raise SedreproError(
                f"{file}: selection(): {name!r} chooses the checkpoint of row {row}, and no set "
                f"gives it{neighbour(name, choosing)}; there are {', '.join(choosing) or 'none'}"
            )


def _check_classes(
    project: Project, places: list[Path], settings: Block, known: dict[str, None]
) -> None:
    for key, name in _class_names(settings):
        if name not in known:
            home, label = origin(key, project.layers, places)
            raise SedreproError(
                f"{label}: {'.'.join(home + key)}: no class {name!r}{neighbour(name, known)}; "
                f"classes are {', '.join(known)}"
            )


def _class_names(block: Block, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every class that some settings name, and its key."""
    for name, described in type(block).model_fields.items():
        value = getattr(block, name)
        key = (*path, name)
        if described.annotation == ClassNames:
            yield from ((key, each) for each in value)
        elif isinstance(value, Block):
            yield from _class_names(value, key)
    if isinstance(block, Detecting) and isinstance(block.median, dict):
        yield from (((*path, "median", each), each) for each in block.median)


# --- tables ---------------------------------------------------------------------------------------


def _metrics(families: Iterable[MetricFamily]) -> dict[str, list[str]]:
    """Who computes each metric, class-wise or not."""
    found: dict[str, list[str]] = {}
    for family in families:
        for metrics in (family.gives, family.by_class):
            for metric, implementations in metrics.items():
                found.setdefault(metric, []).extend(implementations)
    return found


def _check_column(
    project: Project,
    key: Path,
    column: Column,
    sets: dict[str, list[MetricFamily]],
    offer: Offer,
    model: Model,
) -> None:
    _known(column.set, sets, "set", project, (*key, "set"))
    families = sets[column.set]
    _known(column.metric, _metrics(families), "metric", project, (*key, "metric"))
    given: dict[str, tuple[str, ...]] = {}
    for family in families:
        given |= family.gives if column.label is None else family.by_class
    if column.metric not in given:
        how = "has no value over all classes" if column.label is None else "has no value per class"
        raise _refusal(project, (*key, "metric"), f"{column.metric} {how}")
    implementations = given[column.metric]
    place = (*key, "implementation")
    _known(column.implementation, implementations, "implementation", project, place)
    if column.label not in (None, "*"):
        more = [name for family in families for name in family.more_classes]
        _known(column.label, [*offer.classes, *more], "class", project, (*key, "label"))
    name, at, checkpoint = column.model.partition("@")
    if model.MODELS:
        _known(name, model.MODELS, "model", project, (*key, "model"))
    if at:
        _known(checkpoint, CHECKPOINTS, "checkpoint", project, (*key, "model"))
    if checkpoint == "last" and column.implementation in PACKAGES:
        raise _refusal(project, place, f"{column.implementation} is not run on last checkpoints")


def _known(name: str, known: Iterable[str], what: str, project: Project, key: Path) -> None:
    names = list(known)
    if name not in names:
        text = f"no {what} {name!r}{neighbour(name, names)}; there are {', '.join(names)}"
        raise _refusal(project, key, text)


def _refusal(project: Project, key: Path, text: str) -> SedreproError:
    _, label = origin(key, project.layers, [()])
    return SedreproError(f"{label}: {'.'.join(key)}: {text}")


# --- published.csv --------------------------------------------------------------------------------


def _check_published(project: Project, paper: str, offer: Offer, root: str | FilePath) -> None:
    """Every line is a cell of the paper as it is shipped, or as it is set."""
    lines = published.read(root, paper)
    if not lines:
        return
    specs = [project.papers[paper]]
    shipped: dict[str, Any] = {}
    for label, layer in project.layers:
        shipped = merge(shipped, layer)
        if label == f"config/papers/{paper}/paper.yaml":
            specs.append(Paper.model_validate(shipped["papers"][paper]))
    known = [_cells(spec, offer) for spec in reversed(specs)]
    first: dict[tuple[str, ...], int] = {}
    for line in lines:
        complaint = ""
        if line.key in first:
            complaint = f"this cell has a number in line {first[line.key]} already"
        elif all(complaints := [_complaint(line, cells) for cells in known]):
            complaint = complaints[0]
        if complaint:
            raise SedreproError(
                f"config/papers/{paper}/published.csv: line {line.number}: {complaint}"
            )
        first[line.key] = line.number


Cells = dict[str, dict[str, dict[str, list[tuple[str, ...]]]]]
"""By table, row and condition: set, model, metric, implementation."""


def _cells(spec: Paper, offer: Offer) -> Cells:
    """The cells of a paper's tables; of lines of context, those of any model."""
    found: Cells = {}
    for name, table in spec.tables.items():
        columns = [key for column in table.columns for key in _keys(column, offer)]
        anyone = [(name, "", *rest) for name, _, *rest in columns]
        rows = table.rows if table.rows is not None else spec.table
        found[name] = {
            row: dict.fromkeys(
                table.conditions or spec.conditions,
                anyone if spec.table[row].kind == "published" else columns,
            )
            for row in rows
        }
    return found


def _keys(column: Column, offer: Offer) -> Iterator[tuple[str, ...]]:
    labels = offer.classes if column.label == "*" else [column.label]
    for label in labels:
        metric = f"{column.metric}[{label}]" if label else column.metric
        yield column.set, column.model, metric, column.implementation


def _complaint(line: published.Line, cells: Cells) -> str:
    """Which key of a line leads nowhere; nothing if all lead to a cell."""
    table, row, condition, *cell = line.key
    known: Iterable[str] = cells
    for what, name in (("table", table), ("row", row), ("condition", condition)):
        if name not in known:
            return f"no {what} {name!r}{neighbour(name, known)}; there are {', '.join(known)}"
        known = known[name]  # type: ignore[index]
    left = list(known)
    if tuple(cell) in left:  # so it is nearly always
        return ""
    for place, what in enumerate(("set", "model", "metric", "implementation")):
        names = dict.fromkeys(key[place] for key in left)
        if "" in names:  # a line of context may be of another model
            continue
        if cell[place] not in names:
            return (
                f"no {what} {cell[place]!r}{neighbour(cell[place], names)} in table {table}; "
                f"there are {', '.join(names)}"
            )
        left = [key for key in left if key[place] == cell[place]]
    return ""
