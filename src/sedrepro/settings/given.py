"""What a job is given of the settings: what can change its result, and nothing else.

A job does not read the configuration again. While planning, `pick` takes the parts of the project
that the job may read; in the job, `restore` makes a project of them in which every other setting
is missing, so that a job that reads one fails instead of depending on it unseen.
"""

from __future__ import annotations

import functools
import json
import os
import typing
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter

from .blocks import Block
from .layers import merge
from .project import Project

FOLDERS = "folders"
RUNTIME = (
    "device",
    "deterministic",
    "gpu_share",
    "device_store_gb",
    "data.fetch",
    "report.tensorboard",
)
"""Settings that say how a job works and not what it makes. Jobs find them in their environment:
a change makes nothing again."""
RUNTIME_VARIABLE = "SEDREPRO_RUNTIME"


class Given(Project):
    """The part of the project that a job was given."""

    @property
    def data_folder(self) -> str:
        return self.__dict__[FOLDERS][0]

    @property
    def result_folder(self) -> str:
        """Of a job that was not given one: a place where no file can be."""
        _, *results = self.__dict__[FOLDERS]
        return results[0] if results else os.devnull


def pick(project: Project, *settings: str, results: bool = False) -> dict[str, Any]:
    """The named settings (`data.desed`, `papers.lgc_sed`) as nested plain data, and the folder of
    the data.

    `results` adds the folder of the results. A job that makes data is not given it: what it makes
    serves every result set, and another name is no reason to make it again.
    """
    plain: dict[str, Any] = {}
    for dotted in settings:
        *homes, name = dotted.split(".")
        value: Any = project
        place = plain
        for home in homes:
            value = _member(value, home)
            place = place.setdefault(home, {})
        place[name] = _plain(_member(value, name))
    folders = [project.data_folder]
    if results:
        folders.append(project.result_folder)
    return plain | {FOLDERS: folders}


def runtime(project: Project) -> str:
    """The value of the environment variable that carries `RUNTIME` to the jobs."""
    return json.dumps(pick(project, *RUNTIME))


def restore(given: Mapping[str, Any]) -> Project:
    """The project as far as it was given, and how this machine's jobs are to work."""
    inherited = os.environ.get(RUNTIME_VARIABLE)
    how = json.loads(inherited) if inherited else pick(Project(), *RUNTIME)
    parts = merge(how, given)
    folders = parts.pop(FOLDERS)
    project = _partial(Given, parts)
    project.__dict__[FOLDERS] = folders
    return project


def without_folders(given: Mapping[str, Any]) -> dict[str, Any]:
    """What of a job's settings its result depends on: not where it lies."""
    return {name: value for name, value in given.items() if name != FOLDERS}


def _member(value: Any, name: str) -> Any:
    return value[name] if isinstance(value, Mapping) else getattr(value, name)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _partial(model: type[Any], plain: Mapping[str, Any]) -> Any:
    """A block with the given settings only; all were checked when the project was loaded."""
    names = {field.alias or name: name for name, field in model.model_fields.items()}
    values = {}
    for key, value in plain.items():
        name = names[key]
        values[name] = _typed(model.model_fields[name].rebuild_annotation(), value)
    block = model.model_construct()
    block.__dict__.clear()
    block.__dict__.update(values)
    return block


def _typed(kind: Any, value: Any) -> Any:
    if isinstance(kind, type) and issubclass(kind, Block):
        return _partial(kind, value)
    arguments = typing.get_args(kind)
    if typing.get_origin(kind) is dict and _is_block(arguments[1]):
        return {key: _partial(arguments[1], item) for key, item in value.items()}
    return _adapter(kind).validate_python(value)


@functools.cache
def _adapter(kind: Any) -> TypeAdapter:
    """What checks values of a kind; made once, for that takes longer than checking."""
    return TypeAdapter(kind)


def _is_block(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Block)
