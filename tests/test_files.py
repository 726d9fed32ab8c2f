"""Files are whole or absent, and keys are of what they say they are of."""

from __future__ import annotations

import errno
import hashlib
import io
import os

import numpy as np
import pytest

from sedrepro import files
from sedrepro.errors import SedreproError
from sedrepro.files import (
    Disk,
    atomic,
    digest,
    file_digest,
    fingerprint,
    full_disk,
    last_error,
    last_words,
    open_atomic,
    read_json,
    tree_stamp,
    write_json,
    write_text,
)


def blake(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_line(tmp_path, number):
    with (
        pytest.raises(SedreproError, match="a place: the disk is full; make room and start again"),
        full_disk("a place"),
    ):
        raise OSError(number, "no room")


def test_other_faults_of_a_disk_stay_what_they_are():
    with pytest.raises(PermissionError), full_disk("a place"):
        raise PermissionError(errno.EACCES, "not yours")


def test_a_file_appears_when_it_is_whole_in_folders_that_are_made_for_it(tmp_path):
    path = tmp_path / "not" / "yet" / "there.txt"
    with atomic(path) as temporary:
        assert temporary.parent == path.parent
        temporary.write_text("all of it")
        assert not path.exists()
    assert [one.name for one in path.parent.iterdir()] == ["there.txt"]
    write_text(path, "and again")
    assert path.read_text() == "and again"


def test_what_fails_leaves_nothing_and_what_was_there_stays(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("before")

    def fail() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_was_written_is_told_as_it_is(tmp_path):
    """Not hidden by the failure to remove what never was."""
    with pytest.raises(RuntimeError), atomic(tmp_path / "file.txt"):
        raise RuntimeError


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    order = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda _: order.append("flush"))
    monkeypatch.setattr(os, "replace", lambda *names: (order.append("rename"), replace(*names)))
    write_text(tmp_path / "file.txt", "words")
    assert order == ["flush", "rename"]


GONE, OURS, THEIRS = 4_000_001, 4_000_002, 4_000_003
"""Processes: one that ended, one of this user, and one of somebody else."""


def test_what_killed_writers_left_is_swept(tmp_path, monkeypatch):
    def kill(pid: int, number: int) -> None:
        assert number == 0  # which harms nobody
        if pid == GONE:
            raise ProcessLookupError
        if pid == THEIRS:
            raise PermissionError

    monkeypatch.setattr(os, "kill", kill)
    left = [f".file.txt.{pid}.tmp" for pid in (GONE, OURS, THEIRS)]
    others = [f".other.txt.{GONE}.tmp", ".file.txt.draft.tmp", f".file.txt.{GONE}", str(GONE)]
    for name in left + others:
        (tmp_path / name).write_text("half")
    for text in ("whole", "and again"):
        write_text(tmp_path / "file.txt", text)
    assert {one.name for one in tmp_path.iterdir()} == {"file.txt", *left[1:], *others}


def test_a_process_that_ended_is_not_alive():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    assert not files._alive(child)
    assert files._alive(os.getpid())


class Bits(io.FileIO):
    """A disk that takes three bytes at a time, and no more than `room`."""

    room = 1_000

    def write(self, values) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "no room")
        taken = super().write(bytes(values[: min(3, self.room)]))
        self.room -= taken
        return taken

    def truncate(self, size=None) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, "no room")
        return super().truncate(size)


class Slow(Disk, Bits):
    """What a library writes to."""


def test_all_is_written_however_little_a_disk_takes_at_once(tmp_path):
    values = np.arange(5.0)
    with Slow(tmp_path / "file", "w+") as disk:
        assert disk.write(values) == 40
        assert disk.write(b"") == 0
        disk.check()
    assert (tmp_path / "file").read_bytes() == values.tobytes()


def test_an_error_is_kept_until_it_is_asked_for(tmp_path):
    with Slow(tmp_path / "file", "w+") as disk:
        assert disk.truncate(4) == 4
        disk.room = 7
        assert disk.write(b"0123456789") == 10
        disk.room = 100
        assert disk.write(b"more") == 4  # is not tried any more
        with pytest.raises(OSError, match="no room"):
            disk.check()
    assert (tmp_path / "file").read_bytes() == b"0123456"


def test_so_is_that_of_a_file_that_cannot_grow(tmp_path):
    with Slow(tmp_path / "file", "w+") as disk:
        disk.room = 0
        assert disk.truncate(7) == 7
        assert disk.truncate() == 0
        with pytest.raises(OSError, match="no room"):
            disk.check()


def test_a_file_with_a_kept_error_does_not_appear(tmp_path):
    def fail() -> None:
        with open_atomic(tmp_path / "file") as disk:
            disk.write(b"some")
            disk._error = OSError(errno.ENOSPC, "no room")

    with pytest.raises(SedreproError, match="the disk is full"):
        fail()
    assert list(tmp_path.iterdir()) == []
    with open_atomic(tmp_path / "file") as disk:
        disk.write(b"some")
    assert (tmp_path / "file").read_bytes() == b"some"


def test_json_is_written_for_people_to_read(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"b": "Möwe", "a": [1]})
    assert path.read_text(encoding="utf-8") == '{\n "b": "Möwe",\n "a": [\n  1\n ]\n}\n'
    assert read_json(path) == {"b": "Möwe", "a": [1]}


@pytest.mark.parametrize(
    ("log", "words", "error"),
    [
        ("begins\nerror: it broke \n\n  \n", "error: it broke", "it broke"),
        ("error: once\nand went on\n", "and went on", ""),
        ("\n \n", "", ""),
    ],
)
def test_a_job_ended_in_the_error_that_is_its_logs_last_line(tmp_path, log, words, error):
    path = tmp_path / "log"
    path.write_text(log)
    assert (last_words(path), last_error(path)) == (words, error)


def test_a_log_that_is_not_there_says_nothing(tmp_path):
    assert (last_words(tmp_path / "log"), last_error(tmp_path / "log")) == ("", "")


def test_a_key_is_of_the_values_whatever_their_order():
    assert digest({"b": [1, 2.5], "a": "ä"}) == blake('{"a":"ä","b":[1,2.5]}'.encode())
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    assert digest([1, 2]) != digest([2, 1])


@pytest.mark.parametrize("size", [0, 100, 4096, 10_001, 20_000])
def test_a_fingerprint_is_of_the_size_and_three_places(tmp_path, size):
    content = np.random.default_rng(0).bytes(size)
    path = tmp_path / "file"
    path.write_bytes(content)
    last = max(0, size - 4096)
    pieces = [content[place : place + 4096] for place in (0, size // 2, last)]
    assert fingerprint(path) == blake(str(size).encode() + b"".join(pieces))


def test_the_key_of_a_file_is_of_its_content(tmp_path):
    (tmp_path / "file").write_bytes(b"words")
    assert file_digest(tmp_path / "file") == blake(b"words")


def test_the_stamp_of_a_tree_is_of_names_sizes_and_dates(tmp_path):
    tree = tmp_path / "tree"
    (tree / "inner").mkdir(parents=True)
    for name, date in (("b", 3), ("inner/a", 5)):
        (tree / name).write_text(name)
        os.utime(tree / name, ns=(date, date))
    (tree / "nowhere").symlink_to(tree / "gone")
    assert tree_stamp(tree) == digest([["b", 1, 3], ["inner/a", 7, 5]])
    os.utime(tree / "b", ns=(4, 4))
    assert tree_stamp(tree) == digest([["b", 1, 4], ["inner/a", 7, 5]])
    tree.rename(tmp_path / "elsewhere")
    assert tree_stamp(tmp_path / "elsewhere") == digest([["b", 1, 4], ["inner/a", 7, 5]])
    assert tree_stamp(tmp_path / "absent") == digest([])
