"""The files torch writes: a zip archive, before 2020 several pickles with bytes behind them."""

from __future__ import annotations

import io
import mmap
import struct
import zipfile
import zlib
from typing import IO, Any, cast

import torch
from torch import Tensor

from .pickles import Allowance, Machine, Placeholder, UnreadableError
from .rebuilt import KNOWN, Storage, dtype_of

ZIP, LOCAL_HEADER = b"PK\x03\x04", 30
OLD_MAGIC, OLD_VERSION = 0x1950A86A20F9469CFC6C, 1001


class File:
    """A checkpoint, mapped into memory; `content` is what it holds."""

    def __init__(self, mapping: mmap.mmap, device: torch.device, mapped: bool) -> None:
        self.mapping = mapping
        self.device = device
        self.mapped = mapped and device.type == "cpu"
        self.allowance = Allowance(len(mapping))
        self.storages: dict[str, Tensor] = {}  # their bytes, by key
        self.counts: dict[str, int] = {}  # of values, as the pickle says

    def content(self) -> Any:
        return self._archive() if self.mapping[:4] == ZIP else self._pickles()

    def _run(self, stream: Any) -> Any:
        return Machine(stream, self.allowance, KNOWN, self._persistent).run()

    def _persistent(self, reference: Any) -> Any:
        """What lies outside the pickle: torch's storages, and in old files the code of classes."""
        kind, *parts = reference if isinstance(reference, tuple) else (reference,)
        if kind == "module" and parts:
            return parts[0]
        if kind != "storage":
            return Placeholder("persistent reference", (reference,))
        storage, key, _, count, *view = parts
        if view and view[0] is not None:
            raise UnreadableError(
                "storages that are parts of others are of before 2018: not read here"
            )
        dtype = dtype_of(storage)
        if type(count) is not int or count < 0:
            raise UnreadableError(f"storage {key!r:.40} has a size that is no number")
        size = count * dtype.itemsize
        if key not in self.storages:
            self.storages[key] = self._storage(key, size)
            self.counts[key] = count
        content = self.storages[key]
        if len(content) < size:
            raise UnreadableError(
                f"storage {key!r:.40} should have {size} bytes and has {len(content)}"
            )
        return Storage(content, dtype)

    # --- zip ---------------------------------------------------------------------------------

    def _archive(self) -> Any:
        self.zip = zipfile.ZipFile(cast(IO[bytes], self.mapping))  # it reads and seeks as files do
        names = [name for name in self.zip.namelist() if name.count("/") == 1]
        found = [name for name in names if name.endswith("/data.pkl")]
        if len(found) != 1:
            raise UnreadableError("a zip archive, and not one of torch: it lacks data.pkl")
        self.folder = found[0].removesuffix("data.pkl")
        if f"{self.folder}byteorder" in names and self._record("byteorder") != b"little":
            raise UnreadableError("its numbers have the byte order of another machine")
        self._storage = self._record_as_storage  # each format keeps its storages elsewhere
        return self._run(io.BytesIO(self._record("data.pkl")))

    def _place(self, name: str) -> tuple[slice, int]:
        """Where a record's bytes lie in the file, and their checksum."""
        try:
            info = self.zip.getinfo(self.folder + name)
        except KeyError:
            raise UnreadableError(f"it lacks {name[:40]}") from None
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise UnreadableError(f"{name[:40]} is compressed, which torch does not do")
        header = self.mapping[info.header_offset : info.header_offset + LOCAL_HEADER]
        if len(header) < LOCAL_HEADER or not header.startswith(ZIP):
            raise UnreadableError(f"{name[:40]} is not where the archive says")
        start = info.header_offset + LOCAL_HEADER + sum(struct.unpack("<HH", header[26:]))
        if start + info.file_size > len(self.mapping):
            raise UnreadableError(f"{name[:40]} reaches beyond the end of the file")
        return slice(start, start + info.file_size), info.CRC

    def _record(self, name: str) -> bytes:
        place, checksum = self._place(name)
        self.allowance.spend(place.stop - place.start)
        content = self.mapping[place]
        if zlib.crc32(content) != checksum:
            raise UnreadableError(f"{name[:40]} is damaged")
        return content

    def _record_as_storage(self, key: str, size: int) -> Tensor:
        """All of a record, whatever `size` says. If mapped, it is read only when looked at."""
        name = f"data/{key}"
        place, checksum = self._place(name)
        if place.start == place.stop:
            return torch.empty(0, dtype=torch.uint8, device=self.device)
        content = self._view(place)
        if self.mapped and place.start % 8 == 0:
            return content
        self.allowance.spend(len(content))
        if zlib.crc32(memoryview(self.mapping)[place]) != checksum:
            raise UnreadableError(f"{name[:40]} is damaged")
        return content.to(self.device, copy=True)

    def _view(self, place: slice) -> Tensor:
        return torch.frombuffer(
            self.mapping, dtype=torch.uint8, count=place.stop - place.start, offset=place.start
        )

    # --- pickles -----------------------------------------------------------------------------

    def _pickles(self) -> Any:
        """One pickle of containers, or torch's old format: five of them, then the storages."""
        self._storage = self._no_storage
        first = self._run(self.mapping)
        if type(first) is not int or first != OLD_MAGIC:
            return first
        if self._run(self.mapping) != OLD_VERSION:
            raise UnreadableError("torch's old format, of an unknown version")
        about = self._run(self.mapping)
        if about.get("little_endian") is not True:
            raise UnreadableError("its numbers have the byte order of another machine")
        self._storage = self._storage_to_fill
        content = self._run(self.mapping)
        keys = self._run(self.mapping)
        if set(keys) != set(self.storages) or len(keys) != len(self.storages):
            raise UnreadableError("it lacks storages that its tensors use")
        for key in keys:
            self._fill(key)
        return content

    def _no_storage(self, key: str, size: int) -> Tensor:
        raise UnreadableError("a storage in a plain pickle")

    def _storage_to_fill(self, key: str, size: int) -> Tensor:
        """An empty storage; its bytes come after the pickles."""
        if size > len(self.mapping) - self.mapping.tell():
            raise UnreadableError(
                f"storage {key!r:.40} should have {size} bytes, more than the file"
            )
        self.allowance.spend(size)
        return torch.empty(size, dtype=torch.uint8, device=self.device)

    def _fill(self, key: str) -> None:
        """Read the bytes of a storage; a count of its values stands before them."""
        storage = self.storages[key]
        if int.from_bytes(self.mapping.read(8), "little") != self.counts[key]:
            raise UnreadableError(f"storage {key!r:.40} has another size than its tensors say")
        start = self.mapping.tell()
        place = slice(start, start + len(storage))
        if place.stop > len(self.mapping):
            raise UnreadableError("it ends within a storage")
        if len(storage):
            storage.copy_(self._view(place))
        self.mapping.seek(place.stop)
