"""A web host on the loopback interface whose faults are scripted, request by request."""

from __future__ import annotations

import hashlib
import io
import tarfile
import threading
import time
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PAGE = b"<!DOCTYPE html><html>Down for an hour</html>"


@dataclass
class Page:
    """A file the host serves, and what goes wrong at its first requests (then nothing does).

    Faults: ("status", code[, headers]), ("truncate", bytes), ("stall", bytes), ("redirect", path),
    ("chunked", bytes), ("closed", bytes), ("slow", seconds), ("page",) for a web page in the
    file's place, ("other", content) for another file. A redirect may carry
    headers of its own.
    """

    content: bytes
    faults: list[tuple] = field(default_factory=list)
    ranges: bool = True
    etag: str | None = '"v1"'
    headers: dict[str, str] = field(default_factory=dict)
    agents: str = ""
    """What must be in the agent's name; everybody else gets 403."""
    requests: list[dict[str, str]] = field(default_factory=list)


class Host:
    """Serves `pages` by path; everything else is 404."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.release = threading.Event()  # lets stalled answers end
        self.open = self.most_open = 0  # slow answers at a time
        self._lock = threading.Lock()
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                host.answer(self)
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                """Tests read `requests` instead."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.thread.start()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{path}"

    def add(self, path: str, content: bytes, *faults: tuple, **options) -> str:
        self.pages[path] = Page(content, list(faults), **options)
        return self.url(path)

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        page = self.pages.get(handler.path.lstrip("/"))
        if page is None:
            handler.send_error(404)
            return
        page.requests.append(dict(handler.headers))
        fault = page.faults.pop(0) if page.faults else ("none",)
        if page.agents not in handler.headers.get("User-Agent", ""):
            fault = ("status", 403)
        kind = fault[0]
        if kind == "status":
            handler.send_response(fault[1])
            for name, value in (fault[2] if len(fault) > 2 else {}).items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if kind == "redirect":
            handler.send_response(302)
            handler.send_header("Location", self.url(fault[1]))
            for name, value in (fault[2] if len(fault) > 2 else {}).items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if kind == "chunked":
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            data = page.content[: fault[1]]
            handler.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            return
        if kind == "closed":  # no length: the end of the connection is that of the file
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(page.content[: fault[1]])
            return
        if kind == "slow":
            with self._lock:
                self.open += 1
                self.most_open = max(self.most_open, self.open)
            time.sleep(fault[1])
            with self._lock:
                self.open -= 1
        body = {"page": PAGE, "other": fault[-1]}.get(kind, page.content)
        start = self._start(handler, page)
        if start:
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) - start))
        if page.etag:
            handler.send_header("ETag", page.etag)
        for name, value in page.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        cut = kind in ("truncate", "stall")
        sent = body[start : start + fault[1]] if cut else body[start:]
        handler.wfile.write(sent)
        if kind == "stall":
            handler.wfile.flush()
            self.release.wait(10)

    @staticmethod
    def _start(handler: BaseHTTPRequestHandler, page: Page) -> int:
        wanted = handler.headers.get("Range")
        condition = handler.headers.get("If-Range")
        if not (page.ranges and wanted) or (condition and condition != page.etag):
            return 0
        return int(wanted.removeprefix("bytes=").partition("-")[0])


def zipped(files: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w:gz") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress, the same for the same seed."""
    import random

    return random.Random(seed).randbytes(size)
