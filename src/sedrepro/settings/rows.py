"""A row of a paper as typed settings, and whether its numbers fit together.

Names are looked at in every row there is; numbers only in rows that are asked for, since narrowing
a network or a front end for one paper may leave another's rows impossible.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from ..errors import SedreproError
from .explain import explain, neighbour
from .layers import Path, blame, merge
from .paper import PaperSettings
from .project import Project
from .streams import HeldOut, Stream

Model = type[PaperSettings]


def row_settings(project: Project, paper: str, row: str, condition: str) -> dict[str, Any]:
    """What a row under a condition changes in the defaults of its method.

    paper (or method) < condition < row < what the row says of the condition.
    """
    spec = project.papers[paper]
    line = spec.table[row]
    shared = spec.settings if line.method is None else spec.methods.get(line.method, {})
    chosen = merge(merge(shared, spec.conditions[condition]), line.settings)
    return merge(chosen, line.conditions.get(condition, {}))


def homes(project: Project, paper: str, row: str, condition: str) -> list[Path]:
    """The keys below which a row's settings may be set, highest precedence first."""
    method = project.papers[paper].table[row].method
    return [
        ("papers", paper, "table", row, "conditions", condition),
        ("papers", paper, "table", row, "settings"),
        ("papers", paper, "conditions", condition),
        ("papers", paper, *(("methods", method) if method else ("settings",))),
    ]


def settled(
    project: Project, paper: str, row: str, condition: str, model: Model, fold: int | None = None
) -> PaperSettings:
    """The settings of a row that is asked for: one that cannot be run is refused."""
    model = model.of(project.papers[paper].table[row].method)
    chosen = row_settings(project, paper, row, condition)
    if fold is not None:  # papers that cross-validate have a setting `fold`
        chosen["fold"] = fold
    try:
        settings = model.model_validate(chosen)
    except ValidationError as error:
        raise _refused(error.errors(), project, paper, row, condition, model) from None
    for problem in (_front_end_missing, _shapes_differ, _classes_clash, _nothing_to_tune_on):
        _raise_if(problem, settings, project, paper, row, condition, model)
    return settings


def named(
    project: Project, paper: str, row: str, condition: str, model: Model
) -> PaperSettings | None:
    """The settings of any row, if its names are there; None if only its numbers do not fit."""
    model = model.of(project.papers[paper].table[row].method)
    try:
        settings = model.model_validate(row_settings(project, paper, row, condition))
    except ValidationError as error:
        details = [detail for detail in error.errors() if detail["type"] != "value_error"]
        if not details:
            return None
        raise _refused(details, project, paper, row, condition, model) from None
    _raise_if(_front_end_missing, settings, project, paper, row, condition, model)
    return settings


def check_windows(project: Project, paper: str, model: Model) -> None:
    """Refuse a paper whose front ends hear clips for different times, in the rows to run.

    The truth is the same for all of them: what one does not hear would count as missed.
    """
    spec = project.papers[paper]
    readers: dict[str, str] = {}
    for row in project.selected_rows(paper):
        settings = named(project, paper, row, next(iter(spec.conditions)), model)
        if settings is None:
            continue
        parts: list[Stream | HeldOut] = [*settings.streams(), *settings.held_out()]
        for name in (name for part in parts for name in part.inputs):
            readers.setdefault(name, row)
    seconds = {name: project.front_ends[name].seconds for name in readers}
    longest = max(seconds, key=seconds.__getitem__, default="")
    for name, heard in seconds.items():
        if heard == seconds[longest]:
            continue

        def differ(merged: dict[str, Any], name: str = name) -> bool:
            try:
                front_ends = Project.model_validate(merged).front_ends
                return front_ends[name].seconds != front_ends[longest].seconds
            except (ValidationError, KeyError):  # layers further up complete what is not there yet
                return False

        raise SedreproError(
            f"{blame(project.layers, differ)}: front_ends.{longest}.seconds is "
            f"{seconds[longest]:g} and front_ends.{name}.seconds is {heard:g}, and papers.{paper} "
            f"reads both (rows {readers[longest]} and {readers[name]}): set both alike, or events "
            "after the shorter would count as missed"
        )


# --- what may be wrong with a row, in words -------------------------------------------------------


def _front_end_missing(settings: PaperSettings, project: Project) -> str | None:
    known = project.front_ends
    for part in settings.reads():
        for name in part.inputs:
            if name not in known:
                close = neighbour(name, known)
                return f"reads front end {name!r}{close}; front_ends are {', '.join(known)}"
    return None


def _shapes_differ(settings: PaperSettings, project: Project) -> str | None:
    try:
        settings.grid(project.front_ends)
    except ValueError as error:
        return str(error)
    return None


def _classes_clash(settings: PaperSettings, project: Project) -> str | None:
    try:
        settings.check_classes(settings.classes(project.data))
    except ValueError as error:
        return str(error)
    return None


def _nothing_to_tune_on(settings: PaperSettings, project: Project) -> str | None:
    boxes = settings.decoding.boxes
    if boxes is None:
        return None
    sets = {
        held_out.name: held_out for held_out in settings.held_out() if "sed" in held_out.metrics
    }
    if boxes.tuned_on not in sets:
        close = neighbour(boxes.tuned_on, sets)
        return (
            f"decoding.boxes.tuned_on: no set {boxes.tuned_on!r} with sound events{close}; "
            f"sets are {', '.join(sets)}"
        )
    if sets[boxes.tuned_on].reports:
        return f"decoding.boxes.tuned_on: numbers are reported of {boxes.tuned_on!r}"
    return None


# --- who is to blame ------------------------------------------------------------------------------


def _raise_if(
    problem: Callable[[PaperSettings, Project], str | None],
    settings: PaperSettings,
    project: Project,
    paper: str,
    row: str,
    condition: str,
    model: Model,
) -> None:
    words = problem(settings, project)
    if words is None:
        return

    def wrong(merged: dict[str, Any]) -> bool:
        try:
            other = Project.model_validate(merged)
            same_row = model.model_validate(row_settings(other, paper, row, condition))
            return problem(same_row, other) == words
        except (ValidationError, KeyError):  # layers further up complete what is not there yet
            return False

    raise SedreproError(f"{blame(project.layers, wrong)}: papers.{paper}: row {row}: {words}")


def _refused(
    details: list[Any], project: Project, paper: str, row: str, condition: str, model: Model
) -> SedreproError:
    """What pydantic refused, in one line."""
    first, culprit = details[0], None
    if first["type"] == "value_error":

        def wrong(merged: dict[str, Any]) -> bool:
            try:
                other = Project.model_validate(merged)
                model.model_validate(row_settings(other, paper, row, condition))
            except ValidationError as error:
                return same_complaint(error, first)
            except KeyError:
                pass
            return False

        culprit = blame(project.layers, wrong)
    places = homes(project, paper, row, condition)
    return SedreproError(explain(details, model, project.layers, places, culprit))


def same_complaint(error: ValidationError, first: Any) -> bool:
    """Whether an error has a complaint of the same words at the same key."""
    return any((d["loc"], d["msg"]) == (first["loc"], first["msg"]) for d in error.errors())
