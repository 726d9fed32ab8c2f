"""One file from a list of mirrors: resumed from its part, retried with patience, never half.

Nothing here gives a file its final name: the part is complete when `download` returns, and the
caller verifies and renames it.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import os
import shutil
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import SedreproError
from ..files import full_disk, read_json, write_json
from ..progress import current
from . import drive, policies
from .gate import GoneError, RefusedError, TransientError, UnreachableError, WrongError
from .session import DRIVE, LONGEST_WAIT, Session, host_of
from .verify import PAGE, is_page

if TYPE_CHECKING:
    from tqdm import tqdm

CHUNK = 1 << 18
SPARE = 64 << 20  # bytes of disk left free for everything else


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
        host = host_of(url)
        wall = session.gate(host).wall(url)
        if left := wall.left():
            troubles.append(RefusedError(f"{host}: it refused before and is left alone", left))
            continue
        try:
            _from(url, part, session, size, pinned, verify)
            return url
        except (GoneError, TransientError) as trouble:
            after = {"after": trouble.after} if isinstance(trouble, TransientError) else {}
            if isinstance(trouble, RefusedError):
                after["after"] = wall.left()
            troubles.append(type(trouble)(f"{host}: {trouble}", **after))
    raise combined(troubles)


def combined(troubles: list[Exception]) -> Exception:
    """What troubles with several addresses come to: late, if one of them may still give."""
    later = [trouble for trouble in troubles if isinstance(trouble, TransientError)]
    message = "; ".join(str(trouble) for trouble in troubles) or "no address is known"
    if not later:
        wrong = any(isinstance(trouble, WrongError) for trouble in troubles)
        return WrongError(message) if wrong else GoneError(message)
    kinds = {type(trouble) for trouble in later}
    kind = kinds.pop() if len(kinds) == 1 else TransientError
    return kind(message, min(LONGEST_WAIT if t.after is None else t.after for t in later))


def _from(
    url: str,
    part: Path,
    session: Session,
    size: int | None,
    pinned: bool,
    verify: Callable[[Path], str | None],
) -> None:
    for fresh in (False, True):
        resumed = arrived(part) > 0
        if url.startswith(DRIVE):
            whole = part.with_suffix(".drive")
            os.replace(drive.download(url.removeprefix(DRIVE), whole, session), part)
        else:
            session.retry(
                url,
                lambda admitted: once(url, part, session, size, pinned, admitted),
                lambda: arrived(part),
            )
        wrong = verify(part)
        if wrong is None:
            return
        discard(part)
        # A part finished over several attempts may be patched from two versions: once from scratch.
        if fresh or not resumed:
            raise WrongError(wrong)


def once(
    url: str,
    part: Path,
    session: Session,
    size: int | None,
    pinned: bool,
    admitted: Callable[[], None],
) -> None:
    """One attempt; whatever arrives is appended to `part`."""
    note = _note(part)
    start = arrived(part)
    known = _read_note(note)
    validator = known.get("validator") if known.get("url") == url else None
    if start and not (pinned or validator):
        start = 0
    if size is not None and start >= size:
        if start == size:
            return
        start = 0
    request = session.request(url)
    if start:
        request.add_header("Range", f"bytes={start}-")
        if validator:
            request.add_header("If-Range", validator)
    with _answer(request, session, part) as answer:
        admitted()
        start = _offset(answer, start)
        if start == 0 and is_page(answer.peek(PAGE)):
            raise TransientError("a web page came in place of the file")
        total = _total(answer, start)
        if size is not None and total is not None and total != size:
            raise WrongError(f"serves {total} bytes instead of {size}")
        check_space(part.parent, (total or size or start) - start)
        if start == 0:
            part.parent.mkdir(parents=True, exist_ok=True)
            write_json(note, {"url": url, "validator": _validator(answer)})
        _receive(answer, part, start, total or size)


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


def read(url: str, session: Session) -> bytes:
    """What a small file holds."""
    answers: list[bytes] = []

    def ask(admitted: Callable[[], None]) -> None:
        with _answer(session.request(url), session, Path()) as answer:
            admitted()
            try:
                answers.append(answer.read())
            except (OSError, http.client.HTTPException) as error:
                raise TransientError(str(error)) from None

    session.retry(url, ask, lambda: 0)
    if is_page(answers[-1]):
        raise TransientError(f"{host_of(url)}: a web page came in place of the record")
    return answers[-1]


def read_record(url: str, session: Session) -> dict[str, dict[str, int | str]]:
    """A Zenodo record: file name → bytes and md5; empty where there is no such record.

    A host that does not answer now is a `TransientError`: what nobody vouches for is not taken
    because the host that could was busy.
    """
    try:
        files = json.loads(read(url, session))["files"]
        return {
            str(file["key"]): {
                "bytes": int(file["size"]),
                "md5": str(file["checksum"]).removeprefix("md5:"),
            }
            for file in files
            if str(file["checksum"]).startswith("md5:")
        }
    except (GoneError, ValueError, KeyError, TypeError):
        return {}


LINKED_SIZE = "linked_size"
"""The attribute of requests and answers that keeps it."""


class _Following(urllib.request.HTTPRedirectHandler):
    """Follows redirects and keeps what Hugging Face says of the file before it sends us on."""

    def redirect_request(self, request: Any, answer: Any, *others: Any) -> Any:
        following = super().redirect_request(request, answer, *others)
        headers = others[2]
        linked = headers.get("X-Linked-Size") or getattr(request, LINKED_SIZE, None)
        if following is not None:
            setattr(following, LINKED_SIZE, linked)
        return following

    def https_response(self, request: Any, answer: Any) -> Any:
        setattr(answer, LINKED_SIZE, getattr(request, LINKED_SIZE, None))
        return answer

    http_response = https_response


_OPENER = urllib.request.build_opener(_Following)


@contextlib.contextmanager
def _answer(request: urllib.request.Request, session: Session, part: Path) -> Iterator:
    """The server's answer; every other outcome is gone, refused or later, as its policy says."""
    timeout, host = session.settings.timeout, policies.host_of(request.full_url)
    try:
        answer = _OPENER.open(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 416:
                discard(part)
                raise TransientError("the part does not fit the file; starting anew") from None
            policy, said = session.gate(host).policy, f"HTTP {error.code} {error.reason}"
            if error.code in policy.gone:
                raise GoneError(said) from None
            kind = RefusedError if error.code in policy.refused else TransientError
            raise kind(said, _asked_to_wait(error.headers)) from None
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
        if answer.headers.get("X-RateLimit-Remaining") == "0":
            session.gate(host).wall().build(_asked_to_wait(answer.headers), "its budget is spent")


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
            current().note(done, part.name)
    if total is not None and done < total:
        raise TransientError(f"the connection ended after {done} of {total} bytes")


def _bar(name: str, total: int | None, start: int) -> tqdm[NoReturn]:
    from tqdm import tqdm

    return tqdm(
        desc=name,
        total=total,
        initial=start,
        unit="B",
        unit_scale=True,
        leave=False,
        file=sys.__stderr__,
        disable=not (sys.__stderr__ and sys.__stderr__.isatty()),
    )


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
    length = answer.headers.get("Content-Length") or getattr(answer, LINKED_SIZE, None)
    return int(length) if length and length.isdigit() else None


def _validator(answer: http.client.HTTPResponse) -> str | None:
    tag = answer.headers.get("ETag")
    if tag and not tag.startswith("W/"):
        return tag
    return answer.headers.get("Last-Modified")


def _asked_to_wait(headers: Any) -> float | None:
    """Seconds the server wants us to wait, by its own clock where it tells the time."""
    here = _moment(headers.get("Date")) or time.time()
    after = headers.get("Retry-After") or ""
    if after.isdigit():
        return float(after)
    reset = headers.get("X-RateLimit-Reset") or ""
    moment = _moment(after) or (float(reset) if reset.isdigit() else None)
    return None if moment is None else max(1.0, moment - here)


def _moment(date: str | None) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


def arrived(path: Path) -> int:
    """Bytes of a part that are there."""
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
