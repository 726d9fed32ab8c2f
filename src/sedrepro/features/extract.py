"""A subset's clips into one store: parallel over clips, in table order, restartable."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path

import numpy as np

from .. import audio, tables
from ..errors import SedreproError
from ..files import digest
from ..mixtures import reading
from ..settings import FrontEnd, Layout, Project, Subset
from ..store import Store, writing
from .clips import Clip
from .encoders import KINDS
from .segments import SEGMENT_KINDS

PART = 250  # clips: the work a kill can cost, and the most that waits in memory to be written
POOL_FROM = 800  # clips: below this, starting worker processes costs more than they save


Work = Callable[[Clip], np.ndarray]
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
    if front_end.kind in SEGMENT_KINDS:
        kind = SEGMENT_KINDS[front_end.kind]
        attributes["lacking"] = kind.lacking(project, subset, front_end)
        clips = [] if attributes["lacking"] else [clip for clip in clips if kind.has(clip)]
    work = partial(_worker, project, subset, front_end)
    out = Path(out)
    parts = out.with_name(f".{out.name}.parts")
    with _encoding(work, workers if len(clips) >= POOL_FROM else 1) as encode:
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
    own = SEGMENT_KINDS.get(front_end.kind)
    dtype = own.dtype if own else KINDS[front_end.kind].dtype(front_end)
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
        if not _is_intact(path):
            part = clips[first : first + PART]
            _write(path, front_end, attributes, part, encode(part))
        yield Store(path)


def _is_intact(path: Path) -> bool:
    try:
        Store(path).verify()
    except SedreproError:
        return False
    return True


def _stamp(path: str) -> tuple[int, int]:
    """What changes when a recording is replaced; a missing one is reported when it is read."""
    try:
        status = os.stat(reading.file_of(path))
    except OSError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)


def _worker(project: Project, subset: Subset, front_end: FrontEnd) -> Work:
    """What makes a clip into its array; built in the process that works with it."""
    if front_end.kind in SEGMENT_KINDS:
        return SEGMENT_KINDS[front_end.kind].reader(project, subset, front_end)
    encoder = KINDS[front_end.kind].encoder(front_end)

    def work(clip: Clip) -> np.ndarray:
        samples = reading.read(clip.path, front_end.sample_rate)
        return encoder(audio.fit(samples, front_end.samples))

    return work


@contextlib.contextmanager
def _encoding(make: Callable[[], Work], workers: int) -> Iterator[Encode]:
    """How clips become arrays: here, or by worker processes that hand them back in order."""
    if workers == 1:
        made: list[Work] = []

        def alone(clips: Sequence[Clip]) -> Iterator[np.ndarray]:
            if clips and not made:
                made.append(make())
            return (made[0](clip) for clip in clips)

        yield alone
        return
    # Spawned, not forked: a fork copies locks that other threads of this process may hold.
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start_worker, (make,)
    ) as pool:

        def encode(clips: Sequence[Clip]) -> Iterator[np.ndarray]:
            try:
                yield from pool.map(_in_process, clips, chunksize=8)
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


_in_worker: Work | None = None


def _start_worker(make: Callable[[], Work]) -> None:
    global _in_worker
    # A killed parent says nothing: its workers would wait for more work for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _in_worker = make()


def _end_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _in_process(clip: Clip) -> np.ndarray:
    return _in_worker(clip)
