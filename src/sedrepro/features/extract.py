"""A subset's clips into one store: parallel over clips, in table order, restartable."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .. import audio, tables
from ..errors import SedreproError
from ..files import digest
from ..mixtures import reading
from ..settings import FrontEnd, Layout, Project, Subset
from ..store import Store, writing
from .encoders import KINDS, Encoder

PART = 250  # clips: the work a kill can cost, and the most that waits in memory to be written
POOL_FROM = 800  # clips: below this, starting worker processes costs more than they save


class Clip(NamedTuple):
    name: str
    path: str
    seconds: float


Encode = Callable[[Sequence[Clip]], Iterable[np.ndarray]]


def extract(
    project: Project, subset: Subset, front_end_name: str, *, out: str | Path, workers: int = 1
) -> None:
    """Write the store of one subset under one front end.

    Clips longer than the front end's are cut, shorter ones padded with zeros; the store's
    `seconds` are the part of each clip that holds sound. Sets of more than `PART` clips are
    written in parts, in a hidden folder beside `out`: a killed extraction goes on from them.
    """
    front_end = project.front_ends[front_end_name]
    table = tables.read_clips(Layout.of(project).table(subset, "clips"))
    seconds = np.minimum(table["seconds"].astype(float), front_end.seconds)
    clips = [Clip(*row) for row in zip(table["clip"], table["path"], seconds, strict=True)]
    attributes = {
        "front_end": front_end.model_dump(mode="json"),
        "corpus": subset.corpus,
        "subset": subset.name,
    }
    out = Path(out)
    parts = out.with_name(f".{out.name}.parts")
    with _encoding(front_end, workers if len(clips) >= POOL_FROM else 1) as encode:
        if len(clips) <= PART:
            values = encode(clips)
        else:
            stores = list(_parts(parts, front_end, attributes, clips, encode))
            values = (part[index] for part in stores for index in range(len(part)))
        _write(out, front_end, attributes, clips, values)
    shutil.rmtree(parts, ignore_errors=True)


def _write(
    path: Path,
    front_end: FrontEnd,
    attributes: dict,
    clips: Sequence[Clip],
    values: Iterable[np.ndarray],
) -> None:
    dtype = KINDS[front_end.kind].dtype(front_end)
    with writing(path, shape=front_end.shape, dtype=dtype, attributes=attributes) as store:
        for clip, array in zip(clips, values, strict=True):
            store.add(clip.name, clip.seconds, array)


def _parts(
    folder: Path, front_end: FrontEnd, attributes: dict, clips: Sequence[Clip], encode: Encode
) -> Iterator[Store]:
    """The part stores, in order; what a killed extraction of the same clips left is kept."""
    key = digest([attributes, [[*clip, *_stamp(clip.path)] for clip in clips]])
    for other in folder.glob("*"):
        if other.name != key:
            shutil.rmtree(other)
    for first in range(0, len(clips), PART):
        path = folder / key / f"{first}.h5"
        if not path.exists():
            part = clips[first : first + PART]
            _write(path, front_end, attributes, part, encode(part))
        yield Store(path)


def _stamp(path: str) -> tuple[int, int]:
    """What changes when a recording is replaced; a missing one is reported when it is read."""
    try:
        status = os.stat(reading.file_of(path))
    except OSError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)


@contextlib.contextmanager
def _encoding(front_end: FrontEnd, workers: int) -> Iterator[Encode]:
    """How clips become arrays: here, or by worker processes that hand them back in order."""
    if workers == 1:
        encoder = KINDS[front_end.kind].encoder(front_end)
        yield lambda clips: (_encode(encoder, front_end, clip.path) for clip in clips)
        return
    # Spawned, not forked: a fork copies locks that other threads of this process may hold.
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start_worker, (front_end,)
    ) as pool:

        def encode(clips: Sequence[Clip]) -> Iterator[np.ndarray]:
            try:
                yield from pool.map(_work, [clip.path for clip in clips], chunksize=8)
            except BrokenProcessPool:
                raise SedreproError(
                    "a worker process was killed while reading clips, probably for want of memory: "
                    "run it again with fewer threads; what is done is kept"
                ) from None

        try:
            yield encode
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_in_worker: tuple[Encoder, FrontEnd] | None = None


def _start_worker(front_end: FrontEnd) -> None:
    global _in_worker
    _in_worker = (KINDS[front_end.kind].encoder(front_end), front_end)


def _work(path: str) -> np.ndarray:
    return _encode(*_in_worker, path)


def _encode(encoder: Encoder, front_end: FrontEnd, path: str) -> np.ndarray:
    return encoder(audio.fit(reading.read(path, front_end.sample_rate), front_end.samples))
