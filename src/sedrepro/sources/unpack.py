"""Archives into folders: nothing outside the folder, nothing half, nothing truncated.

An archive is untrusted input: every member is looked at before it is written, links and devices are
refused, and everything is unpacked beside its destination and moved there when it is complete.
"""

from __future__ import annotations

import bz2
import contextlib
import errno
import gzip
import lzma
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from ..files import atomic, full_disk
from .http import check_space

_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    EOFError,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    NotImplementedError,
)


class ArchiveError(Exception):
    """Truncated, damaged, or up to no good; the message says which."""


@dataclass(frozen=True)
class Member:
    """A regular file of an archive."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, into: Path, anchor: list[str] | None = None) -> dict[str, int]:
    """Unpack into the folder `into`; return its files (path below `into`) and their sizes.

    With an `anchor`, folders above the first of these names are left out. Files that are already
    there are replaced one by one; a file is never seen half.
    """
    staging = into.parent / f".{into.name}.{archive.name}.unpacking"
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    try:
        with full_disk(into.parent):
            written = _extract(archive, staging)
            top = _top(staging, written, anchor or [], archive)
            found = {
                str(path.relative_to(top)): size
                for path, size in written.items()
                if path.is_relative_to(top)
            }
            into.mkdir(parents=True, exist_ok=True)
            _move(top, into)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return found


def place(source: Path, target: Path) -> None:
    """`source` also under the name `target`, whole or not at all: a link where that is possible."""
    with full_disk(target.parent), atomic(target) as temporary:
        try:
            os.link(source, temporary)
        except OSError:  # another file system, or one without links
            check_space(target.parent, source.stat().st_size)
            shutil.copyfile(source, temporary)


def _extract(archive: Path, staging: Path) -> dict[Path, int]:
    written: dict[Path, int] = {}
    try:
        with _members(archive) as (total, members):
            check_space(staging, total)
            for member in members:
                target = staging / _safe(member.name, archive)
                target.parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, open(target, "wb") as out:
                    shutil.copyfileobj(source, out, 1 << 20)
                written[target] = target.stat().st_size
                if written[target] != member.size:
                    raise ArchiveError(f"{archive.name} is truncated in {member.name}")
    except _BROKEN as error:
        raise ArchiveError(f"{archive.name} is damaged or truncated ({error})") from None
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise ArchiveError(f"{archive.name}: a name is both file and folder ({error})") from None
    except OSError as error:
        # A decompressor's own (no number), an offset before the file, a name without end: the
        # archive's fault. Anything else is the disk's.
        if error.errno not in (None, errno.EINVAL, errno.ENAMETOOLONG):
            raise
        raise ArchiveError(f"{archive.name} is damaged ({error})") from None
    except RuntimeError as error:  # what zipfile says of encrypted members
        raise ArchiveError(f"{archive.name}: {error}") from None
    if not written:
        raise ArchiveError(f"{archive.name} holds no file")
    return written


@contextlib.contextmanager
def _members(archive: Path) -> Iterator[tuple[int, Iterator[Member]]]:
    """The unpacked size (0: unknown) and the regular files of an archive, names checked."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            infos = [info for info in opened.infolist() if not info.is_dir()]
            for info in infos:
                _safe(info.filename, archive)
                kind = stat.S_IFMT(info.external_attr >> 16)
                if kind not in (0, stat.S_IFREG):
                    raise ArchiveError(f"{archive.name}: {info.filename} is a link or a device")
            yield sum(i.file_size for i in infos), (_zipped(opened, info) for info in infos)
        return
    try:
        tar = tarfile.open(archive, "r:*")  # noqa: SIM115
    except (tarfile.ReadError, EOFError):
        raise ArchiveError(
            f"{archive.name} is neither a zip nor a tar, or damaged at its beginning"
        ) from None
    with tar:
        yield 0, _tarred(tar, archive)


def _zipped(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    return Member(info.filename, info.file_size, lambda: opened.open(info))


def _same(source: IO[bytes]) -> IO[bytes]:
    return source


def _tarred(opened: tarfile.TarFile, archive: Path) -> Iterator[Member]:
    for info in opened:
        _safe(info.name, archive)
        if info.isdir():
            continue
        if not info.isreg():
            raise ArchiveError(f"{archive.name}: {info.name} is a link or a device")
        source = opened.extractfile(info)
        assert source is not None  # regular files have content
        yield Member(info.name, info.size, partial(_same, source))
    _check_end(opened, archive)


def _check_end(opened: tarfile.TarFile, archive: Path) -> None:
    """tarfile takes any unreadable header for the end; that of a whole archive is zeros."""
    stream = opened.fileobj
    if isinstance(stream, (gzip.GzipFile, bz2.BZ2File, lzma.LZMAFile)):
        # Going back in a compressed stream means reading it again; its own checksum, checked at
        # its very end, tells whether the headers are as they were written.
        whole = stream.tell() >= opened.offset + tarfile.BLOCKSIZE
        while stream.read(1 << 20):
            continue
    else:
        stream.seek(opened.offset)
        whole = stream.read(tarfile.BLOCKSIZE) == bytes(tarfile.BLOCKSIZE)
    if not whole:
        raise ArchiveError(f"{archive.name} is truncated: its end is missing")


def _safe(name: str, archive: Path) -> PurePosixPath:
    """A member's path below the folder it is unpacked into, or a refusal."""
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or "\0" in name
        or (path.parts and ":" in path.parts[0])
    ):
        raise ArchiveError(f"{archive.name}: {name!r} points outside its folder")
    return path


def _top(staging: Path, written: dict[Path, int], anchor: list[str], archive: Path) -> Path:
    """The folder of the archive that directly holds one of the anchor's names."""
    if not anchor:
        return staging
    folders = {
        parent for path in written for parent in path.parents if parent.is_relative_to(staging)
    }
    holding = [f for f in folders if any((f / name).exists() for name in anchor)]
    if not holding:
        raise ArchiveError(f"{archive.name} has another layout: no {' or '.join(anchor)} in it")
    return min(holding, key=lambda folder: (len(folder.parts), str(folder)))


def _move(source: Path, target: Path) -> None:
    """Everything below `source` to `target`; whole folders at once where nothing is in the way."""
    for entry in os.scandir(source):
        destination = target / entry.name
        if entry.is_dir() and destination.is_dir():
            _move(Path(entry.path), destination)
            continue
        try:
            os.replace(entry.path, destination)
        except OSError:
            # Another archive of the same corpus may have brought the folder just now.
            if not (entry.is_dir() and destination.is_dir()):
                raise
            _move(Path(entry.path), destination)
