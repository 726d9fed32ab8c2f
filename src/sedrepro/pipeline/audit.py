"""What is there, and which rows can run on it."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from .. import settings
from ..clips import read_clips
from ..errors import SedreproError
from ..files import read_json
from ..settings import Layout, Project, Run, Subset
from ..sources import registry, released, weights
from ..sources.registry import Registry, Resource
from ..sources.verify import Lock
from .downloads import Models, needs
from .text import size, table


@dataclass(frozen=True)
class Stock:
    """How a resource stands; `verified` counts files by who vouches for them."""

    resource: str
    status: Literal["ok", "partial", "unavailable", "arriving", "local copy", "not fetched yet"]
    reason: str
    files: int
    bytes: int
    verified: dict[str, int]


@dataclass(frozen=True)
class Count:
    """Expected and found clips of a subset; None where its tables are not made yet."""

    corpus: str
    subset: str
    expected: int | None
    found: int | None
    note: str


@dataclass(frozen=True)
class Verdict:
    """Whether a row can run on what is there."""

    paper: str
    row: str
    state: Literal["in full", "in part", "not at all", "not known yet"]
    why: str


@dataclass
class Audit:
    """What is there."""

    stock: list[Stock] = field(default_factory=list)
    counts: list[Count] = field(default_factory=list)
    verdicts: list[Verdict] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)  # resources without clips of their own
    mend: list[str] = field(default_factory=list)


def audit(project: Project, models: Models | None = None, known: Registry | None = None) -> Audit:
    """What is there; with the papers' settings (`models`), what that means for their rows."""
    known, layout = known or registry.load(), Layout.of(project)
    lock, found = Lock(project.data_folder), Audit()
    papers = project.selected_papers()
    needed = list(needs(project, models or {}, known))
    found.stock = [_stock(name, known[name], project, lock) for name in needed]
    wanted: dict[tuple[str, str], None] = {}
    for paper, plans in _plans(project, papers, models or {}).items():
        for _, planned in plans:
            wanted |= {(subset.corpus, subset.name): None for subset, _ in planned.inputs()}
        found.verdicts += [_verdict(paper, row, planned, project, layout) for row, planned in plans]
    if not models:
        wanted = {(known[n].corpus, s): None for n in needed for s in known[n].subsets}
    found.counts = [_count(Subset(*subset), layout) for subset in wanted]
    for stock in found.stock:
        resource = known[stock.resource]
        if stock.status in ("partial", "unavailable", "arriving"):
            if not resource.subsets:
                found.losses.append(f"{stock.resource} is {stock.status}: {resource.loss}")
            found.mend.append(_mend(stock, resource, layout))
        elif stock.status == "ok" and stock.reason and project.data.origin == "download":
            found.losses.append(f"{stock.resource}: {stock.reason}")  # copies by others
    found.mend += [
        f"{c.corpus} {c.subset}: {(c.expected or 0) - (c.found or 0):,} clips are not in {own}"
        for c in found.counts
        if (c.found or 0) < (c.expected or 0) and (own := registry.local(project.data, c.corpus))
    ]
    return found


def _stock(name: str, resource: Resource, project: Project, lock: Lock) -> Stock:
    layout = Layout.of(project)
    verified: dict[str, int] = {}
    if own := registry.local(project.data, resource.corpus):
        sizes = _recordings(resource, layout)
        return Stock(name, "local copy", own, len(sizes), sum(sizes.values()), {})
    files = {file.name for file in resource.files}
    files |= {copy.name for file in resource.files for copy in file.mirrors}
    for file in sorted(files):
        if entry := lock.entry(f"{name}/{file}"):
            by = entry["checked_against"]
            verified[by] = verified.get(by, 0) + 1
    try:
        status: dict[str, Any] = read_json(layout.status(name))
        return Stock(
            name, status["status"], status["reason"], status["files"], status["bytes"], verified
        )
    except FileNotFoundError:
        return Stock(name, "not fetched yet", "", 0, 0, verified)
    except (ValueError, KeyError):
        raise SedreproError(
            f"{layout.status(name)}: not a status; delete it and run `snakemake data`"
        ) from None


def _recordings(resource: Resource, layout: Layout) -> dict[str, int]:
    """Bytes of every recording that the resource's tables name."""
    sizes: dict[str, int] = {}
    for subset in resource.subsets:
        path = Path(layout.table(Subset(resource.corpus, subset), "clips"))
        if path.exists():
            for clip in read_clips(path):
                if clip.path not in sizes and Path(clip.path).is_file():
                    sizes[clip.path] = Path(clip.path).stat().st_size
    return sizes


def _count(subset: Subset, layout: Layout) -> Count:
    path = Path(layout.table(subset, "audit"))
    try:
        with open(path, encoding="utf-8", newline="") as handle:
            row = next(csv.DictReader(handle, delimiter="\t"))
        counts = int(row["expected"]), int(row["found"])
    except FileNotFoundError:
        return Count(subset.corpus, subset.name, None, None, "not described yet")
    except (StopIteration, KeyError, ValueError):
        raise SedreproError(
            f"{path}: not an audit table; delete it and run `snakemake data`"
        ) from None
    return Count(subset.corpus, subset.name, *counts, row["note"] or "")


def _plans(
    project: Project, papers: list[str], models: Models
) -> dict[str, list[tuple[str, settings.Plan]]]:
    """Per paper, every row that can be run, under each condition."""
    found: dict[str, list[tuple[str, settings.Plan]]] = {}
    for paper in papers if models else []:
        spec = project.papers[paper]
        found[paper] = []
        for row, line in spec.table.items():
            if line.kind == "published":
                continue
            for condition in spec.conditions:
                run = Run(paper, row, condition, project.seeds[0])
                label = row if len(spec.conditions) == 1 else f"{row}, {condition}"
                try:
                    planned = settings.plan(project, run, models[paper])
                except SedreproError:  # a row that nobody asked for; those to run are looked at
                    continue
                found[paper].append((label, planned))
    return found


def _verdict(
    paper: str, row: str, planned: settings.Plan, project: Project, layout: Layout
) -> Verdict:
    """Whether a row can run with what is here."""
    counts = {subset: _count(subset, layout) for subset, _ in planned.inputs()}
    unknown = [count for count in counts.values() if count.found is None]
    short = [c for c in counts.values() if c.found is not None and c.found < (c.expected or 0)]
    why = "; ".join(f"{c.corpus} {c.subset}: {c.found:,} of {c.expected:,} clips" for c in short)
    weights = [_absent(name, project, layout) for name in planned.settings.weights()]
    absent = [reason for reason in weights if reason]
    if planned.released is not None and (why_not := released.lacking(planned.released, project)):
        absent.append(why_not)
    if absent:
        return Verdict(paper, row, "not at all", "; ".join(absent))
    if planned.missing_required_subsets(
        [subset for subset, count in counts.items() if count.found == 0]
    ):
        return Verdict(paper, row, "not at all", why)
    if unknown:
        names = ", ".join(f"{count.corpus} {count.subset}" for count in unknown)
        return Verdict(paper, row, "not known yet", f"`snakemake data` has not described {names}")
    return Verdict(paper, row, "in part" if short else "in full", why)


def _absent(resource: str, project: Project, layout: Layout) -> str | None:
    """Why weights are not there, if fetching them came to that end or they should lie there."""
    path = Path(layout.status(resource))
    fetched = path.exists() and read_json(path)["status"] == "unavailable"
    own = registry.local(project.data, "weights")
    return weights.lacking(resource, project) if fetched or own else None


def _mend(stock: Stock, resource: Resource, layout: Layout) -> str:
    ways = [stock.reason]
    if resource.help and resource.help not in stock.reason:
        ways.append(resource.help)
    ways.append(f"to try again: delete {layout.status(stock.resource)} and run `snakemake data`")
    ways.append(f"an own copy: data.{resource.corpus}.local")
    return f"{stock.resource}: " + "; ".join(ways)


def audit_text(found: Audit) -> str:
    """The audit as a person reads it."""
    rows = [
        [s.resource, s.status, f"{s.files:,}", size(s.bytes), _vouched(s.verified)]
        for s in found.stock
    ]
    lines = table(["resource", "status", "files", "bytes", "checked against"], rows)
    counts = [
        [c.corpus, c.subset, _number(c.expected), _number(c.found), c.note] for c in found.counts
    ]
    lines += ["", *table(["corpus", "subset", "expected", "found", "note"], counts)]
    for paper in dict.fromkeys(verdict.paper for verdict in found.verdicts):
        lines += ["", f"{paper} can run"]
        mine = [v for v in found.verdicts if v.paper == paper]
        for state, why in dict.fromkeys((v.state, v.why) for v in mine):
            named = ", ".join(v.row for v in mine if (v.state, v.why) == (state, why))
            lines.append(f"  {state}: {named}" + (f" ({why})" if why else ""))
    for heading, entries in (("Losses", found.losses), ("To get what is missing", found.mend)):
        if entries:
            lines += ["", f"{heading}:", *(f"  {entry}" for entry in entries)]
    return "\n".join(lines)


def _vouched(verified: Mapping[str, int]) -> str:
    return ", ".join(f"{by} ({count})" for by, count in sorted(verified.items())) or "-"


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"
