"""One file from a list of mirrors: resumed from its part, retried with patience, never half.

Nothing here gives a file its final name: the part is complete when `download` returns, and the
caller verifies and renames it.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import random
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import SedreproError
from ..files import full_disk, read_json, write_json
from ..settings.data import Fetch
from . import locks

CHUNK = 1 << 18
LONGEST_WAIT = 300.0
SPARE = 64 << 20  # bytes of disk left free for everything else
_AGAIN = {408, 425, 429}


class GoneError(Exception):
    """This address will not give the file, however often it is asked."""


class TransientError(Exception):
    """It may work later; `after` is how long the server asked to wait (seconds)."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


class UnreachableError(TransientError):
    """No connection came about: no network, or the host is down."""


class RefusedError(TransientError):
    """The host limits how much it gives away; waiting minutes does not help."""


@dataclass
class Session:
    """What the downloads of one job share."""

    settings: Fetch
    slots: Path
    sleep: Callable[[float], None] = time.sleep
    dead: set[str] = field(default_factory=set)

    def retry(self, host: str, attempt: Callable[[], None], size: Callable[[], int]) -> None:
        """Call `attempt` until it works; those that brought something (`size`) don't count."""
        if host in self.dead:
            raise UnreachableError("cannot be reached")
        failures = 0
        while True:
            before = size()
            try:
                with locks.slot(self.slots, host, self.settings.connections):
                    return attempt()
            except TransientError as trouble:
                failures = 1 if size() > before else failures + 1
                offline = isinstance(trouble, UnreachableError)
                # A host that can't be reached at all is given up sooner: the network is down.
                if failures >= (
                    min(3, self.settings.attempts) if offline else self.settings.attempts
                ):
                    if offline:
                        self.dead.add(host)
                    raise
                self.sleep(self._pause(failures, trouble.after))

    def _pause(self, failures: int, asked: float | None) -> float:
        longest = min(LONGEST_WAIT, self.settings.wait * 2 ** (failures - 1))
        return max(random.uniform(longest / 2, longest), min(asked or 0.0, LONGEST_WAIT))


def download(
    urls: list[str],
    part: Path,
    session: Session,
    *,
    size: int | None,
    pinned: bool,
    verify: Callable[[Path], str | None],
) -> str:
    """Complete `part` from the first mirror that gives what `verify` accepts; return its address.

    `size` is the expected number of bytes; `pinned` says that a checksum is known, so a part begun
    at one mirror may be finished at another. `verify` names what is wrong with a complete part.
    """
    troubles: list[Exception] = []
    for url in urls:
        try:
            _from(url, part, session, size, pinned, verify)
            return url
        except (GoneError, TransientError) as trouble:
            troubles.append(type(trouble)(f"{_host(url)}: {trouble}"))
    later = [trouble for trouble in troubles if isinstance(trouble, TransientError)]
    message = "; ".join(str(trouble) for trouble in troubles) or "no address is known"
    if not later:
        raise GoneError(message)
    raise (
        UnreachableError if all(isinstance(t, UnreachableError) for t in later) else TransientError
    )(message)


def _from(
    url: str,
    part: Path,
    session: Session,
    size: int | None,
    pinned: bool,
    verify: Callable[[Path], str | None],
) -> None:
    for fresh in (False, True):
        resumed = _size(part) > 0
        session.retry(
            _host(url),
            lambda: once(url, part, timeout=session.settings.timeout, size=size, pinned=pinned),
            lambda: _size(part),
        )
        wrong = verify(part)
        if wrong is None:
            return
        discard(part)
        # A part finished over several attempts may be patched from two versions: once from scratch.
        if fresh or not resumed:
            raise GoneError(wrong)


def once(url: str, part: Path, *, timeout: float, size: int | None, pinned: bool) -> None:
    """One attempt; whatever arrives is appended to `part`."""
    note = _note(part)
    start = _size(part)
    known = _read_note(note)
    validator = known.get("validator") if known.get("url") == url else None
    if start and not (pinned or validator):
        start = 0
    if size is not None and start >= size:
        if start == size:
            return
        start = 0
    request = urllib.request.Request(
        url, headers={"User-Agent": "sedrepro", "Accept-Encoding": "identity"}
    )
    if start:
        request.add_header("Range", f"bytes={start}-")
        if validator:
            request.add_header("If-Range", validator)
    with _answer(request, timeout, part) as answer:
        start = _offset(answer, start)
        total = _total(answer, start)
        if size is not None and total is not None and total != size:
            raise GoneError(f"serves {total} bytes instead of {size}")
        check_space(part.parent, (total or size or start) - start)
        if start == 0:
            part.parent.mkdir(parents=True, exist_ok=True)
            write_json(note, {"url": url, "validator": _validator(answer)})
        _receive(answer, part, start, total)


def check_space(folder: Path, wanted: int) -> None:
    """Stop before a disk is filled."""
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if wanted + SPARE > free:
        raise SedreproError(
            f"{folder}: {wanted / 1e9:.1f} GB are needed and {free / 1e9:.1f} GB are free; "
            "make room or set data.folder to a larger disk"
        )


def discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def read_record(url: str, session: Session) -> dict[str, dict[str, int | str]]:
    """A Zenodo record: file name → bytes and md5; empty where the host does not answer."""
    answers: list[bytes] = []

    def ask() -> None:
        request = urllib.request.Request(url, headers={"User-Agent": "sedrepro"})
        with _answer(request, session.settings.timeout, Path()) as answer:
            try:
                answers.append(answer.read())
            except (OSError, http.client.HTTPException) as error:
                raise TransientError(str(error)) from None

    try:
        session.retry(_host(url), ask, lambda: 0)
        files = json.loads(answers[-1])["files"]
        return {
            str(file["key"]): {
                "bytes": int(file["size"]),
                "md5": str(file["checksum"]).removeprefix("md5:"),
            }
            for file in files
            if str(file["checksum"]).startswith("md5:")
        }
    except (GoneError, TransientError, ValueError, KeyError, TypeError):
        return {}


@contextlib.contextmanager
def _answer(request: urllib.request.Request, timeout: float, part: Path) -> Iterator:
    """The server's answer, with its refusals sorted into those worth asking again and the rest."""
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                discard(part)
                raise TransientError("the part does not fit the file; starting anew") from None
            if error.code in _AGAIN or error.code >= 500:
                raise TransientError(f"HTTP {error.code}", _retry_after(error.headers)) from None
            raise GoneError(f"HTTP {error.code} {error.reason}") from None
    except TimeoutError:
        raise TransientError(f"no answer within {timeout:g} s") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise TransientError(f"no answer within {timeout:g} s") from None
        raise UnreachableError(str(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise TransientError(f"{type(error).__name__}: {error}") from None
    with answer:
        yield answer


def _receive(answer: http.client.HTTPResponse, part: Path, start: int, total: int | None) -> None:
    done = start
    bar = _bar(part.name.removesuffix(".part"), total, start)
    with full_disk(part.parent), open(part, "r+b" if start else "wb", buffering=0) as out, bar:
        out.seek(start)
        out.truncate()
        while True:
            try:
                data = answer.read1(CHUNK)
            except TimeoutError:
                raise TransientError(f"the server stalled after {done} bytes") from None
            except (OSError, http.client.HTTPException) as error:
                raise TransientError(f"the connection broke after {done} bytes ({error})") from None
            if not data:
                break
            view = memoryview(data)
            while view:
                view = view[out.write(view) :]
            done += len(data)
            bar.update(len(data))
    if total is not None and done != total:
        raise TransientError(f"the connection ended after {done} of {total} bytes")


def _bar(name: str, total: int | None, start: int):
    from tqdm import tqdm

    return tqdm(
        desc=name, total=total, initial=start, unit="B", unit_scale=True, leave=False,
        file=sys.__stderr__, disable=not (sys.__stderr__ and sys.__stderr__.isatty()),
    )  # fmt: skip


def _offset(answer: http.client.HTTPResponse, asked: int) -> int:
    """Where the answer's bytes belong: a server without ranges sends everything from the start."""
    if answer.status != 206:
        return 0
    unit, _, given = (answer.headers.get("Content-Range") or "").partition(" ")
    first = given.partition("-")[0]
    if unit != "bytes" or not first.isdigit() or int(first) != asked:
        raise GoneError(f"answers a range with {answer.headers.get('Content-Range')!r}")
    return asked


def _total(answer: http.client.HTTPResponse, start: int) -> int | None:
    if answer.status == 206:
        total = answer.headers["Content-Range"].rpartition("/")[2]
        return int(total) if total.isdigit() else None
    length = answer.headers.get("Content-Length")
    return int(length) if length and length.isdigit() else None


def _validator(answer: http.client.HTTPResponse) -> str | None:
    tag = answer.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return tag
    return answer.headers.get("Last-Modified")


def _retry_after(headers) -> float | None:
    value = headers.get("Retry-After")
    if not value:
        return None
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None


def _host(url: str) -> str:
    return urlsplit(url).netloc.rpartition("@")[2]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _note(part: Path) -> Path:
    return part.with_name(f".{part.name}.json")


def _read_note(note: Path) -> dict:
    try:
        return read_json(note)
    except (OSError, ValueError):
        return {}
