"""What is to get before papers can run: files, whence they come and how long that takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .. import settings
from ..settings import Layout, PaperSettings, Project, Run
from ..settings.data import Data
from ..sources import policies, registry
from ..sources.ledger import CLIPS, Ledger
from ..sources.policies import Policy
from ..sources.registry import Mirror, Registry, Resource, manifest
from ..sources.verify import Lock
from .text import size, table

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
            next(iter(file.asked(project.data.fetch.mirrors)), "by hand"),
            file.bytes or frozen.get("bytes"),
            file.about,
            checksum,
            (folder / file.name).exists() or manifest(raw, name, file.name).exists(),
        )
    if resource.clips:
        there, gone = Ledger(folder / CLIPS).settled()
        left = max(0, resource.count - there - gone)
        for count, had in ((there, True), (left, False)):
            if count:
                about = count * CLIP_BYTES
                label = f"{count:,} clips"
                yield Item(name, label, YOUTUBE, None, about, "no checksum", had, count)


def plan_text(found: Shopping, data: Data) -> str:
    """The plan on one screen: what is to get, whence and how long, and how it would be faster."""
    youtube = policies.youtube(data.fetch.cookies)
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
        lines.append(f"YouTube: {youtube.pace:.0f} videos an hour; other hosts: reckoned at {pace}")
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


def mirrors(resource: Resource, data: Data) -> list[Mirror]:
    """The copies by others that these settings let us ask, in order."""
    if data.fetch.mirrors == "none":
        return []
    clips = [resource.clips.mirror] if resource.clips and resource.clips.mirror else []
    return clips + [mirror for file in resource.files for mirror in file.mirrors]


def files_text(found: Shopping, data: Data) -> str:
    """The plan file by file, and who else has them."""
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
        if name not in found.own and not found.rendered:
            lines += [f"  copy  {mirror}" for mirror in mirrors(resource, data)]
        lines.append("")
    for paper, total in found.papers.items():
        lines.append(f"{paper}: {total}")
    lines.append(f"in all: {found.total}; already there: {found.there}")
    return "\n".join(lines)


def plan_record(found: Shopping, data: Data) -> dict[str, Any]:
    """The plan as a program reads it."""
    return {
        "resources": {
            name: {
                "title": r.title,
                "licence": r.licence,
                "papers": found.needs[name],
                "copies": [mirror.model_dump() for mirror in mirrors(r, data)],
            }
            for name, r in found.resources.items()
        },
        "files": [asdict(item) for item in found.items],
        "own": found.own,
        "rendered": found.rendered,
        "papers": {paper: asdict(total) for paper, total in found.papers.items()},
        "total": asdict(found.total),
        "there": asdict(found.there),
    }
