"""One resource, from wherever it is to its place in the raw tree, with a status."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from ..errors import SedreproError
from ..files import atomic, read_json, write_json
from ..settings import Layout, Project
from . import drive, http, locks, registry, soundbank, verify
from .http import GoneError, RefusedError, Session, TransientError, UnreachableError
from .registry import File, Resource
from .unpack import ArchiveError, place, unpack


@dataclass
class Outcome:
    """How one file (or a set of clips) went."""

    name: str
    state: Literal["ok", "partial", "absent", "failed"]
    reason: str = ""
    files: int = 0
    bytes: int = 0


def obtain(
    resource_id: str, project: Project, known: registry.Registry | None = None
) -> dict[str, Any]:
    """Leave the resource's raw files in place and return its status.

    What can't be had at all is a status; what may work later is a `SedreproError`.
    """
    resource = (known or registry.load())[resource_id]
    own = registry.local(project.data, resource.corpus)
    if own:
        if not Path(own).expanduser().is_dir():
            raise SedreproError(f"data.{resource.corpus}.local: {own}: no such folder")
        return _status(resource_id, "ok", f"local copy at {own}", 0, 0)
    if project.data.origin == "render":
        from .look import render

        made = render(resource_id, project)
        return _status(resource_id, "ok", "rendered", made["files"], made["bytes"])
    fetching = Fetching(resource_id, resource, project)
    with locks.exclusive(fetching.downloads / ".lock"):
        return fetching.run()


def _status(name: str, status: str, reason: str, files: int, size: int) -> dict[str, Any]:
    return {"resource": name, "status": status, "reason": reason, "files": files, "bytes": size}


class Fetching:
    """The fetch of one resource."""

    def __init__(self, name: str, resource: Resource, project: Project) -> None:
        data = project.data_folder
        self.name, self.resource, self.data = name, resource, data
        self.settings = project.data.fetch
        self.raw = Path(Layout.of(project).raw(resource.corpus))
        self.downloads = Path(registry.downloads(data, name))
        self.lock = verify.Lock(data)
        self.session = Session(self.settings, Path(data) / "downloads" / ".hosts")

    @cached_property
    def record(self) -> dict[str, Any]:
        """The host's own word on sizes and checksums; asked at most once."""
        return http.read_record(self.resource.record, self.session) if self.resource.record else {}

    def run(self) -> dict[str, Any]:
        with ThreadPoolExecutor(self.settings.connections) as pool:
            outcomes = list(pool.map(self.file, self.resource.files))
        self._stop_if_failed(outcomes)
        if self.resource.clips:
            outcomes.append(self._clips())
            self._stop_if_failed(outcomes)
        if self.resource.corpus == "desed_soundbank":
            soundbank.arrange(self.raw)
        absent = [outcome for outcome in outcomes if outcome.state != "ok"]
        had = any(outcome.state != "absent" for outcome in outcomes)
        if self.resource.clips and outcomes[-1].state == "absent":
            had = False
        status = "ok" if not absent else "partial" if had else "unavailable"
        reason = "; ".join(outcome.reason for outcome in absent)
        if status == "ok":
            (self.downloads / ".refusals").unlink(missing_ok=True)
        elif self.resource.help:
            reason += f"; {self.resource.help}"
        return _status(
            self.name, status, reason,
            sum(outcome.files for outcome in outcomes), sum(outcome.bytes for outcome in outcomes),
        )  # fmt: skip

    def file(self, file: File) -> Outcome:
        """Bring one file to its place in the raw tree, unless it is there already."""
        path = self.downloads / file.name
        manifest = registry.manifest(self.raw, self.name, file.name)
        if self._settled(file, path) and (brought := self._intact(manifest)):
            return brought
        try:
            measured, origin, checked = self._download(file, path)
            files = self._deliver(file, path)
        except RefusedError as trouble:
            if self.impatient:
                return Outcome(
                    file.name, "absent", f"{file.name}: {trouble}; {self._by_hand(file)}"
                )
            return Outcome(file.name, "failed", str(trouble))
        except (GoneError, TransientError) as trouble:
            closed = isinstance(trouble, UnreachableError) and self.settings.unreachable == "absent"
            if isinstance(trouble, TransientError) and not closed:
                return Outcome(file.name, "failed", str(trouble))
            return Outcome(file.name, "absent", f"{file.name}: {trouble}; {self._by_hand(file)}")
        except ArchiveError as trouble:
            aside = verify.set_aside(path)
            return Outcome(file.name, "absent", f"{trouble}; it was set aside as {aside.name}")
        write_json(manifest, {"name": file.name, "md5": measured["md5"], "files": files})
        self.lock.freeze(f"{self.name}/{file.name}", measured, origin, checked)
        return Outcome(file.name, "ok", "", len(files), sum(files.values()))

    @cached_property
    def impatient(self) -> bool:
        """Whether a host has now refused so often that what it withholds counts as absent."""
        path = self.downloads / ".refusals"
        count = int(path.read_text()) + 1 if path.exists() else 1
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic(path) as temporary:
            temporary.write_text(str(count))
        return count >= self.settings.patience

    def _settled(self, file: File, path: Path) -> bool:
        """Whether the download is the one that was verified, or was removed to save space."""
        return not path.exists() or self._receipt(file, path) is not None

    def _receipt(self, file: File, path: Path) -> dict[str, Any] | None:
        """What was measured of this very file (same size and time), if it was."""
        try:
            receipt = read_json(registry.receipt_path(self.data, self.name, file.name))
            now = path.stat()
        except (OSError, ValueError):
            return None
        same = (receipt["bytes"], receipt["mtime_ns"]) == (now.st_size, now.st_mtime_ns)
        pinned = (file.md5 in (None, receipt["md5"])) and file.sha256 in (None, receipt["sha256"])
        return receipt if same and pinned else None

    def _intact(self, manifest: Path) -> Outcome | None:
        """What an earlier fetch brought, if all of it is still there."""
        try:
            brought = read_json(manifest)
            sizes = {name: (self.raw / name).stat().st_size for name in brought["files"]}
        except (OSError, ValueError, KeyError):
            return None
        if sizes != brought["files"]:
            return None
        return Outcome(brought["name"], "ok", "", len(sizes), sum(sizes.values()))

    def _download(self, file: File, path: Path) -> tuple[dict[str, Any], str, str]:
        """A verified file under its final name; what it measures, whence it came, who vouches."""
        locked = self.lock.entry(f"{self.name}/{file.name}")
        receipt = self._receipt(file, path)
        if receipt:
            return receipt, receipt["origin"], receipt["checked"]
        record = {} if file.verifiable or locked else self.record.get(file.name, {})
        wanted = verify.expected(file, locked, record)
        aside = ""
        if path.exists():
            measured = verify.measure(path)
            wrong = verify.fault(path, wanted, measured)
            if wrong is None:
                self._sign(file, path, measured, "by hand", wanted.by)
                return measured, "by hand", wanted.by
            aside = (
                f" (the file found there was set aside as {verify.set_aside(path).name}: {wrong})"
            )
        part = path.with_name(f"{path.name}.part")
        seen: dict[str, Any] = {}

        def check(whole: Path) -> str | None:
            seen.update(verify.measure(whole))
            return verify.fault(whole, wanted, seen)

        try:
            origin = self._from_anywhere(file, part, wanted, check)
        except (GoneError, TransientError) as trouble:
            raise type(trouble)(f"{trouble}{aside}") from None
        with open(part, "rb") as handle:
            os.fsync(handle.fileno())
        self._sign(file, part, seen, origin, wanted.by)
        os.replace(part, path)
        http.discard(part)
        return seen, origin, wanted.by

    def _from_anywhere(self, file: File, part: Path, wanted: verify.Expected, check: Any) -> str:
        trouble: GoneError | TransientError | None = None
        if file.drive:
            there = sum(path.stat().st_size for path in part.parent.glob(f"{file.name}.drive*"))
            # Drive says no size before it sends: what is known or told of the file must do.
            http.check_space(part.parent, max(0, (wanted.bytes or file.about or 0) - there))
            try:
                whole = drive.download(file.drive, part.with_suffix(".drive"), self.session)
                if (wrong := check(whole)) is None:
                    os.replace(whole, part)
                    return f"drive:{file.drive}"
                whole.unlink()
                trouble = GoneError(f"Google Drive: {wrong}")
            except (GoneError, TransientError) as error:
                trouble = error
            if not file.urls:
                raise trouble
        try:
            return http.download(
                file.urls, part, self.session, size=wanted.bytes, pinned=wanted.pinned, verify=check
            )
        except (GoneError, TransientError) as error:
            worse = trouble if isinstance(trouble, TransientError) else error
            raise type(worse)(f"{trouble}; {error}" if trouble else str(error)) from None

    def _sign(self, file: File, path: Path, measured: dict, origin: str, checked: str) -> None:
        note = {
            **measured,
            "mtime_ns": path.stat().st_mtime_ns,
            "origin": origin,
            "checked": checked,
        }
        write_json(registry.receipt_path(self.data, self.name, file.name), note)

    def _deliver(self, file: File, path: Path) -> dict[str, int]:
        """Unpack or place a verified file; its files below the raw tree and their sizes."""
        if file.unpack:
            into = self.raw if file.unpack == "." else self.raw / file.unpack
            files = unpack(path, into, file.anchor)
            return {str((into / name).relative_to(self.raw)): size for name, size in files.items()}
        target = self.raw / (file.place or file.name)
        place(path, target)
        return {str(target.relative_to(self.raw)): target.stat().st_size}

    def _clips(self) -> Outcome:
        from . import youtube

        return youtube.collect(self)

    def _by_hand(self, file: File) -> str:
        source = f"get {' or '.join(file.sources)} and " if file.sources else ""
        return f"{source}put it by hand at {self.downloads / file.name} ({self._checksum(file)})"

    def _checksum(self, file: File) -> str:
        locked = self.lock.entry(f"{self.name}/{file.name}")
        return str(verify.expected(file, locked, {}))

    def _stop_if_failed(self, outcomes: list[Outcome]) -> None:
        """Transient failures fail the job: a line per file, with what a person needs."""
        failed = [outcome for outcome in outcomes if outcome.state == "failed"]
        if not failed:
            return
        files = {file.name: file for file in self.resource.files}
        lines = [
            f"{self.name}: {len(failed)} of {len(outcomes)} could not be fetched; try again, or:"
        ]
        for outcome in failed:
            if outcome.name in files:
                file = files[outcome.name]
                lines.append(f"{file.name}: {outcome.reason}; {self._by_hand(file)}")
            else:
                lines.append(outcome.reason)
        raise SedreproError("\n".join(lines))
