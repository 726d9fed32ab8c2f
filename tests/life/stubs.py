"""The heavy work of jobs as tiny pure functions, and what they make of some data without any file.

A stub reads what the real work reads, and its result depends on all of it: a number that was made
of anything else than the settings and data of today is another number.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import json
import struct
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from sedrepro import files, settings, tables
from sedrepro.evaluation.measures import Measures
from sedrepro.files import write_json, write_text
from sedrepro.metrics.bootstrap import Resampled
from sedrepro.reporting import links, page, whose
from sedrepro.reporting.tables import to_csv
from sedrepro.settings import FrontEnd, HeldOut, Plan, Subset, tasks
from sedrepro.settings.given import Given
from sedrepro.sources import desed, registry
from sedrepro.store import Store, creating
from sedrepro.training.record import write_table
from sedrepro.training.run import record

ROOT = Path(__file__).resolve().parents[2]
EPOCHS, FRAMES = 3, 4
MODELS = ("student", "teacher")

tick: Callable[[], None] = lambda: None  # noqa: E731
"""Called between the steps of a job: there it may be killed."""


def mix(*parts: Any) -> bytes:
    """A key of anything: other parts, another key."""
    key = hashlib.blake2b(digest_size=32)
    for part in parts:
        if not isinstance(part, bytes):
            part = json.dumps(part, sort_keys=True).encode()
        key.update(struct.pack("q", len(part)) + part)
    return key.digest()


def numbers(key: bytes, *shape: int) -> np.ndarray:
    """Some numbers from 0 to 1, drawn by a key."""
    seed = int.from_bytes(key[:8], "little")
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


# Extraction


def hear(recording: bytes, front_end: FrontEnd) -> np.ndarray:
    """What a front end makes of a recording."""
    key = mix(recording, front_end.model_dump(mode="json"))
    return numbers(key, *front_end.shape).astype(np.float16)


def _work(project: Any, subset: Subset, front_end: FrontEnd) -> Callable[[Any], np.ndarray]:
    def work(clip: Any) -> np.ndarray:
        tick()
        return hear(Path(clip.path).read_bytes(), front_end)

    return work


# Training

Heard = Mapping[tuple[str, str], list[tuple[str, bytes]]]
"""Per subset and front end the clips and what was heard of them."""
Labels = Mapping[str, list[list[Any]]]
"""Per subset the rows of its events."""


def learn(plan: Plan, heard: Heard, labels: Labels, folds: Any, source: bytes) -> bytes:
    """The network that comes out of a training."""
    told = plan.describe_training()
    seen = [
        [name, *map(list, _hashed(heard[key]))] for key in sorted(heard) for name in [list(key)]
    ]
    return mix(told, seen, labels, folds, source)


def _hashed(clips: Iterable[tuple[str, bytes]]) -> list[tuple[str, str]]:
    return [(clip, hashlib.blake2b(values).hexdigest()) for clip, values in clips]


def says(network: bytes, model: str, clip: str, values: bytes, classes: int) -> np.ndarray:
    """A network's scores of a clip."""
    return numbers(mix(network, model, clip, values), FRAMES, classes)


def rows_of(events: Any) -> list[list[Any]]:
    """A table of events as plain data; what is absent is 'nan'."""
    columns = (map(str, events[column].tolist()) for column in tables.EVENTS)
    return [list(row) for row in zip(*columns, strict=True)]


class Fit:
    """In place of training: epochs that can be interrupted and taken up, scores, the record."""

    def __init__(self, plan, project, layout, state, stop, link, data, files) -> None:
        self.plan, self.layout, self.state = plan, layout, state
        self.link, self.data = link, data

    def run(self, gpus: int, threads: int) -> None:
        stores = {
            (subset.name, front_end): Store(self.layout.store(subset, front_end))
            for subset, front_end in self.plan.inputs()
        }
        heard = {
            key: [(clip, store[index].tobytes()) for index, clip in enumerate(store.clips)]
            for key, store in stores.items()
        }
        network = self._train(heard)
        with self.state.finishing() as folder:
            self._write(folder, network, stores)

    def _train(self, heard: Heard) -> bytes:
        subsets = {subset for subset, _ in self.plan.inputs()}
        labels, folds = {}, {}
        for subset in subsets:
            labels[subset.name] = rows_of(tables.read_events(self.layout.table(subset, "events")))
            clips = tables.read_clip_table(self.layout.table(subset, "clips"))
            folds[subset.name] = clips[["clip", "fold"]].values.tolist()
        source = b""
        if self.plan.source is not None:
            source = Path(self.layout.run(self.plan.source, "checkpoint.pt")).read_bytes()
        network, epoch = learn(self.plan, heard, labels, folds, source), 0
        if saved := self._saved():
            network, epoch = saved
        while epoch < EPOCHS:
            tick()
            network, epoch = mix(network, epoch), epoch + 1
            told = [network.hex(), epoch]
            write_text(self.state.resume, json.dumps([*told, mix(*told).hex()]))
        return network

    def _saved(self) -> tuple[bytes, int] | None:
        """What an earlier start left; nothing if it is damaged, as torch would tell."""
        try:
            *told, key = json.loads(self.state.resume.read_text())
            return (bytes.fromhex(told[0]), told[1]) if mix(*told).hex() == key else None
        except (OSError, ValueError):
            return None

    def _write(self, folder: Path, network: bytes, stores: Mapping[tuple[str, str], Store]) -> None:
        with creating(folder / "scores.h5") as (file, _):
            file.attrs["classes"] = json.dumps(self.plan.classes)
            file.attrs["models"] = json.dumps(MODELS)
            file.attrs["hop"] = 0.25
            for held_out in self.plan.held_out:
                store = stores[held_out.subset.name, held_out.inputs[0]]
                group = file.create_group(held_out.name)
                group["clips"] = [clip.encode() for clip in store.clips]
                group["seconds"] = store.seconds
                for model in MODELS:
                    group[f"{model}/frame"] = self._scores(network, model, store)
        tick()
        with creating(folder / "examples.h5") as (file, _):
            file.attrs["order"] = "[]"
        write_table(folder / "history.csv", [], ["epoch", "step"])
        write_table(folder / "timing.csv", [], ["epoch", "seconds"])
        (folder / "checkpoint.pt").write_bytes(network)
        told = record(self.plan, self.link, folder, self.data, "done", cost={"wall_s": 1.0})
        write_json(folder / "run.json", told)

    def _scores(self, network: bytes, model: str, store: Store) -> np.ndarray:
        size = len(self.plan.classes)
        return np.stack(
            [
                says(network, model, clip, store[index].tobytes(), size)
                for index, clip in enumerate(store.clips)
            ]
        )


# Evaluation


def value_of(frames: np.ndarray, events: list[list[Any]], decoding: Any) -> float:
    """One number of the scores of some clips, their truth, and how the scores are decoded."""
    return float(numbers(mix(frames.tobytes(), events, decoding), 1)[0])


@functools.lru_cache(4096)
def interval_of(value: float, bootstrap: int, confidence: float) -> Resampled:
    """The value with its interval and its resamples."""
    drawn = value + numbers(mix(value, bootstrap), bootstrap) - 0.5
    half = confidence / bootstrap
    return Resampled.of(Resampled(value, value - half, value + half), drawn)


def _measure(scored, truth, chosen, report) -> Measures:
    tick()
    decoding = chosen.decoding.model_dump(mode="json")
    value = value_of(scored.arrays["frame"], rows_of(truth.events), decoding)
    found = Measures()
    for metric in ("psds1", "psds2"):
        found.add(metric, "psds_eval", interval_of(value, report.bootstrap, report.confidence))
    return found


# What a clean run gives, without one


class Data:
    """A tree of recordings as the project's adapter describes it, read once."""

    def __init__(self, clips: Mapping[str, Any], events: Mapping[str, Any]) -> None:
        self.clips, self.events = clips, events
        self.bytes = {
            path: Path(path).read_bytes() for table in clips.values() for path in table["path"]
        }

    def heard(self, plan: Plan) -> Heard:
        found = {}
        for subset, name in plan.inputs():
            table, front_end = self.clips[subset.name], plan.front_ends[name]
            found[subset.name, name] = [
                (clip, hear(self.bytes[path], front_end).tobytes())
                for clip, path in zip(table["clip"], table["path"], strict=True)
            ]
        return found


def network_of(plan: Plan, data: Data, source: bytes) -> bytes:
    """The network of a run that is trained from these data."""
    names = {subset.name for subset, _ in plan.inputs()}
    labels = {name: rows_of(data.events[name]) for name in names}
    folds = {name: data.clips[name][["clip", "fold"]].values.tolist() for name in names}
    network = learn(plan, data.heard(plan), labels, folds, source)
    for epoch in range(EPOCHS):
        network = mix(network, epoch)
    return network


def values_of(plan: Plan, scored: Plan, data: Data, network: bytes) -> dict[tuple[str, str], float]:
    """Set and model → the value that evaluation gives."""
    found = {}
    heard = data.heard(scored)
    decoding = plan.settings.decoding.model_dump(mode="json")
    for held_out in plan.reported:
        for model in MODELS:
            frames = _frames(
                network, model, heard[held_out.subset.name, held_out.inputs[0]], plan, held_out
            )
            found[held_out.name, model] = value_of(
                frames, rows_of(data.events[held_out.name]), decoding
            )
    return found


def _frames(network: bytes, model: str, clips: Any, plan: Plan, held_out: HeldOut) -> np.ndarray:
    return np.stack([says(network, model, *clip, len(plan.classes)) for clip in clips])


_really_read = tables.read


def _read(path: str | Path, columns: Any) -> Any:
    """A table; pandas parses the same text once."""
    try:
        text = Path(path).read_bytes()
    except OSError:
        return _really_read(path, columns)
    memo = (text, tuple(columns), Path(path).suffix)
    if memo not in _TABLES:
        _TABLES[memo] = _really_read(path, columns)
    return _TABLES[memo].copy()


_TABLES: dict[Any, Any] = {}
_really_read_yaml = settings.read_yaml
_really_plan = settings.plan


def _read_yaml(path: str | Path, *, shipped: bool = False) -> Any:
    """A file of settings; yaml parses the same text once."""
    return copy.deepcopy(_parsed(str(path), Path(path).read_bytes()))


@functools.cache
def _parsed(path: str, text: bytes) -> Any:
    return _really_read_yaml(path)


def _plan(project: Any, run: Any, model: Any) -> Plan:
    """What a run means; the same under the same project."""
    memo = (id(project), run)
    if memo not in _PLANS:
        _PLANS[memo] = (project, _really_plan(project, run, model))
    return _PLANS[memo][1]


def _restore(given: Any) -> Given:
    """The project of a job; the same settings make the same one."""
    memo = json.dumps(given, sort_keys=True)
    if memo not in _GIVEN:
        _GIVEN[memo] = _really_restore(given)
    return _GIVEN[memo]


_GIVEN: dict[str, Given] = {}
_really_restore = tasks.restore
_PLANS: dict[Any, tuple[Any, Plan]] = {}


def _subsets(project: Any, paper: str, row: str) -> tuple[Subset, ...]:
    """What a row reads; the same under the same project."""
    memo = (id(project), paper, row)
    if memo not in _SUBSETS:
        _SUBSETS[memo] = (project, tuple(_really_subsets(project, paper, row)))
    return _SUBSETS[memo][1]


_SUBSETS: dict[Any, tuple[Any, tuple[Subset, ...]]] = {}
_really_subsets = whose._subsets


def forget_files() -> None:
    """Forget what a process remembers of files while they keep place, size and date."""
    links._seal.cache_clear()
    links._key_of_store.cache_clear()
    links._digest.cache_clear()
    links._clips_of.cache_clear()


# What many jobs read, read once. A walk changes nothing of it but in its own ways.

under_local: Any = None
"""Which recordings lie under `local`; another value, another tree."""
_TREES: dict[Any, str] = {}
_DESCRIBED: dict[Any, tuple[Any, ...]] = {}
_EVENTS: dict[Any, Any] = {}
_CLIPS: dict[bytes, Any] = {}
_STORES: dict[bytes, dict[str, Any]] = {}
_really_stamp = files.tree_stamp
_really_adapt = desed.adapt
_really_read_events = tables.read_events
_really_read_clips = tables.read_clip_table
_really_open = Store.__init__


def _tree_stamp(tree: str | Path) -> str:
    if (str(tree), under_local) not in _TREES:
        _TREES[str(tree), under_local] = _really_stamp(tree)
    return _TREES[str(tree), under_local]


def _adapt(name: str, project: Any) -> tuple[Any, ...]:
    # The date of a recording is in no table.
    memo = (name, under_local[:3], project.data.desed.weak_split.fraction)
    if memo not in _DESCRIBED:
        _DESCRIBED[memo] = _really_adapt(name, project)
    return tuple(table.copy() for table in _DESCRIBED[memo])


def _read_events(path: str | Path, classes: Any = None) -> Any:
    try:
        memo = (Path(path).read_bytes(), None if classes is None else tuple(classes))
    except OSError:
        return _really_read_events(path, classes)
    if memo not in _EVENTS:
        _EVENTS[memo] = _really_read_events(path, classes)
    return _EVENTS[memo].copy()


def _read_clips(path: str | Path) -> Any:
    try:
        text = Path(path).read_bytes()
    except OSError:
        return _really_read_clips(path)
    if text not in _CLIPS:
        _CLIPS[text] = _really_read_clips(path)
    return _CLIPS[text].copy()


def _open(store: Store, path: str | Path) -> None:
    """A store; HDF5 makes the same of the same bytes."""
    try:
        content = Path(path).read_bytes()
    except OSError:
        content = b""
    if content in _STORES:
        vars(store).update(_STORES[content], path=Path(path))
        return
    _really_open(store, path)
    _STORES[content] = dict(vars(store))


# The page, without its looks


def _shown(project: Any, paper: str, layout: Any, root: Any, shown: list[Any]) -> dict[str, Any]:
    printed, found = page.collect(project, paper, layout, root)
    shown += found
    return {"text": to_csv(printed), "whose": whose.Whose()}


class _Plain:
    """In place of the page's templates."""

    def get_template(self, name: str) -> _Plain:
        return self

    def render(self, papers: Any, **_: Any) -> str:
        return "".join(paper["text"] for paper in papers)


@contextlib.contextmanager
def in_place():
    """The stubs in place of the heavy work; everything else is the project's own."""
    shipped = registry.load(ROOT)
    made = {"version": "0", "commit": None, "dirty": None, "digest": "0"}
    patches = (
        mock.patch("sedrepro.features.extract._work", _work),
        mock.patch("sedrepro.training.run.Fit", Fit),
        mock.patch("sedrepro.evaluation.sed.measure", _measure),
        mock.patch("sedrepro.training.run.code", return_value=made),
        mock.patch("sedrepro.training.run.packages", dict),
        mock.patch("sedrepro.reporting.draw"),
        # Read once: they never change here.
        mock.patch("sedrepro.tables.read", _read),
        mock.patch.object(sys.modules["sedrepro.settings.load"], "read_yaml", _read_yaml),
        mock.patch("sedrepro.settings.plan", _plan),
        mock.patch("sedrepro.settings.tasks.restore", _restore),
        mock.patch("sedrepro.reporting.records.plan", _plan),
        mock.patch("sedrepro.reporting.links.plan", _plan),
        mock.patch.object(whose, "_subsets", _subsets),
        mock.patch("os.fsync"),
        mock.patch("sedrepro.sources.registry.load", return_value=shipped),
        mock.patch("sedrepro.reporting.page._paper", _shown),
        mock.patch("sedrepro.reporting.page._environment", _Plain),
        mock.patch("sedrepro.tables.read_events", _read_events),
        mock.patch("sedrepro.tables.read_clip_table", _read_clips),
        mock.patch.object(Store, "__init__", _open),
        mock.patch("sedrepro.pipeline.job.ending_with_driver", contextlib.nullcontext),
        mock.patch("sedrepro.sources.desed.adapt", _adapt),
        mock.patch("sedrepro.reporting.links._stamp", lambda tree, _: _tree_stamp(tree)),
        mock.patch("sedrepro.pipeline.driver.tree_stamp", _tree_stamp),
        mock.patch("sedrepro.mixtures.origins.tree_stamp", _tree_stamp),
    )
    with contextlib.ExitStack() as stack:
        for patch in patches:
            stack.enter_context(patch)
        yield
