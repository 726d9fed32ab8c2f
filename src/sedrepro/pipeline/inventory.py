"""Before: what is to get, whence and how long. After: what is there, and what it means for rows."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from .. import settings
from ..clips import read_clips
from ..errors import SedreproError
from ..files import read_json
from ..settings import Layout, PaperSettings, Project, Run, Subset
from ..settings.data import Data
from ..sources import policies, registry, released, weights
from ..sources.policies import Policy
from ..sources.registry import Mirror, Registry, Resource, manifest
from ..sources.verify import Lock

YOUTUBE = policies.YOUTUBE.name
SPEED = 50e6
"""Bytes per second that archives are reckoned to come at."""
CLIP_BYTES = 882_044  # ten seconds of 44.1 kHz 16-bit mono, as wav

Models = Mapping[str, type[PaperSettings]]


@dataclass(frozen=True)
class Item:
    """A file (or a set of clips) to be had."""

    resource: str
    file: str
    where: str
    bytes: int | None
    about: int | None
    checksum: str
    there: bool
    count: int = 1

    @property
    def host(self) -> str:
        """Whence it comes, in a word or two."""
        host = policies.host_of(self.where)
        return policies.of(host).name if host else self.where


@dataclass
class Sum:
    """Files and clips, bytes that are known, and bytes that are told or reckoned."""

    files: int = 0
    known: int = 0
    about: int = 0

    def add(self, item: Item) -> None:
        self.files += item.count
        self.known += item.bytes or 0
        self.about += 0 if item.bytes else item.about or 0

    @property
    def bytes(self) -> int:
        return self.known + self.about

    def __str__(self) -> str:
        parts = [f"{self.files:,} files", f"{size(self.known)} known"]
        if self.about:
            parts.append(f"about {size(self.about)} more")
        return ", ".join(parts)


@dataclass
class Shopping:
    """What the selected papers need, before anything is fetched."""

    resources: dict[str, Resource] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    own: dict[str, str] = field(default_factory=dict)  # resource → the user's own tree
    rendered: bool = False
    papers: dict[str, Sum] = field(default_factory=dict)
    needs: dict[str, list[str]] = field(default_factory=dict)  # resource → papers
    total: Sum = field(default_factory=Sum)
    there: Sum = field(default_factory=Sum)


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


def needs(project: Project, models: Models, known: Registry) -> dict[str, list[str]]:
    """The resources that selected rows read, each with its papers, in the registry's order.

    Without the papers' settings (`models`): all that the settings of the data ask for.
    """
    if not models:
        return {name: [] for name, one in known.resources.items() if one.wanted(project.data)}
    found: dict[str, dict[str, None]] = {}
    seen: set[Run] = set()
    for paper in project.selected_papers():
        pending = settings.runs(project, paper)
        while pending:
            run = pending.pop()
            if run in seen:
                continue
            seen.add(run)
            planned = settings.plan(project, run, models[run.paper])
            if planned.source is not None:
                pending.append(planned.source)
            names = list(planned.resources)
            for subset, _ in planned.inputs():
                # What nothing carries under these settings is mixed from the sound bank.
                carried = known.behind(subset, project.data)
                names += carried or known.of_corpus("desed_soundbank", project.data)
            for name in names:
                found.setdefault(name, {})[run.paper] = None
    return {name: list(found[name]) for name in known.resources if name in found}


def plan(project: Project, models: Models | None = None, known: Registry | None = None) -> Shopping:
    """Every file the selected rows need under these settings."""
    known, lock = known or registry.load(), Lock(project.data_folder)
    found = Shopping(rendered=project.data.origin == "render")
    found.papers = {paper: Sum() for paper in project.selected_papers()}
    found.needs = needs(project, models or {}, known)
    found.papers = {paper: Sum() for paper in (project.selected_papers() if models else [])}
    for name, papers in found.needs.items():
        resource = found.resources[name] = known[name]
        own = registry.local(project.data, resource.corpus)
        if own:
            found.own[name] = own
            continue
        if found.rendered:
            continue
        for item in _items(name, resource, project, lock):
            found.items.append(item)
            for total in [found.total, *([found.there] if item.there else [])]:
                total.add(item)
            for paper in papers:
                found.papers.setdefault(paper, Sum()).add(item)
    return found


def _items(name: str, resource: Resource, project: Project, lock: Lock) -> Iterable[Item]:
    folder = Path(registry.downloads(project.data_folder, name))
    raw = Path(Layout.of(project).raw(resource.corpus))
    for file in resource.files:
        frozen = lock.entry(f"{name}/{file.name}")
        checksum = file.checksum
        if not file.verifiable and frozen:
            checksum = f"sha256 {frozen['sha256']} (frozen)"
        yield Item(
            name,
            file.name,
            file.sources[0] if file.sources else "by hand",
            file.bytes or frozen.get("bytes"),
            file.about,
            checksum,
            (folder / file.name).exists() or manifest(raw, name, file.name).exists(),
        )
    if resource.clips:
        count = resource.count
        there = (raw / resource.clips.folder).is_dir()
        about = count * CLIP_BYTES
        label = f"{count:,} clips"
        yield Item(name, label, YOUTUBE, None, about, "no checksum", there, count)


def plan_text(found: Shopping, data: Data) -> str:
    """The plan on one screen: what is to get, whence and how long, and how it would be faster."""
    youtube = policies.YOUTUBE_ACCOUNT if data.fetch.cookies else policies.YOUTUBE
    rows = []
    left = [item for item in found.items if not item.there]
    for name in found.resources:
        items = [item for item in left if item.resource == name]
        if name in found.own:
            rows.append([name, "your own copy", "", found.own[name], ""])
        elif found.rendered:
            rows.append([name, "rendered here", "", "", ""])
        elif not items:
            rows.append([name, "there", "", "", ""])
        else:
            took, hosts = Sum(), dict.fromkeys(item.host for item in items)
            for item in items:
                took.add(item)
            what = _counted(items)
            about = "" if took.about == 0 else "~"
            time = _time(_hours(items, youtube))
            rows.append([name, what, f"{about}{size(took.bytes)}", " + ".join(hosts), time])
    lines = table(["to get", "what", "size", "from", "takes"], rows)
    lines.append("")
    for paper in found.papers:
        mine = [item for item in left if paper in found.needs[item.resource]]
        lines.append(f"{paper}: {_all(mine, youtube)}")
    lines.append(f"in all: {_all(left, youtube)}; already there: {size(found.there.bytes)}")
    if left:
        pace = f"{SPEED / 1e6:.0f} MB/s"
        lines.append(f"YouTube: {youtube.per_hour} videos an hour; other hosts: reckoned at {pace}")
        lines.append("`sedrepro plan --long`: every file, its licence, and how long training takes")
    return "\n".join([*lines, *_faster(left, found, data)])


def _counted(items: Iterable[Item]) -> str:
    """How many clips and how many files."""
    clips = files = 0
    for item in items:
        clips += item.count if item.host == YOUTUBE else 0
        files += item.host != YOUTUBE
    named = f"{files} file" if files == 1 else f"{files:,} files"
    return " + ".join([*([f"{clips:,} clips"] if clips else []), *([named] if files else [])])


def _hours(items: Iterable[Item], youtube: Policy) -> float:
    """How long it takes: YouTube's clips one by one, all else meanwhile at the network's pace."""
    items = list(items)
    clips = sum(item.count for item in items if item.host == YOUTUBE)
    rest = [item for item in items if item.host != YOUTUBE]
    waits = max((policies.of(policies.host_of(i.where)).hours(1) for i in rest), default=0.0)
    network = sum(item.bytes or item.about or 0 for item in rest) / SPEED / policies.HOUR
    return max(youtube.hours(clips), waits * len(rest), network)


def _all(items: list[Item], youtube: Policy) -> str:
    total = Sum()
    for item in items:
        total.add(item)
    if not items:
        return "nothing to get"
    return f"{_counted(items)}, {size(total.bytes)}, {_time(_hours(items, youtube))}"


def _time(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    return f"{hours:.1f} h" if hours >= 1 else f"{max(1, round(hours * 60))} min"


def _faster(left: list[Item], found: Shopping, data: Data) -> list[str]:
    """What would be faster than asking YouTube for every clip."""
    clips = {item.resource: item.count for item in left if item.host == YOUTUBE}
    if not clips:
        return []
    count = sum(clips.values())
    ways = []
    if not data.fetch.cookies:
        hours = _time(policies.YOUTUBE_ACCOUNT.hours(count))
        ways.append(f"data.fetch.cookies, an account on YouTube: {hours} for the {count:,} clips")
    mirrors = {name: _mirror(found.resources[name]) for name in clips}
    copied = {name: mirror for name, mirror in mirrors.items() if mirror}
    if copied and data.fetch.mirrors != "all":
        mirror = next(iter(copied.values()))
        many = sum(clips[name] for name in copied)
        hours = _time(policies.of(policies.host_of(mirror.url)).hours(many))
        ways.append(
            f"data.fetch.mirrors: all, a third party's copy of {many:,} clips "
            f"({mirror.layout.partition(';')[0]}): {hours} and more"
        )
    corpora = dict.fromkeys(found.resources[name].corpus for name in clips)
    ways += [f"data.{corpus}.local, a copy that you have: at once" for corpus in corpora]
    if not data.allow_partial:
        ways.append("data.allow_partial: true, to train on what is there already: at once")
    return ["To be faster (docs/data.md):", *(f"  {way}" for way in ways)]


def _mirror(resource: Resource) -> Mirror | None:
    return resource.clips.mirror if resource.clips else None


def files_text(found: Shopping) -> str:
    """The plan file by file."""
    lines = []
    for name, resource in found.resources.items():
        lines.append(f"{name}: {resource.title}")
        lines.append(f"  licence: {resource.licence}; for {', '.join(found.needs[name])}")
        if name in found.own:
            lines.append(f"  nothing to fetch: local copy at {found.own[name]}")
        elif found.rendered:
            lines.append("  nothing to fetch: the miniature is rendered here")
        for item in found.items:
            if item.resource == name:
                amount = size(item.bytes) if item.bytes else f"~{size(item.about)}"
                mark = "there" if item.there else "to get"
                lines.append(
                    f"  {mark}  {amount:>12}  {item.file}  ({item.checksum})  {item.where}"
                )
        lines.append("")
    for paper, total in found.papers.items():
        lines.append(f"{paper}: {total}")
    lines.append(f"in all: {found.total}; already there: {found.there}")
    return "\n".join(lines)


def plan_record(found: Shopping) -> dict[str, Any]:
    """The plan as a program reads it."""
    return {
        "resources": {
            name: {"title": r.title, "licence": r.licence, "papers": found.needs[name]}
            for name, r in found.resources.items()
        },
        "files": [asdict(item) for item in found.items],
        "own": found.own,
        "rendered": found.rendered,
        "papers": {paper: asdict(total) for paper, total in found.papers.items()},
        "total": asdict(found.total),
        "there": asdict(found.there),
    }


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
    for file in resource.files:
        if entry := lock.entry(f"{name}/{file.name}"):
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


def table(heading: list[str], rows: list[list[str]]) -> list[str]:
    """Columns under their headings."""
    widths = [max(len(line[k]) for line in [heading, *rows]) for k in range(len(heading))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in [heading, *rows]
    ]


def size(count: int | None) -> str:
    """Bytes in decimal units."""
    value = float(count or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _vouched(verified: Mapping[str, int]) -> str:
    return ", ".join(f"{by} ({count})" for by, count in sorted(verified.items())) or "-"


def _number(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"
