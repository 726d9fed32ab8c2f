"""From stores and tables to batches: a pure function of seed, stream, epoch and position."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import tables
from ..inference.networks import as_input
from ..papers.contract import Batch
from ..settings import HeldOut, Layout, Plan, Stream, Subset
from ..store import Store


@dataclass(frozen=True)
class Clips:
    """The clips of a subset (or of a portion of it) that its stores hold."""

    names: list[str]
    seconds: np.ndarray
    rows: dict[str, np.ndarray]
    stores: dict[str, Store]

    @classmethod
    def of(cls, subset: Subset, inputs: Sequence[str], layout: Layout) -> Clips:
        stores = {name: Store(layout.store(subset, name)) for name in inputs}
        first = stores[inputs[0]]
        wanted = set(first.clips)
        if subset.portion is not None:
            table = tables.read_clip_table(layout.table(subset, "clips"))
            wanted &= set(table.loc[table["fold"].map(subset.holds).astype(bool), "clip"])
        names = [name for name in first.clips if name in wanted]
        rows = {}
        for name, store in stores.items():
            place = {clip: index for index, clip in enumerate(store.clips)}
            rows[name] = np.array([place[clip] for clip in names], dtype=np.int64)
        keep = rows[inputs[0]]
        return cls(names, first.seconds[keep], rows, stores)

    def __len__(self) -> int:
        return len(self.names)


class Pool:
    """All clips of a stream with their targets; kept on the device when they fit."""

    def __init__(self, stream: Stream, plan: Plan, layout: Layout) -> None:
        self.stream = stream
        self.parts = [Clips.of(subset, stream.inputs, layout) for subset in stream.subsets]
        self.group = stream.group if len(self) else 0
        grid, classes = plan.grid, plan.classes
        self.frames = np.zeros((len(self), grid.frames, len(classes)), np.float32)
        self.clips = np.zeros((len(self), len(classes)), np.float32)
        start = 0
        for subset, part in zip(stream.subsets, self.parts, strict=True):
            stop = start + len(part)
            if stream.labels != "none":
                events = tables.read_events(layout.table(subset, "events"), classes)
                self.clips[start:stop] = tables.clip_targets(events, part.names, classes)
                if stream.labels == "frames":
                    self.frames[start:stop] = tables.frame_targets(
                        events,
                        part.names,
                        classes,
                        grid.frames,
                        grid.seconds,
                        stream.overlap,
                    )
            start = stop
        self._resident: dict[str, Tensor] = {}

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def nbytes(self) -> int:
        return sum(
            len(part) * store.nbytes // max(1, len(store))
            for part in self.parts
            for store in part.stores.values()
        )

    def to(self, device: torch.device) -> None:
        """Keep everything on the device; batches are indexed there from now on."""
        for name in self.stream.inputs:
            arrays = [part.stores[name].read(part.rows[name]) for part in self.parts if len(part)]
            if arrays:
                joined = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
                self._resident[name] = torch.from_numpy(joined).to(device)

    def inputs(self, indices: np.ndarray) -> dict[str, Tensor]:
        """The stored values of some clips, by front end."""
        if self._resident:
            return {
                name: values[torch.from_numpy(indices)] for name, values in self._resident.items()
            }
        bounds = np.cumsum([0, *map(len, self.parts)])
        owner = np.searchsorted(bounds, indices, side="right") - 1
        return {
            name: torch.from_numpy(
                np.stack(
                    [
                        self.parts[o].stores[name][self.parts[o].rows[name][i - bounds[o]]]
                        for o, i in zip(owner, indices, strict=True)
                    ]
                )
            )
            for name in self.stream.inputs
        }


class Loader:
    """Draws the batches of an epoch. No state: epoch and position say everything."""

    def __init__(
        self, plan: Plan, layout: Layout, *, device: torch.device, resident_bytes: float
    ) -> None:
        self.pools = [Pool(stream, plan, layout) for stream in plan.streams]
        self.seed = plan.run.seed
        self.device = device
        self.steps = plan.settings.training.steps_per_epoch or self._shortest()
        if sum(pool.nbytes for pool in self.pools) <= resident_bytes:
            for pool in self.pools:
                pool.to(device)
        self.parts = {}
        start = 0
        for pool in self.pools:
            self.parts[pool.stream.name] = slice(start, start + pool.group)
            start += pool.group

    def _shortest(self) -> int:
        ending = [pool for pool in self.pools if pool.stream.ends_epoch and len(pool)]
        return max(1, min(len(pool) // pool.group for pool in ending))

    def _order(self, pool: Pool, epoch: int) -> np.ndarray:
        """The clips of an epoch; a stream shorter than the epoch is shuffled anew and goes on."""
        needed, drawn = self.steps * pool.group, 0
        orders: list[np.ndarray] = []
        while drawn < needed:
            name = zlib.crc32(pool.stream.name.encode())
            draw = np.random.default_rng([self.seed, name, epoch, len(orders)])
            orders.append(draw.permutation(len(pool)))
            drawn += len(pool)
        return np.concatenate(orders)[:needed] if orders else np.empty(0, np.int64)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of an epoch from position `first` on, prepared one ahead."""
        orders = [self._order(pool, epoch) for pool in self.pools]

        def prepare(position: int) -> Batch:
            picks = [
                order[position * pool.group : (position + 1) * pool.group]
                for order, pool in zip(orders, self.pools, strict=True)
            ]
            return self._batch(picks)

        with ThreadPoolExecutor(1) as worker:
            if first >= self.steps:
                return
            upcoming = worker.submit(prepare, first)
            for position in range(first, self.steps):
                batch = upcoming.result()
                if position + 1 < self.steps:
                    upcoming = worker.submit(prepare, position + 1)
                yield batch

    def clips(self, size: int = 64) -> Iterator[dict[str, Tensor]]:
        """The inputs of every training clip once, stream by stream, in stored order."""
        for pool in self.pools:
            for start in range(0, len(pool), size):
                values = pool.inputs(np.arange(start, min(start + size, len(pool))))
                yield {name: as_input(value.to(self.device)) for name, value in values.items()}

    def _batch(self, picks: list[np.ndarray]) -> Batch:
        chosen = [(pool, pick) for pool, pick in zip(self.pools, picks, strict=True) if len(pick)]
        drawn = [pool.inputs(pick) for pool, pick in chosen]
        move: dict[str, Any] = {"device": self.device, "non_blocking": True}
        return Batch(
            inputs={
                name: as_input(torch.cat([values[name].to(**move) for values in drawn]))
                for name in drawn[0]
            },
            frames=torch.from_numpy(np.concatenate([p.frames[i] for p, i in chosen])).to(**move),
            clips=torch.from_numpy(np.concatenate([p.clips[i] for p, i in chosen])).to(**move),
            parts=self.parts,
        )


class EvalSet:
    """The clips of a held-out set, read batch by batch in table order; `spec` declares the set."""

    def __init__(self, held_out: HeldOut, layout: Layout) -> None:
        self.spec = held_out
        self.data = Clips.of(held_out.subset, held_out.inputs, layout)

    def __len__(self) -> int:
        return len(self.data)

    def batches(self, size: int, device: torch.device) -> Iterator[dict[str, Tensor]]:
        for start in range(0, len(self), size):
            yield self.read(range(start, min(start + size, len(self))), device)

    def read(self, places: Sequence[int], device: torch.device) -> dict[str, Tensor]:
        return {
            name: as_input(
                torch.from_numpy(store.read(self.data.rows[name][list(places)])).to(device)
            )
            for name, store in self.data.stores.items()
        }
