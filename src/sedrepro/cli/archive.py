"""`sedrepro archive`: one file with all that is behind the numbers but data; `verify` checks it."""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import re
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from .. import __version__
from ..errors import SedreproError
from ..files import atomic
from ..places import checkout, typed
from ..reporting import sealing
from ..reporting.externals import scored
from ..reporting.links import measured_content
from ..reporting.records import records
from ..settings import Layout, Project
from .merge import runs_in

CHECKSUMS = "SHA256SUMS"
DATE = (1980, 1, 1, 0, 0, 0)
"""The date of every file inside, so that the same results make the same archive."""
PACKED = ("run.json", "metrics.json", "history.csv")
"""What is packed of a run: no weights, no scores, no recordings."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("--out", type=typed, metavar="FILE", help="by default NAME.sedrepro.zip")


def archive(options: argparse.Namespace, project: Project) -> int:
    """Write the archive of a result set."""
    layout = Layout.of(project)
    out = Path(options.out or f"{project.result_set}.sedrepro.zip")
    parts = dict(_parts(project, layout))
    if not any(name.startswith("tables/") for name in parts):
        raise SedreproError(f"{layout.results}: has no tables yet; `sedrepro report` makes them")
    for paper in project.selected_papers():
        _refuse_stale(project, paper, layout)
    sums = "".join(f"{_sha256(content)}  {name}\n" for name, content in sorted(parts.items()))
    with atomic(out) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in sorted({**parts, CHECKSUMS: sums.encode()}.items()):
            file.writestr(zipfile.ZipInfo(name, DATE), content, zipfile.ZIP_DEFLATED)
    print(f"{out}: {len(parts)} files; `sedrepro verify {out}` checks it anywhere")
    return 0


def _refuse_stale(project: Project, paper: str, layout: Layout) -> None:
    """Tables of other settings would stand beside settings that they are not of."""
    part = f"tables/{paper}"
    if not Path(layout.results_key(part)).exists():
        return
    found = [*records(project, paper, layout), *scored(layout, paper)]
    if why := sealing.stale(part, project, [paper], found, layout, checkout()):
        raise SedreproError(f"{why}; `sedrepro report` makes them anew")


def _parts(project: Project, layout: Layout) -> Iterator[tuple[str, bytes]]:
    """Names and contents: tables and their keys, runs' records, settings, environment."""
    results = Path(layout.results)
    for paper in project.selected_papers():
        for path in sorted((results / "tables").glob(f"{paper}.*")):
            yield f"tables/{path.name}", path.read_bytes()
        published = checkout() / "config" / "papers" / paper / "published.csv"
        if published.exists():
            yield f"published/{paper}.csv", published.read_bytes()
    for run in runs_in(results):
        for name in PACKED:
            path = Path(layout.run(run, name))
            if path.exists():
                yield f"runs/{run.folder}/{name}", path.read_bytes()
    yield "settings.json", _json(_without_folders(project.model_dump(mode="json", by_alias=True)))
    yield "environment.json", _json(environment())
    for name in ("CITATION.cff", "LICENSE", "requirements.lock"):
        if (checkout() / name).exists():
            yield name, (checkout() / name).read_bytes()


def _without_folders(settings: dict) -> dict:
    """Settings without the names of anybody's folders."""
    data = {
        name: part | {"local": "a copy of one's own"}
        if isinstance(part, dict) and part.get("local")
        else part
        for name, part in settings["data"].items()
    }
    return settings | {"data": data | {"folder": "data"}}


def environment() -> dict[str, object]:
    """Versions of everything that is installed here."""
    found = {one.metadata["Name"]: one.version for one in metadata.distributions()}
    return {
        "sedrepro": __version__,
        "python": platform.python_version(),
        "packages": dict(sorted(found.items())),
    }


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n").encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _blake(content: bytes) -> str:
    """A file's content key, as seals hold it."""
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def problems(path: Path) -> Iterator[str]:
    """What does not hold in an archive: bytes, and the keys from runs to tables."""
    try:
        with zipfile.ZipFile(path) as file:
            parts = {name: file.read(name) for name in file.namelist()}
    except (OSError, zipfile.BadZipFile, EOFError, RuntimeError, ValueError) as error:
        raise SedreproError(f"{path}: not a whole archive ({error})") from None
    if CHECKSUMS not in parts:
        raise SedreproError(f"{path}: not an archive of `sedrepro archive`: no {CHECKSUMS}")
    sums = {}
    for line in parts.pop(CHECKSUMS).decode().splitlines():
        checksum, _, name = line.partition("  ")
        sums[name] = checksum
    for name in sorted(sums.keys() | parts.keys()):
        if name not in parts:
            yield f"{name}: is gone"
        elif _sha256(parts[name]) != sums.get(name):
            yield f"{name}: was changed after it was packed"
    yield from _chain(parts)


def _chain(parts: dict[str, bytes]) -> Iterator[str]:
    """Whether every table is of the numbers, and every number of the run, that lie beside it."""
    keys: dict[str, str] = {}
    for name in sorted(parts):
        if not name.endswith("/metrics.json"):
            continue
        numbers = json.loads(parts[name])
        run = name.removesuffix("/metrics.json").removeprefix("runs/")
        keys[run] = numbers["key"]
        if measured_content(numbers) != numbers["content"]:
            yield f"{name}: its numbers are not those that were measured"
        record = parts.get(f"runs/{run}/run.json")
        told = json.loads(record) if record else {}
        # A row that decodes another's scores was measured on that one.
        decodes = told.get("run", {}).get("kind") == "reevaluate"
        if told and not decodes and numbers["parents"]["run"]["key"] != told["key"]:
            yield f"{name}: is of another run than the one beside it"
    for name in sorted(parts):
        if not name.endswith(".key.json"):
            continue
        described = json.loads(parts[name])
        for run, key in described["parents"].items():
            if run.startswith("published/"):
                found = _blake(parts.get(f"{run}.csv", b""))
            else:  # a run without numbers in the tables has the reason in the place of a key
                found = keys.get(run, "") if re.fullmatch(r"[0-9a-f]{32}", key) else key
            if found != key:
                yield f"{name}: made of other numbers of {run} than are here"
        for file, content in described["files"].items():
            if _blake(parts.get(f"{Path(name).parent}/{file}", b"")) != content:
                yield f"{name}: {file} is not what was written"


def verify(path: Path) -> int:
    """Print what does not hold; 1 if anything."""
    found = list(problems(path))
    for line in found:
        print(line)
    verdict = f"{len(found)} do not hold" if found else "every link holds"
    print(f"{path}: {verdict}")
    return 1 if found else 0
