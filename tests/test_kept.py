"""What is kept of finished jobs: put back under the same key, else made anew."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from sedrepro import chain
from sedrepro.errors import SedreproError
from sedrepro.files import digest, file_digest, fingerprint, read_json
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
        SedreproError, match=r"schema \d+ and this version of sedrepro makes schema 99"
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


SCHEMAS = {"tables": 4, "store": 1, "run": 1, "metrics": 1, "results": 1}


@pytest.mark.parametrize("kind", chain.SCHEMA)
def test_the_key_of_a_link_is_of_its_kind_schema_settings_and_parents(kind):
    """A key that became another for no reason would have everybody make everything anew."""
    depends, parents, schema = {"epochs": 3}, {"source": "a key"}, SCHEMAS[kind]
    told = {"kind": kind, "schema": schema, "depends": depends, "parents": parents}
    expected = {"kind": kind, "schema": schema, "key": digest(told), "parents": parents}
    assert chain.link(kind, depends, parents) == expected


def test_a_seal_lies_beside_its_files_with_whatever_else_is_told(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a").write_text("words")
    chain.seal(tmp_path / "key.json", "store", [tmp_path / "inner" / "a"], depends=3, trees={})
    contents = {"inner/a": file_digest(tmp_path / "inner" / "a")}
    told = chain.link("store", {"settings": 3, "files": contents}, {})
    assert read_json(tmp_path / "key.json") == {**told, "files": contents, "trees": {}}


def test_what_an_artefact_says_can_be_read_or_is_one_line(tmp_path):
    path = tmp_path / "key.json"
    with pytest.raises(FileNotFoundError):
        chain.read(path)
    with pytest.raises(SedreproError, match=r"key\.json: no such file; start the workflow to have"):
        chain.read_seal(path, "tables")
    path.write_text("[]")
    with pytest.raises(SedreproError, match="holds no mapping; delete it and start the workflow"):
        chain.read(path)
    path.write_text("{")
    with pytest.raises(SedreproError, match=r"cannot be read \(.*\); delete it and start the work"):
        chain.read(path)
    path.write_text("{}")
    assert chain.read(path) == {}
    with pytest.raises(SedreproError, match="it has no schema and this version of sedrepro makes"):
        chain.read_seal(path, "tables")
    assert chain.other_schema("tables", {"schema": chain.SCHEMA["tables"]}) == ""


def test_what_is_gone_need_not_be_deleted_and_a_group_without_a_seal_is_let_be(tmp_path):
    path = tmp_path / "key.json"
    chain.refuse_changed(path, "tables")
    (tmp_path / "a").write_text("a")
    chain.seal(path, "tables", [tmp_path / "a"])
    (tmp_path / "a").unlink()
    with pytest.raises(SedreproError, match="a: is gone; start the workflow again"):
        chain.refuse_changed(path, "tables")


def test_only_what_has_a_key_is_kept_under_it(tmp_path):
    work = Work(tmp_path)
    kept = Kept.beside(work.outputs)
    assert kept.key() is None
    work.ask("one")
    assert kept.key() == "one"
    assert kept.damaged() == []
    assert kept.home == tmp_path / ".kept" / "a.txt"
    (kept.home / "kept.json").write_text("[]")
    assert kept.key() is None


def test_a_draft_of_a_killed_job_is_swept_away(tmp_path):
    work = Work(tmp_path)
    draft = tmp_path / ".kept" / ".a.txt.draft"
    draft.mkdir(parents=True)
    (draft / "half").write_text("half")
    work.ask("one")
    assert {path.name for path in (tmp_path / ".kept").rglob("*")} == {
        *("a.txt", "b.txt", "kept.json"),
    }


def test_what_another_key_left_is_gone_while_the_new_is_made(tmp_path):
    """So that a job that is killed does not leave what is of neither key."""
    work = Work(tmp_path)
    work.ask("one")

    def make() -> None:
        assert Kept.beside(work.outputs).key() is None
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Kept.beside(work.outputs).or_make("two", make)


def test_what_is_kept_anew_takes_the_place_of_what_was(tmp_path):
    work = Work(tmp_path)
    kept = Kept.beside(work.outputs)
    for key in ("one", "two"):
        work()
        kept.keep(key)
    kept.publish()
    assert kept.key() == "two"
    assert work.outputs[0].read_text() == "made 2"


@pytest.mark.parametrize("links", [True, False])
def test_kept_files_take_no_room_where_the_disk_has_hard_links(tmp_path, monkeypatch, links):
    def no_link(*_) -> None:
        raise OSError

    if not links:
        monkeypatch.setattr(os, "link", no_link)
    work = Work(tmp_path)
    work.ask("one")
    work.ask("one")
    kept = tmp_path / ".kept" / "a.txt" / "a.txt"
    assert kept.samefile(work.outputs[0]) is links
    assert work.outputs[0].read_text() == "made 1"
    assert work.times == 1
