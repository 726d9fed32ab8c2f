"""One resource, from wherever it is to its place in the raw tree, with a status."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from .. import locks
from ..errors import SedreproError
from ..files import read_json, write_json
from ..progress import current
from ..settings import Project
from . import http, registry, soundbank, verify, youtube
from .errand import Errand, Outcome
from .gate import GoneError, TransientError, UnreachableError, WrongError, moment, tell
from .policies import HOUR
from .registry import File, Mirror
from .session import LONGEST_WAIT
from .unpack import ArchiveError, place, unpack


def obtain(
    resource_id: str, project: Project, known: registry.Registry | None = None
) -> dict[str, Any]:
    """Leave the resource's raw files in place and return its status.

    What is gone for good is a status. What is still to come is waited for; where that is in vain,
    it is a `SedreproError` (or, with `data.allow_partial`, a status that says so).
    """
    known = known or registry.load()
    resource = known[resource_id]
    own = registry.local(project.data, resource.corpus)
    if own:
        if not Path(own).expanduser().is_dir():
            raise SedreproError(f"data.{resource.corpus}.local: {own}: no such folder")
        return status_of(resource_id, "ok", f"local copy at {own}", 0, 0)
    fetching = Fetching(resource_id, known, project)
    with locks.exclusive(fetching.downloads / ".lock"):
        return fetching.run()


def status_of(name: str, status: str, reason: str, files: int, size: int) -> dict[str, Any]:
    return {"resource": name, "status": status, "reason": reason, "files": files, "bytes": size}


class DamagedError(ArchiveError):
    """An archive that may have been cut off on its way, for nobody told its size."""


class Fetching(Errand):
    """The fetch of one resource."""

    def run(self) -> dict[str, Any]:
        known = sum(file.bytes or file.about or 0 for file in self.resource.files)
        current().expect(known, "bytes")
        outcomes = self._files()
        self._stop_if_arriving(outcomes)
        if self.resource.clips:
            outcomes.append(self._clips())
            self._stop_if_arriving(outcomes)
        if self.resource.corpus == "desed_soundbank" and (short := soundbank.arrange(self.raw)):
            outcomes.append(Outcome("backgrounds", "partial", short))
        absent = [outcome for outcome in outcomes if outcome.state != "ok"]
        had = any(outcome.state != "absent" for outcome in outcomes)
        if self.resource.clips and outcomes[-1].state == "absent":
            had = False
        status = "ok" if not absent else "partial" if had else "unavailable"
        if any(outcome.state == "arriving" for outcome in outcomes):
            status = "arriving"
        reason = "; ".join(outcome.reason for outcome in outcomes if outcome.reason)
        if status != "ok" and self.resource.help:
            reason += f"; {self.resource.help}"
        return status_of(
            self.name,
            status,
            reason,
            sum(outcome.files for outcome in outcomes),
            sum(outcome.bytes for outcome in outcomes),
        )

    def _files(self) -> list[Outcome]:
        pool = ThreadPoolExecutor(self.settings.connections)
        wait = True
        try:
            return list(pool.map(self.file, self.resource.files))
        except KeyboardInterrupt:
            wait = False  # a download may take hours to its end
            raise
        finally:
            pool.shutdown(wait, cancel_futures=True)

    def file(self, file: File) -> Outcome:
        """Bring one file to its place in the raw tree, unless it is there already."""
        path = self.downloads / file.name
        manifest = registry.manifest(self.raw, self.name, file.name)
        if self._settled(file, path) and (brought := self._intact(manifest)):
            return brought
        try:
            measured, origin, checked, files = self._wait_for(file, path)
        except (GoneError, TransientError) as trouble:
            if self._may_come(trouble):
                return Outcome(file.name, "arriving", str(trouble))
            return Outcome(file.name, "absent", f"{file.name}: {trouble}; {self._by_hand(file)}")
        except ArchiveError as trouble:
            return Outcome(file.name, "absent", str(trouble))
        copy = file.other(origin)
        reason = f"{file.name} is a copy, {copy}" if copy else ""
        said = {"name": file.name, "md5": measured["md5"], "files": files, "reason": reason}
        write_json(manifest, said)
        self.lock.freeze(self._key(copy or file), measured, origin, checked)
        return Outcome(file.name, "ok", reason, len(files), sum(files.values()))

    def _key(self, file: File | Mirror) -> str:
        """Under which name the lock file has what it measured."""
        return f"{self.name}/{file.name}"

    def _may_come(self, trouble: GoneError | TransientError) -> bool:
        """Whether it is a matter of time."""
        closed = isinstance(trouble, UnreachableError) and self.settings.unreachable == "absent"
        return isinstance(trouble, TransientError) and not closed

    def _wait_for(self, file: File, path: Path) -> tuple[dict[str, Any], str, str, dict[str, int]]:
        """A file brought to its place, asked for again and again while its hosts refuse or fail.

        What is wrong or damaged is looked at again an hour later: the host may have had a bad time.
        """
        clock, part = self.session.clock, path.with_name(f"{path.name}.part")
        patience = 0.0 if self.project.data.allow_partial else self.settings.hold_out * HOUR
        progress, looks = clock.steady(), 1 if patience < HOUR else 2
        while True:
            before = http.arrived(part)
            try:
                measured, origin, checked = self._download(file, path)
                return measured, origin, checked, self._deliver(file, path, origin, checked)
            except (WrongError, DamagedError) as trouble:
                looks -= 1
                if not looks:
                    raise
                tell(f"{self.name}: {file.name}: {trouble}; asked once more in an hour")
                clock.sleep(HOUR)
            except TransientError as trouble:
                now = clock.steady()
                if http.arrived(part) > before:
                    progress = now
                pause = LONGEST_WAIT if trouble.after is None else trouble.after
                if not self._may_come(trouble) or now + pause - progress > patience:
                    raise
                again = moment(clock.now() + pause)
                tell(f"{self.name}: {file.name}: {trouble}; asked again at {again}")
                clock.sleep(pause)

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
        if copy := file.other(receipt["origin"]):
            file = file.copied(copy)
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
        reason = brought.get("reason", "")
        return Outcome(brought["name"], "ok", reason, len(sizes), sum(sizes.values()))

    def _download(self, file: File, path: Path) -> tuple[dict[str, Any], str, str]:
        """A verified file under its final name; what it measures, whence it came, who vouches."""
        locked = self.lock.entry(self._key(file))
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
                self._sign(file, path, measured, verify.BY_HAND, wanted.by)
                return measured, verify.BY_HAND, wanted.by
            aside = (
                f" (the file found there was set aside as {verify.set_aside(path).name}: {wrong})"
            )
        part = path.with_name(f"{path.name}.part")
        try:
            origin, by, seen = self._from_anywhere(file, part, wanted)
        except GoneError as trouble:
            raise type(trouble)(f"{trouble}{aside}") from None
        except TransientError as trouble:
            raise type(trouble)(f"{trouble}{aside}", trouble.after) from None
        with open(part, "rb") as handle:
            os.fsync(handle.fileno())
        self._sign(file, part, seen, origin, by)
        os.replace(part, path)
        http.discard(part)
        return seen, origin, by

    def _from_anywhere(
        self, file: File, part: Path, wanted: verify.Expected
    ) -> tuple[str, str, dict[str, Any]]:
        """Complete `part`; whence it came, who vouches for it, and what it measures."""
        if file.drive:
            there = sum(path.stat().st_size for path in part.parent.glob(f"{file.name}.drive*"))
            # Drive says no size before it sends: what is known or told of the file must do.
            http.check_space(part.parent, max(0, (wanted.bytes or file.about or 0) - there))
        troubles: list[Exception] = []
        seen: dict[str, Any] = {}
        for urls, expected in self._ways(file, wanted):

            def check(whole: Path, expected: verify.Expected = expected) -> str | None:
                seen.update(verify.measure(whole))
                return verify.fault(whole, expected, seen)

            given: dict[str, Any] = {"size": expected.bytes, "pinned": expected.pinned}
            try:
                origin = http.download(urls, part, self.session, verify=check, **given)
                return origin, expected.by, seen
            except GoneError as trouble:
                troubles.append(trouble)
            except TransientError as trouble:
                troubles.append(trouble)
                if self.settings.mirrors != "all":
                    break
        raise http.combined(troubles)

    def _ways(
        self, file: File, wanted: verify.Expected
    ) -> Iterator[tuple[list[str], verify.Expected]]:
        """Addresses in order, with what the file measures there: its own bytes before others."""
        asked = self.settings.mirrors
        copies = [] if asked == "none" else file.mirrors
        same = [copy.url for copy in copies if copy.same]
        ways = [file.addresses + same] if asked == "all" else [file.addresses, same]
        yield from ((urls, wanted) for urls in ways if urls)
        for copy in copies:
            if not copy.same:
                locked = self.lock.entry(self._key(copy))
                yield [copy.url], verify.expected(file.copied(copy), locked, {})

    def _sign(self, file: File, path: Path, measured: dict, origin: str, checked: str) -> None:
        note = {
            **measured,
            "mtime_ns": path.stat().st_mtime_ns,
            "origin": origin,
            "checked": checked,
        }
        write_json(registry.receipt_path(self.data, self.name, file.name), note)

    def _deliver(self, file: File, path: Path, origin: str, checked: str) -> dict[str, int]:
        """Unpack or place a verified file; its files below the raw tree and their sizes."""
        if file.unpack:
            into = self.raw if file.unpack == "." else self.raw / file.unpack
            try:
                files = unpack(path, into, file.anchor)
            except ArchiveError as trouble:
                said = f"{trouble}; it was set aside as {verify.set_aside(path).name}"
                # What somebody vouches for, or placed by hand, is no better when asked for again.
                again = checked == verify.NOBODY and origin != verify.BY_HAND
                raise (DamagedError if again else ArchiveError)(said) from None
            return {str((into / name).relative_to(self.raw)): size for name, size in files.items()}
        target = self.raw / (file.place or file.name)
        place(path, target)
        return {str(target.relative_to(self.raw)): target.stat().st_size}

    def _clips(self) -> Outcome:
        return youtube.collect(self)

    def _by_hand(self, file: File) -> str:
        sources = [url for url in file.sources if not file.other(url)]
        source = f"get {' or '.join(sources)} and " if sources else ""
        return f"{source}put it by hand at {self.downloads / file.name} ({self._checksum(file)})"

    def _checksum(self, file: File) -> str:
        locked = self.lock.entry(self._key(file))
        return str(verify.expected(file, locked, {}))

    def _stop_if_arriving(self, outcomes: list[Outcome]) -> None:
        """What is still to come ends the job: a line per file, with what a person needs."""
        failed = [outcome for outcome in outcomes if outcome.state == "arriving"]
        if not failed or self.project.data.allow_partial:
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
