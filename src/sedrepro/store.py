"""Feature stores: one HDF5 array, one clip per chunk, uncompressed; read by clip, at random."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np

from .errors import SedreproError
from .files import Disk, open_atomic

DATA, IDS, SECONDS = "data", "clips", "seconds"
ORIGIN = "origin"


class BrokenError(SedreproError):
    """The file is not, or no longer, the store that was written."""


class Writer:
    """Takes clips one after the other; made by `writing`."""

    def __init__(
        self,
        file: h5py.File,
        disk: Disk,
        path: Path,
        shape: Sequence[int],
        dtype: str,
        attributes: str,
    ) -> None:
        self.path = path
        self._file = file
        self._disk = disk
        self._hash = hashlib.blake2b(attributes.encode(), digest_size=16)
        file.attrs["attributes"] = attributes
        self._shape = tuple(shape)
        self._dtype = np.dtype(dtype)
        self._ids: list[str] = []
        self._seconds: list[float] = []
        self._data = file.create_dataset(
            DATA,
            shape=(0, *self._shape),
            maxshape=(None, *self._shape),
            chunks=(1, *self._shape),
            dtype=self._dtype,
        )

    def add(self, clip: str, seconds: float, values: np.ndarray) -> None:
        values = np.ascontiguousarray(values, dtype=self._dtype)
        if values.shape != self._shape:
            raise SedreproError(
                f"{self.path}: clip {clip!r} has shape {values.shape}, expected {self._shape}"
            )
        index = len(self._ids)
        if index == len(self._data):
            self._data.resize(max(64, index + index // 2), axis=0)
        self._data[index] = values
        self._disk.check()
        self._ids.append(clip)
        self._seconds.append(float(seconds))
        self._hash.update(_clip_bytes(clip, seconds))
        self._hash.update(values.data)

    def finish(self) -> None:
        self._data.resize(len(self._ids), axis=0)
        self._file.create_dataset(IDS, data=np.array(self._ids, dtype=h5py.string_dtype()))
        self._file.create_dataset(SECONDS, data=np.array(self._seconds, dtype="float64"))
        self._file.attrs["content_key"] = self._hash.hexdigest()


@contextlib.contextmanager
def writing(
    path: str | Path,
    *,
    shape: Sequence[int],
    dtype: str,
    attributes: Mapping[str, Any],
    origin: Mapping[str, Any] | None = None,
) -> Iterator[Writer]:
    """Write a store under a temporary name; the file appears when it is whole.

        with writing(path, shape=(128, 626), dtype="float16", attributes={...}) as store:
            store.add("clip-1", 10.0, array)

    The content key covers ids, lengths, values and attributes: identical data, identical key.
    `origin` is the store's link in the chain of keys: what it was made from.
    """
    path = Path(path)
    text = json.dumps(dict(attributes), sort_keys=True)
    with creating(path) as (file, disk):
        file.attrs[ORIGIN] = json.dumps(dict(origin or {}))
        writer = Writer(file, disk, path, shape, dtype, text)
        yield writer
        writer.finish()


@contextlib.contextmanager
def creating(path: str | Path) -> Iterator[tuple[h5py.File, Disk]]:
    """A new HDF5 file that appears under its name when it is whole; a full disk is one line."""
    try:
        with open_atomic(path) as disk, h5py.File(disk, "w", libver="latest") as file:
            yield file, disk
    except OSError as error:
        raise SedreproError(f"{path}: cannot be written ({error.strerror or error})") from None


def _clip_bytes(clip: str, seconds: float) -> bytes:
    return f"\0{clip}\0{float(seconds)!r}\0".encode()


class Store:
    """A finished store. Clips are read past HDF5, straight from where their chunk lies in the file:
    faster, and safe in any number of threads and forked processes."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            # Locks fail on network file systems and are not needed: finished stores never change.
            with h5py.File(self.path, "r", locking=False) as file:
                data = file[DATA]
                self.clips: list[str] = [name.decode() for name in file[IDS][:]]
                self.seconds: np.ndarray = file[SECONDS][:]
                self.attributes: dict[str, Any] = json.loads(file.attrs["attributes"])
                self.content_key: str = str(file.attrs["content_key"])
                self.origin: dict[str, Any] = json.loads(file.attrs.get(ORIGIN, "{}"))
                self.shape: tuple[int, ...] = tuple(data.shape)
                self.dtype: np.dtype = data.dtype
                self._offsets = _chunk_offsets(data)
        except FileNotFoundError:
            raise SedreproError(
                f"{self.path}: no such store; start again to have it made"
            ) from None
        except (OSError, KeyError, RuntimeError, ValueError) as error:
            if isinstance(error, OSError) and error.errno:  # the system's word, not HDF5's
                raise SedreproError(f"{self.path}: cannot be read ({error.strerror})") from None
            raise BrokenError(f"{self.path}: not a whole feature store ({error})") from None
        self._file: BinaryIO | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_file": None}  # a handle can't be pickled

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __getitem__(self, index: int) -> np.ndarray:
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.path}: no clip {index}, there are {len(self)}")
        values = np.empty(self.shape[1:], self.dtype)
        self._read_into(values, index)
        return values

    def read(self, indices: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """Several clips at once, in the order asked for; all of them by default."""
        if indices is None:
            indices = range(len(self))
        values = np.empty((len(indices), *self.shape[1:]), self.dtype)
        for row, index in zip(values, indices, strict=True):
            self._read_into(row, index)
        return values

    def _read_into(self, values: np.ndarray, index: int) -> None:
        if self._file is None:
            try:
                self._file = open(self.path, "rb", buffering=0)  # noqa: SIM115 (stays open)
            except FileNotFoundError:  # another job has just set it aside
                raise SedreproError(
                    f"{self.path}: no such store; start again to have it made"
                ) from None
        if os.preadv(self._file.fileno(), [values.data], self._offsets[index]) != values.nbytes:
            raise BrokenError(f"{self.path}: ends too early")

    def verify(self) -> None:
        """Read everything and compare with the content key (a bit that flipped is found here)."""
        key = hashlib.blake2b(json.dumps(self.attributes, sort_keys=True).encode(), digest_size=16)
        for index, (clip, length) in enumerate(zip(self.clips, self.seconds, strict=True)):
            key.update(_clip_bytes(clip, length))
            key.update(np.ascontiguousarray(self[index]).data)
        if key.hexdigest() != self.content_key:
            raise BrokenError(f"{self.path}: contents do not match their key")


def intact(path: str | Path) -> Store:
    """The store, after all of it was read and compared with its key.

    A broken one is set aside, so that the next start of the workflow builds it anew.
    """
    path = Path(path)
    try:
        store = Store(path)
        store.verify()
    except BrokenError as error:
        aside = path.with_name(f"{path.name}.broken")
        try:
            path.replace(aside)
        except FileNotFoundError:
            pass  # another job has just set it aside
        except OSError:
            raise SedreproError(f"{error}; delete it and start again to have it rebuilt") from None
        raise SedreproError(
            f"{error}; it is now {aside.name}: start again to have it rebuilt"
        ) from None
    return store


def _chunk_offsets(data: h5py.Dataset) -> list[int]:
    """Where each clip's chunk begins in the file, in bytes."""
    offsets = [0] * len(data)

    def note(chunk: Any) -> None:
        offsets[chunk.chunk_offset[0]] = chunk.byte_offset

    data.id.chunk_iter(note)
    if 0 in offsets:
        raise ValueError(f"clip {offsets.index(0)} was never written")
    return offsets
