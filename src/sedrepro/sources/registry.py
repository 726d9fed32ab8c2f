"""What can be fetched, from where and how it is verified: config/datasets.yaml, typed.

Light on purpose (pydantic and yaml only): the DAG is planned from it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from .. import places
from ..errors import SedreproError
from ..settings import Block, Data, Layout, Project, Subset, read_yaml
from ..settings.declared import CORPORA
from ..settings.explain import neighbour
from . import policies

PATH = "config/datasets.yaml"
DRIVE_PAGE = "https://drive.google.com/uc?id="
"""Where a person opens a file on Google Drive; its id follows."""
SAME_BYTES = "the same bytes"
"""The layout of a copy that has the original's checksum."""
Key = Annotated[str, Field(pattern=r"^[a-z0-9_]+$")]


def _corpus(name: str) -> str:
    if name not in CORPORA:
        raise ValueError(
            f"no corpus {name!r}{neighbour(name, CORPORA)}; corpora are {', '.join(CORPORA)}"
        )
    return name


Corpus = Annotated[str, AfterValidator(_corpus)]


def _inside(path: str) -> str:
    if not path or path.startswith("/") or "\\" in path or ".." in path.split("/"):
        raise ValueError(f"must be a path below the raw tree, not {path!r}")
    return path


Inside = Annotated[str, AfterValidator(_inside)]


def _of_known_hosts(name: str, addresses: list[str]) -> None:
    for host in map(policies.host_of, addresses):
        if not policies.known(host):
            raise ValueError(f"{name}: {host} has no policy in src/sedrepro/sources/policies.py")


class Mirror(Block):
    """Somebody's copy of what the official host has, or had."""

    url: str = Field(
        pattern=r"^https?://", description="of a file; of clips: what stands before their names"
    )
    licence: str = Field(min_length=1, description="as its owner states it")
    trust: str = Field(min_length=1, description="who made it, and what speaks for it")
    layout: str = Field(
        min_length=1, description=f"how it differs from the original, or `{SAME_BYTES}`"
    )
    bytes: int | None = Field(None, gt=0, description="its size, where its bytes are others")
    sha256: str | None = Field(
        None, pattern=r"^[0-9a-f]{64}$", description="the same, where somebody states it"
    )
    missing: str | None = Field(
        None, pattern=r"^https?://", description="of clips: the table of those it lacks"
    )

    @property
    def same(self) -> bool:
        """Whether its bytes are the original's."""
        return self.layout == SAME_BYTES

    @property
    def name(self) -> str:
        """What the file is called there."""
        return self.url.rpartition("/")[2].partition("?")[0]

    def __str__(self) -> str:
        return f"{self.url} ({self.layout}; licence: {self.licence}; {self.trust})"


class File(Block):
    """One file of a resource: where it comes from, how it is recognised, where it goes."""

    name: Annotated[str, Field(pattern=r"^[^/\\]+$")] = Field(description="its name on our disk")
    urls: list[Annotated[str, Field(pattern=r"^https?://")]] = Field(
        default_factory=list, description="official addresses, tried in order"
    )
    drive: str | None = Field(None, description="Google Drive id, tried before the addresses")
    mirrors: list[Mirror] = Field(default_factory=list, description="copies by others, in order")
    bytes: int | None = Field(None, gt=0, description="size; empty: unknown")
    about: int | None = Field(None, gt=0, description="rough size for planning where it is unknown")
    md5: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    unpack: Inside | None = Field(
        None, description="an archive: the folder of the raw tree it is unpacked into"
    )
    anchor: list[str] = Field(
        default_factory=list,
        description="what the archive's top must hold; folders above it are left out",
    )
    place: Inside | None = Field(None, description="not an archive: its path in the raw tree")

    @property
    def verifiable(self) -> bool:
        return bool(self.md5 or self.sha256)

    @property
    def checksum(self) -> str:
        """The expected checksum in words."""
        if self.sha256:
            return f"sha256 {self.sha256}"
        return f"md5 {self.md5}" if self.md5 else "checksum unknown"

    @property
    def sources(self) -> list[str]:
        """Every address, as a person would open it."""
        drive = [f"{DRIVE_PAGE}{self.drive}"] if self.drive else []
        return drive + list(self.urls) + [mirror.url for mirror in self.mirrors]

    @property
    def addresses(self) -> list[str]:
        """Every official address, as a program is told it."""
        return ([f"drive:{self.drive}"] if self.drive else []) + list(self.urls)

    def asked(self, mirrors: str) -> list[str]:
        """Every address that `data.fetch.mirrors` lets us ask, as a person would open it."""
        return self.sources[: len(self.addresses)] if mirrors == "none" else self.sources

    def copied(self, mirror: Mirror) -> File:
        """This file as a copy of other bytes has it."""
        return self.model_copy(update={"bytes": mirror.bytes, "md5": None, "sha256": mirror.sha256})

    def other(self, url: str) -> Mirror | None:
        """The copy at an address, if its bytes are others than the original's."""
        return next((m for m in self.mirrors if m.url == url and not m.same), None)

    @model_validator(mode="after")
    def _goes_somewhere(self) -> File:
        if bool(self.unpack) == bool(self.place):
            raise ValueError(f"{self.name}: either `unpack` or `place`, not both and not neither")
        if not self.verifiable and any(mirror.same for mirror in self.mirrors):
            raise ValueError(f"{self.name}: a file with mirrors of its bytes needs a checksum")
        return self

    @model_validator(mode="after")
    def _is_planned_for(self) -> File:
        if not (self.bytes or self.about):
            raise ValueError(f"{self.name}: needs `bytes` or, where they are not known, `about`")
        _of_known_hosts(self.name, self.sources)
        return self


class Clips(Block):
    """Recordings that are only on YouTube, listed by a table of the raw tree."""

    table: Inside = Field(description="TSV with a `filename` column: <id>_<start>_<end>.wav")
    folder: Inside = Field(description="where the clips go in the raw tree")
    held_by: list[Key] = Field(
        default_factory=list, description="resources whose clips are linked, not asked for again"
    )
    asked: int | None = Field(
        None, gt=0, description="clips that are left to ask for, where it is not all of them"
    )
    mirror: Mirror | None = Field(None, description="somebody's copy of the clips")

    @model_validator(mode="after")
    def _is_planned_for(self) -> Clips:
        if self.mirror:
            _of_known_hosts("mirror", [self.mirror.url, self.mirror.missing or self.mirror.url])
        return self


class Resource(Block):
    """What is fetched by one job and has one status."""

    corpus: Corpus
    title: str
    licence: str = Field(min_length=1, description="as far as known")
    subsets: dict[Key, int] = Field(
        default_factory=dict, description="subsets it carries the audio of, and their clips"
    )
    files: list[File] = Field(default_factory=list)
    clips: Clips | None = None
    after: list[Key] = Field(default_factory=list, description="resources that must be there first")
    record: str | None = Field(
        None, pattern=r"^https?://", description="the host's own record of sizes and checksums"
    )
    when: dict[str, Any] = Field(
        default_factory=dict, description="only needed where data.<key> has this value"
    )
    optional: bool = Field(False, description="an alternative; nothing needs it by default")
    loss: str = Field("", description="what it means when this is missing")
    help: str = Field("", description="how to get what cannot be fetched")

    @property
    def kind(self) -> Literal["http", "drive", "youtube", "manual"]:
        if self.clips:
            return "youtube"
        if any(file.drive for file in self.files):
            return "drive"
        return "http" if all(f.urls or f.mirrors for f in self.files) else "manual"

    def wanted(self, data: Data) -> bool:
        """Whether these settings need it."""
        return not self.optional and all(_setting(data, key) == v for key, v in self.when.items())

    @model_validator(mode="before")
    @classmethod
    def _spell_out(cls, value: Any) -> Any:
        """`base`, `each` and `names` are shorthand of the file: every File is complete."""
        if not isinstance(value, dict):
            return value
        value = dict(value)
        base, each = value.pop("base", None), value.pop("each", {})
        if "files" in value:
            shared = [{**each, **file} for file in _numbered(value["files"])]
            for file in shared:
                if base and not file.get("urls"):
                    file["urls"] = [base + file["name"]]
            value["files"] = shared
        return value

    @model_validator(mode="after")
    def _names_differ(self) -> Resource:
        names = [file.name for file in self.files]
        if len(set(names)) != len(names):
            raise ValueError("two files have the same name")
        if not names and self.clips is None:
            raise ValueError("needs `files` or `clips`")
        if self.clips and not self.count:
            raise ValueError("clips need `subsets` with their number, or `asked`")
        return self

    @property
    def count(self) -> int:
        """Clips to ask for."""
        asked = self.clips.asked if self.clips else None
        return asked or sum(self.subsets.values())


def _numbered(files: list[Any]) -> list[Any]:
    """A file with `names` stands for one per name, which takes the place of {} in its texts."""
    found = []
    for file in files:
        if not isinstance(file, dict) or "names" not in file:
            found.append(file)
            continue
        texts = {key: value for key, value in file.items() if key != "names"}
        found += [
            {key: _filled(text, str(name)) for key, text in texts.items()} for name in file["names"]
        ]
    return found


def _filled(value: Any, name: str) -> Any:
    if isinstance(value, list):
        return [_filled(item, name) for item in value]
    return value.replace("{}", name) if isinstance(value, str) else value


class Registry(Block):
    """Every resource of every corpus."""

    resources: dict[Key, Resource]

    @model_validator(mode="after")
    def _references_exist(self) -> Registry:
        defaults = Data()
        for name, resource in self.resources.items():
            for other in resource.after:
                if other not in self.resources:
                    raise ValueError(f"{name} comes after {other!r}, which is no resource")
            clips = resource.clips
            for other in clips.held_by if clips else []:
                if other not in self.resources or self.resources[other].clips is None:
                    raise ValueError(f"{name} names {other!r}, which is no resource with clips")
            for key in resource.when:
                _setting(defaults, key)
        return self

    def __getitem__(self, resource: str) -> Resource:
        if resource not in self.resources:
            raise SedreproError(
                f"{resource!r} is no resource; resources are {', '.join(self.resources)}"
            )
        return self.resources[resource]

    def behind(self, subset: Subset, data: Data) -> list[str]:
        """The resources that a subset's tables are made from, under these settings."""
        if CORPORA[subset.corpus].mixed:
            parts = ("fsdkaggle2018", data.snr_mix.scenes)
            return [name for corpus in parts for name in self.of_corpus(corpus, data)]
        carrying = [
            name
            for name in self.carrying(subset.corpus, subset.name)
            if self.resources[name].wanted(data)
        ]
        before = [other for name in carrying for other in self.resources[name].after]
        return list(dict.fromkeys([*before, *carrying]))

    def of_corpus(self, corpus: str, data: Data | None = None) -> list[str]:
        """The resources a corpus consists of under these settings."""
        data = data or Data()
        return [n for n, r in self.resources.items() if r.corpus == corpus and r.wanted(data)]

    def carrying(self, corpus: str, subset: str) -> list[str]:
        """The resources that carry the audio of a subset."""
        return [n for n, r in self.resources.items() if r.corpus == corpus and subset in r.subsets]


def load(root: str | Path | None = None) -> Registry:
    """The registry of a checkout, by default of that of the working folder; validated."""
    path = Path(root or places.checkout()) / PATH
    try:
        return Registry.model_validate(read_yaml(path, shipped=True))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        message = first["msg"].removeprefix("Value error, ")
        raise SedreproError(f"{PATH}: {where}: {message}") from None


def local(data: Data, corpus: str) -> str | None:
    """The user's own tree of a corpus, if one is set."""
    return getattr(data, corpus).local


def own_tree(data: Data, corpus: str) -> Path | None:
    """Where the user's own tree of a corpus lies."""
    own = local(data, corpus)
    return None if own is None else Path(own).expanduser().absolute()


def own_trees(data: Data, corpus: str) -> list[str]:
    """The user's own trees that a corpus's tables are made from."""
    parts = ("fsdkaggle2018", data.snr_mix.scenes) if corpus == "snr_mix" else (corpus,)
    return [str(tree) for part in parts if (tree := own_tree(data, part))]


def raw(project: Project, corpus: str) -> Path:
    """The raw tree of a corpus, or the user's own."""
    folder = own_tree(project.data, corpus)
    if folder is None:
        return Path(Layout.of(project).raw(corpus))
    if not folder.is_dir():
        raise SedreproError(f"data.{corpus}.local: {folder}: no such folder")
    return folder


def downloads(data_folder: str, resource: str) -> str:
    """Where a resource's downloads lie, and where files placed by hand are looked for."""
    return f"{data_folder}/downloads/{resource}"


def receipt_path(data_folder: str, resource: str, file: str) -> str:
    """The note beside a downloaded file that says what it measured and where it came from."""
    return f"{downloads(data_folder, resource)}/.{file}.json"


def manifest(raw: str | Path, resource: str, file: str) -> Path:
    """The note in a raw tree that says what a fetched file brought."""
    return Path(raw) / ".fetched" / f"{resource}.{file}.json"


def placed(name: str, resource: Resource, data_folder: str) -> list[str]:
    """Files of a resource that someone put there by hand: inputs whose change triggers a fetch."""
    found = []
    for file in resource.files:
        path = Path(downloads(data_folder, name)) / file.name
        if path.exists() and not _downloaded(Path(receipt_path(data_folder, name, file.name))):
            found.append(str(path))
    return found


def _downloaded(receipt: Path) -> bool:
    try:
        return json.loads(receipt.read_text(encoding="utf-8"))["origin"] != "by hand"
    except (OSError, ValueError, KeyError):
        return False


def _setting(data: Data, key: str) -> Any:
    value: Any = data
    for part in key.split("."):
        if not hasattr(value, part):
            raise ValueError(f"`when` names data.{key}, which is no setting")
        value = getattr(value, part)
    return value
