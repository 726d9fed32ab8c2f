"""The chain of keys: what every artefact says of itself and of what it was made from.

    clip tables → store → run → metrics → tables, figures, page

An artefact's key is a digest of exactly what its content depends on; its parents are the keys of
what it was made from. Whoever reads an artefact compares, so that nothing is printed whose origin
is not the one that lies there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .errors import SedreproError
from .files import digest, file_digest, read_json, write_json

SCHEMA = {"tables": 4, "store": 1, "run": 1, "metrics": 1, "results": 1}
"""The form of each kind of artefact. A raised number makes all of that kind anew."""


def link(kind: str, depends: Any, parents: Mapping[str, Any]) -> dict[str, Any]:
    """What an artefact says of itself; `depends` are the settings that its content depends on."""
    schema = SCHEMA[kind]
    key = digest({"kind": kind, "schema": schema, "depends": depends, "parents": parents})
    return {"kind": kind, "schema": schema, "key": key, "parents": dict(parents)}


def other_schema(kind: str, described: Mapping[str, Any]) -> str:
    """Why an artefact of another version of sedrepro cannot be used; empty if it is of this one."""
    schema = described.get("schema")
    if schema == SCHEMA[kind]:
        return ""
    found = "no schema" if schema is None else f"schema {schema}"
    return f"it has {found} and this version of sedrepro makes schema {SCHEMA[kind]}"


SEAL = "key.json"


def seal(
    path: str | Path,
    kind: str,
    files: Iterable[str | Path],
    *,
    depends: Any = None,
    parents: Mapping[str, Any] | None = None,
    **more: Any,
) -> None:
    """Write the key of a group of files, with the content of each of them, beside them."""
    folder = Path(path).parent
    contents = {str(Path(file).relative_to(folder)): file_digest(file) for file in files}
    described = link(kind, {"settings": depends, "files": contents}, parents or {})
    write_json(path, {**described, "files": contents, **more})


def read(path: str | Path) -> dict[str, Any]:
    """What an artefact says of itself; a `SedreproError` if that is damaged."""
    try:
        described = read_json(path)
    except FileNotFoundError:
        raise
    except (OSError, ValueError) as error:
        why = f"cannot be read ({' '.join(str(error).split())})"
        raise SedreproError(f"{path}: {why}; delete it and start the workflow again") from None
    if not isinstance(described, dict):
        why = "holds no mapping; delete it and start the workflow again"
        raise SedreproError(f"{path}: {why}")
    return described


def read_seal(path: str | Path, kind: str) -> dict[str, Any]:
    """The key of a group of files; a `SedreproError` if there is none of this version."""
    try:
        described = read(path)
    except FileNotFoundError:
        raise SedreproError(f"{path}: no such file; start the workflow to have it made") from None
    if why := other_schema(kind, described):
        raise SedreproError(f"{path}: {why}; delete it and start the workflow")
    return described


def refuse_changed(path: str | Path, kind: str) -> None:
    """A `SedreproError` where a file of a sealed group is not what was written.

    A group without a seal was laid by hand, and nobody knows what was written.
    """
    if Path(path).exists():
        for problem in changed_files(path, read_seal(path, kind)):
            cure = "" if problem.endswith(GONE) else "delete it and "
            raise SedreproError(f"{problem}; {cure}start the workflow again")


GONE = "is gone"


def changed_files(path: str | Path, described: Mapping[str, Any]) -> list[str]:
    """Files of a sealed group that are gone, or not what was written."""
    folder = Path(path).parent
    found = []
    for name, content in described["files"].items():
        try:
            if file_digest(folder / name) != content:
                found.append(f"{folder / name}: was changed after it was written")
        except OSError:
            found.append(f"{folder / name}: {GONE}")
    return found
