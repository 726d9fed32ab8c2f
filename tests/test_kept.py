"""What is kept of finished jobs: put back under the same key, else made anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sedrepro import chain
from sedrepro.errors import SedreproError
from sedrepro.files import fingerprint
from sedrepro.kept import REPUBLISHED, Kept


class Work:
    def __init__(self, folder: Path) -> None:
        self.outputs = [folder / "a.txt", folder / "b.txt"]
        self.times = 0

    def __call__(self) -> None:
        self.times += 1
        for output in self.outputs:
            output.write_text(f"made {self.times}")

    def ask(self, key: str) -> None:
        """As Snakemake does: outputs are gone before the job starts."""
        for output in self.outputs:
            output.unlink(missing_ok=True)
        Kept.beside(self.outputs).or_make(key, self)


def test_the_same_key_is_published_again(tmp_path, capsys):
    work = Work(tmp_path)
    work.ask("one")
    work.ask("one")
    assert work.times == 1
    assert [output.read_text() for output in work.outputs] == ["made 1"] * 2
    assert REPUBLISHED in capsys.readouterr().out
    work.ask("two")
    assert work.times == 2


def test_what_was_kept_is_newer_than_what_it_was_made_from(tmp_path):
    work = Work(tmp_path)
    work.ask("one")
    for output in work.outputs:
        os.utime(output, (1, 1))
    work.ask("one")
    assert all(output.stat().st_mtime > 1e9 for output in work.outputs)


@pytest.mark.parametrize("damage", ["edited", "gone"])
def test_damage_is_made_anew(tmp_path, damage):
    work = Work(tmp_path)
    work.ask("one")
    kept = tmp_path / ".kept" / "a.txt" / "b.txt"
    kept.unlink()
    if damage == "edited":
        kept.write_text("something else")
    work.ask("one")
    assert work.times == 2
    assert work.outputs[1].read_text() == "made 2"


def test_a_copy_keeps_it(tmp_path):
    work = Work(tmp_path / "here")
    work.outputs[0].parent.mkdir()
    work.ask("one")
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    copy = Work(tmp_path / "there")
    copy.ask("one")
    assert copy.times == 0
    assert copy.outputs[0].read_text() == "made 1"


def test_a_seal_tells_changed_files_and_other_schemas(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    path = tmp_path / "key.json"
    chain.seal(path, "tables", [tmp_path / "a", tmp_path / "b"], parents={"p": "1"})
    described = chain.read_seal(path, "tables")
    assert described["parents"] == {"p": "1"}
    assert chain.changed_files(path, described) == []
    chain.refuse_changed(path, "tables")
    (tmp_path / "a").write_text("changed")
    with pytest.raises(SedreproError, match="a: was changed after it was written; delete it and"):
        chain.refuse_changed(path, "tables")
    (tmp_path / "b").unlink()
    changed, gone = chain.changed_files(path, described)
    assert changed == f"{tmp_path / 'a'}: was changed after it was written"
    assert gone == f"{tmp_path / 'b'}: is gone"
    monkeypatch.setitem(chain.SCHEMA, "tables", 99)
    with pytest.raises(
        SedreproError, match="schema 1 and this version of sedrepro makes schema 99"
    ):
        chain.read_seal(path, "tables")


def test_every_part_of_a_link_is_in_its_key():
    links = [
        chain.link("run", {"a": 1}, {"p": "1"}),
        chain.link("run", {"a": 2}, {"p": "1"}),
        chain.link("run", {"a": 1}, {"p": "2"}),
        chain.link("metrics", {"a": 1}, {"p": "1"}),
    ]
    assert len({link["key"] for link in links}) == 4


def test_a_fingerprint_sees_size_beginning_middle_and_end(tmp_path):
    path = tmp_path / "file"
    content = bytearray(50_000)
    path.write_bytes(content)
    seen = {fingerprint(path)}
    for place in (0, 25_000, 49_999):
        changed = bytearray(content)
        changed[place] = 1
        path.write_bytes(changed)
        seen.add(fingerprint(path))
    path.write_bytes(content + b"\0")
    seen.add(fingerprint(path))
    assert len(seen) == 5
    assert fingerprint(tmp_path / "absent") == ""
