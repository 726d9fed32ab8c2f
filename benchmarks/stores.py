"""Feature stores: random reads of single clips, batches, writing; beside plain h5py and gzip.

OMP_NUM_THREADS=1 python benchmarks/stores.py [--clips 2000] [--reads 20000]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable

os.environ.setdefault("OMP_NUM_THREADS", "1")

import h5py
import numpy as np
from machine import line, rate, table

from sedrepro.store import Store, writing

SHAPES = {"mel 128 × 626, float16": ((128, 626), "float16"), "10 s, int16": ((160000,), "int16")}


def fill(path: str, values: np.ndarray, clips: int) -> None:
    shape, dtype = values.shape[1:], str(values.dtype)
    with writing(path, shape=shape, dtype=dtype, attributes={}) as store:
        for index in range(clips):
            store.add(str(index), 10.0, values[index % len(values)])


def read_each(read: Callable, which: list) -> None:
    for index in which:
        read(index)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--reads", type=int, default=20000)
    given = parser.parse_args()
    os.chdir(tempfile.mkdtemp())
    random = np.random.default_rng(0)
    order = random.integers(0, given.clips, given.reads).tolist()
    rows = []
    for name, (shape, dtype) in SHAPES.items():
        values = (100 * random.standard_normal((200, *shape))).astype(dtype)
        writes = rate(lambda data=values: fill("store.h5", data, given.clips), given.clips)
        store = Store("store.h5")
        read_each(store.__getitem__, list(range(given.clips)))  # warm
        batches = np.array(order[: len(order) // 48 * 48]).reshape(-1, 48)
        with h5py.File("gzip.h5", "w") as file:
            file.create_dataset("data", data=values, chunks=(1, *shape), compression="gzip")
        with h5py.File("store.h5") as plain, h5py.File("gzip.h5") as packed:
            readers: dict[str, tuple[Callable, list, int]] = {
                "sedrepro": (store.__getitem__, order, 1),
                "sedrepro, batches of 48": (store.read, list(batches), 48),
                "h5py, same file": (plain["data"].__getitem__, order, 1),
                "h5py, gzip": (packed["data"].__getitem__, list(range(200)), 1),
            }
            for reader, (read, which, size) in readers.items():
                speed = rate(lambda f=read, i=which: read_each(f, i), len(which) * size)
                rows.append([name, reader, f"{speed:,.0f}"])
        rows.append([name, "sedrepro, writing", f"{writes:,.0f}"])
    print(f"Clips per second from a warm store of {given.clips} clips, at random\n")
    table(["clip", "by", "clips/s"], rows)
    line()


if __name__ == "__main__":
    main()
