"""A subset's clips into one store: parallel over clips, in table order, restartable."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import audio, chain, progress
from ..clips import Clip, read_clips
from ..errors import SedreproError
from ..files import digest, fingerprint
from ..kept import Kept
from ..mixtures import origins, reading
from ..settings import FrontEnd, Layout, Project, Subset, declared
from ..settings.tasks import StoreTask
from ..store import Store, writing
from .kinds import Kind
from .segments import SegmentKind

PART = 50  # clips: the work a kill can cost, and what a worker process does at a time
POOL_FROM = 800  # clips: below this, starting worker processes costs more than they save


Work = Callable[[Clip], np.ndarray]


class Part(NamedTuple):
    """Some of the clips, and the store they go to."""

    path: Path
    clips: Sequence[Clip]


def make_store(task: StoreTask, *, out: str | Path, workers: int = 1) -> None:
    """The store a task asks for, made or, if it was made before, published again."""
    front_end = task.project.front_ends[task.front_end]
    parents = origins.of_clips(task.subset, task.layout)
    kind = _kind(front_end)
    if isinstance(kind, SegmentKind):
        given = (task.project, task.subset, front_end)
        lacking, file = kind.lacking(*given), kind.file(*given)
        parents |= {"lacking": lacking, "file": fingerprint(file) if file and not lacking else ""}
    origin = chain.link("store", task.depends() | {"form": form(front_end)}, parents)

    def make() -> None:
        extract(task.project, task.subset, task.front_end, out=out, workers=workers, origin=origin)

    Kept.beside([out]).or_make(origin["key"], make)


def extract(
    project: Project,
    subset: Subset,
    front_end_name: str,
    *,
    out: str | Path,
    workers: int = 1,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write the store of one subset under one front end.

    Clips longer than the front end's are cut, shorter ones padded with zeros; the store's
    `seconds` are the part of each clip that holds sound. Sets of more than `PART` clips are
    written in parts, in a hidden folder beside `out`: a killed extraction goes on from them.
    """
    front_end = project.front_ends[front_end_name]
    clips = read_clips(Layout.of(project).table(subset, "clips"))
    attributes = {
        "front_end": front_end.model_dump(mode="json"),
        "corpus": subset.corpus,
        "subset": subset.name,
    }
    kind = _kind(front_end)
    if isinstance(kind, SegmentKind):
        attributes["lacking"] = kind.lacking(project, subset, front_end)
        clips = [] if attributes["lacking"] else [clip for clip in clips if kind.has(clip)]
    whole = Part(Path(out), clips)
    counted = progress.current().over
    if len(clips) <= PART:
        values = map(_work(project, subset, front_end), clips) if clips else []
        _write(whole, front_end, attributes, counted(values, len(clips), "clips"), origin)
        return
    folder = whole.path.with_name(f".{whole.path.name}.parts")
    parts = _parts(folder, attributes, clips)
    make = partial(_writer, project, subset, front_end, attributes)
    with _mapping(make, workers if len(clips) >= POOL_FROM else 1) as write_each:
        # Copied while the next ones are being made.
        stores = (Store(path) for path in write_each(parts))
        values = (store[index] for store in stores for index in range(len(store)))
        _write(whole, front_end, attributes, counted(values, len(clips), "clips"), origin)
    shutil.rmtree(folder)


def _kind(front_end: FrontEnd) -> Kind | SegmentKind:
    """How stores of this kind are made."""
    return declared.resolve(declared.FRONT_ENDS[front_end.kind].work)


def form(front_end: FrontEnd) -> str:
    """The type in which a store holds the front end's values."""
    kind = _kind(front_end)
    return kind.dtype if isinstance(kind, SegmentKind) else kind.dtype(front_end)


def _write(
    part: Part,
    front_end: FrontEnd,
    attributes: dict,
    values: Iterable[np.ndarray],
    origin: Mapping[str, Any] | None = None,
) -> None:
    with writing(
        part.path,
        shape=front_end.shape,
        dtype=form(front_end),
        attributes=attributes,
        origin=origin,
    ) as store:
        for clip, array in zip(part.clips, values, strict=True):
            store.add(clip.name, min(clip.seconds, front_end.seconds), array)


def _parts(folder: Path, attributes: dict, clips: Sequence[Clip]) -> list[Part]:
    """The clips in parts, under names that what a killed extraction of the same clips left has."""
    key = digest([attributes, [[*clip, *_stamp(clip.file)] for clip in clips]])
    for other in folder.glob("*"):
        if other.name != key:
            shutil.rmtree(other)
    return [
        Part(folder / key / f"{first}.h5", clips[first : first + PART])
        for first in range(0, len(clips), PART)
    ]


def _is_intact(path: Path) -> bool:
    try:
        Store(path).verify()
    except SedreproError:
        return False
    return True


def _stamp(path: str) -> tuple[int, int]:
    """What changes when a recording is replaced; a missing one is reported when it is read."""
    try:
        status = os.stat(path)
    except OSError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)


def _work(project: Project, subset: Subset, front_end: FrontEnd) -> Work:
    """What makes a clip into its array."""
    kind = _kind(front_end)
    if isinstance(kind, SegmentKind):
        return kind.reader(project, subset, front_end)
    transform = kind.transform(front_end)

    def work(clip: Clip) -> np.ndarray:
        samples = reading.read(clip, front_end.sample_rate)
        return transform(audio.fit(samples, front_end.samples))

    return work


def _writer(
    project: Project, subset: Subset, front_end: FrontEnd, attributes: dict
) -> Callable[[Part], Path]:
    """What writes a part, unless it is there; made in the process that works with it."""
    work = _work(project, subset, front_end)

    def write(part: Part) -> Path:
        if not _is_intact(part.path):
            _write(part, front_end, attributes, map(work, part.clips))
        return part.path

    return write


@contextlib.contextmanager
def _mapping(
    make: Callable[[], Callable[[Any], Any]], workers: int
) -> Iterator[Callable[[Iterable], Iterator]]:
    """`map` with what `make` makes: here as results are asked for, or ahead by worker processes."""
    if workers == 1:
        yield partial(map, make())
        return
    # Spawned, not forked: a fork copies locks that other threads of this process may hold.
    with ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start_worker, (make,)
    ) as pool:

        def ordered(items: Iterable) -> Iterator:
            with _ctrl_c_ignored():  # by the workers that start here: their parent ends them
                results = pool.map(_in_process, items)
            pool.shutdown(wait=False)  # a worker that finds nothing left to do may leave at once
            try:
                yield from results
            except BrokenProcessPool:
                raise SedreproError(
                    "a worker process was killed while reading clips, probably for want of memory: "
                    "run it again with fewer threads; what is done is kept"
                ) from None

        try:
            yield ordered
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextlib.contextmanager
def _ctrl_c_ignored() -> Iterator[None]:
    """By this process for a moment, and for good by processes that it starts meanwhile."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


_in_worker: Callable[[Any], Any] | None = None


def _start_worker(make: Callable[[], Callable[[Any], Any]]) -> None:
    global _in_worker
    # A killed parent says nothing: its workers would wait for more work for ever.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _in_worker = make()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None  # this runs in workers only
    parent.join()
    os._exit(1)


def _in_process(item: Any) -> Any:
    assert _in_worker is not None  # _start_worker came first
    return _in_worker(item)
