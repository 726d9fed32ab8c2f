"""A store that is no longer what was written is found before it is used, named and rebuilt."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from sedrepro.errors import SedreproError
from sedrepro.files import read_json
from sedrepro.store import Store, intact, writing

from .conftest import FEATURES, ReadOnly, made, run, run_folder

VALUES = np.random.default_rng(1).integers(-9000, 9000, (40, 1000)).astype("int16")


@pytest.fixture
def path(tmp_path) -> Path:
    path = tmp_path / "stores" / "a.h5"
    with writing(path, shape=(1000,), dtype="int16", attributes={"a": 1}) as store:
        for index, value in enumerate(VALUES):
            store.add(f"clip-{index}", 1.5, value)
    return path


def flip(path: Path, place: int, bit: int = 0) -> None:
    """Change one bit; dates stay, as they do when a disk forgets."""
    times = path.stat()
    with open(path, "r+b") as file:
        file.seek(place)
        (byte,) = file.read(1)
        file.seek(place)
        file.write(bytes([byte ^ 1 << bit]))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def place_of(path: Path, dataset: str) -> int:
    """Where the stored values of a dataset begin, in bytes."""
    with h5py.File(path) as file:
        data = file[dataset]
        if data.chunks:
            return data.id.get_chunk_info(len(data) // 2).byte_offset
        return data.id.get_offset()


def flipped_value(path: Path) -> None:
    flip(path, place_of(path, "data") + 777, 3)


def flipped_length(path: Path) -> None:
    flip(path, place_of(path, "seconds") + 8)


def flipped_name(path: Path) -> None:
    flip(path, path.read_bytes().find(b"clip-17") + 6)


def zeroed(path: Path) -> None:
    with open(path, "r+b") as file:
        file.seek(place_of(path, "data"))
        file.write(bytes(512))


def exchanged(path: Path) -> None:
    """Two sectors in each other's place."""
    content = bytearray(path.read_bytes())
    first = place_of(path, "data")
    second = first + 1024
    sectors = content[first : first + 512], content[second : second + 512]
    content[second : second + 512], content[first : first + 512] = sectors
    path.write_bytes(content)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def something_else(path: Path) -> None:
    path.write_text("<!DOCTYPE html>")


DAMAGE = [
    flipped_value,
    flipped_length,
    flipped_name,
    zeroed,
    exchanged,
    cut,
    emptied,
    something_else,
]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda damage: damage.__name__)
def test_damage_is_named_and_set_aside(damage, path):
    assert intact(path).clips[17] == "clip-17"
    damage(path)
    broken = path.read_bytes()
    with pytest.raises(SedreproError) as error:
        intact(path)
    assert str(error.value).startswith(f"{path}: ")
    assert str(error.value).endswith("; it is now a.h5.broken: start again to have it rebuilt")
    assert "\n" not in str(error.value)
    assert [p.name for p in path.parent.iterdir()] == ["a.h5.broken"]
    assert path.with_name("a.h5.broken").read_bytes() == broken
    with pytest.raises(SedreproError, match="no such store; start again to have it made"):
        intact(path)  # what another job says, that needs it too


def test_every_bit_of_a_store_counts(path):
    """Wherever a bit flips, the store is refused, or reads as it was written."""
    content, expected = path.read_bytes(), Store(path)
    draw = np.random.default_rng(2)
    size = len(content)
    places = [*draw.integers(0, size, 150), *range(0, 600, 7), *range(size - 4000, size, 37)]
    refused = 0
    for place in map(int, places):
        path.write_bytes(content)
        flip(path, place, place % 8)
        try:
            found = intact(path)
        except SedreproError:
            refused += 1
            continue
        assert found.content_key == expected.content_key
        assert found.clips == expected.clips
        assert found.attributes == expected.attributes
        assert (found.seconds == expected.seconds).all()
        assert (found.read() == VALUES).all()
    assert refused > len(places) / 2


def test_where_it_cannot_be_set_aside_the_user_is_asked_to(path, mounted):
    flipped_value(path)
    mounted(ReadOnly, path.parent)
    with pytest.raises(SedreproError, match="key; delete it and start again to have it rebuilt"):
        intact(path)
    assert path.exists()


@pytest.mark.system
def test_the_next_start_rebuilds_it_and_the_result_is_the_same(whole, copy):
    """Two stores: one of the finished run lacks nothing but a bit, one its second half."""
    flipped, short = (FEATURES / f"{name}.mel128.h5" for name in ("validation", "weak"))
    times = {path: (copy / path).stat().st_mtime_ns for path in (flipped, short)}
    flipped_value(copy / flipped)
    cut(copy / short)
    os.utime(copy / short, ns=(times[short], times[short]))
    folder = copy / run_folder("mt")
    for name in ("run.json", "metrics.json"):  # something to do for which they are read
        (folder / name).unlink()
    found = []
    while (done := run(copy, check=False)).returncode:
        said = done.stdout + done.stderr
        lines = [line.strip() for line in said.splitlines() if ".broken: start again" in line]
        assert lines, said
        assert "Traceback" not in said, said
        found += {line.split()[1].rstrip(":") for line in lines}
        assert len(found) <= 2, found
    assert sorted(found) == sorted(map(str, (flipped, short)))
    for path in (flipped, short):
        assert Store(copy / path).content_key == Store(whole / path).content_key
        assert (copy / f"{path}.broken").exists()
    # Nothing was trained again: what had been finished was on what the rebuilt stores hold.
    assert (
        read_json(folder / "run.json")["cost"]
        == read_json(whole / run_folder("mt") / "run.json")["cost"]
    )
    assert made(copy) == made(whole)
