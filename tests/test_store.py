from __future__ import annotations

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest

from sedrepro.errors import SedreproError
from sedrepro.store import Store, writing


def clips(count: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    values = np.random.default_rng(1).integers(-9000, 9000, (count, *shape))
    return values.astype(dtype)


def write(path: Path, values: np.ndarray, attributes: dict | None = None) -> Path:
    with writing(
        path, shape=values.shape[1:], dtype=str(values.dtype), attributes=attributes or {"a": 1}
    ) as store:
        for index, value in enumerate(values):
            store.add(f"clip-{index}", 1.5, value)
    return path


@pytest.mark.parametrize(
    ("shape", "dtype"), [((16, 63), "float16"), ((1000,), "int16"), ((3, 2, 5), "float32")]
)
def test_clips_are_read_as_they_were_written(
    tmp_path: Path, shape: tuple[int, ...], dtype: str
) -> None:
    values = clips(150, shape, dtype)  # enough for the file to be extended twice
    store = Store(write(tmp_path / "a.h5", values))
    assert (len(store), store.shape, store.dtype) == (150, values.shape, values.dtype)
    assert store.nbytes == values.nbytes
    assert store.clips[149] == "clip-149"
    assert store.seconds.tolist() == [1.5] * 150
    for index in (0, 63, 64, 149, -1):
        np.testing.assert_array_equal(store[index], values[index])
    order = np.random.default_rng(2).permutation(150)
    np.testing.assert_array_equal(store.read(order), values[order])
    np.testing.assert_array_equal(store.read(), values)
    assert store.read([]).shape == (0, *shape)
    with h5py.File(store.path) as file:  # and any HDF5 reader sees the same
        np.testing.assert_array_equal(file["data"][:], values)
    store.verify()


def test_a_store_can_be_iterated_and_ends(tmp_path: Path) -> None:
    values = clips(3, (4,), "int16")
    np.testing.assert_array_equal(list(Store(write(tmp_path / "a.h5", values))), values)


def test_a_store_is_read_on_after_a_pickle_and_in_a_fork(tmp_path: Path) -> None:
    values = clips(9, (100,), "int16")
    store = Store(write(tmp_path / "a.h5", values))
    np.testing.assert_array_equal(store[4], values[4])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store))[7], values[7])
    child = os.fork()
    if child == 0:
        os._exit(0 if (store.read() == values).all() else 1)
    np.testing.assert_array_equal(store.read(), values)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_identical_data_has_an_identical_key(tmp_path: Path) -> None:
    values = clips(3, (4,), "int16")
    first = Store(write(tmp_path / "a.h5", values)).content_key
    assert Store(write(tmp_path / "b.h5", values)).content_key == first
    assert Store(write(tmp_path / "c.h5", values, {"a": 2})).content_key != first
    values[2, 3] += 1
    assert Store(write(tmp_path / "d.h5", values)).content_key != first


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", clips(3, (1000,), "int16"))
    content = bytearray(path.read_bytes())
    where = content.find(clips(3, (1000,), "int16")[1].tobytes())
    content[where + 10] ^= 1
    path.write_bytes(content)
    with pytest.raises(SedreproError, match="do not match their key"):
        Store(path).verify()


def test_what_is_not_a_whole_store_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.h5", clips(50, (1000,), "int16"))
    store = Store(path)
    os.truncate(path, 5000)
    with pytest.raises(SedreproError, match=r"a\.h5: ends too early"):
        store.read()
    with pytest.raises(SedreproError, match=r"a\.h5: not a whole feature store"):
        Store(path)
    with pytest.raises(SedreproError, match=r"b\.h5: no such store"):
        Store(tmp_path / "b.h5")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with (
        pytest.raises(SedreproError, match=r"clip 'x' has shape \(3,\), expected \(4,\)"),
        writing(tmp_path / "a.h5", shape=(4,), dtype="int16", attributes={}) as store,
    ):
        store.add("x", 1.0, np.zeros(3))
    assert list(tmp_path.iterdir()) == []
