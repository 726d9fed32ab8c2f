"""Every link of the chain of keys, broken one at a time, and the line that says so."""

from __future__ import annotations

import fcntl
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import fabricate
import h5py
import pytest

from sedrepro import chain, papers, settings
from sedrepro.files import file_digest, write_json
from sedrepro.reporting import links
from sedrepro.reporting.links import (
    AGAIN,
    MEASURED_PARTS,
    REMEASURE,
    first_difference,
    measured_content,
)
from sedrepro.settings import Run, Subset
from written import numbers, rewrite, run_record

PAPER = "lgc_sed"
MT = Run(PAPER, "mt", "desed", 42)
LGC = Run(PAPER, "lgc", "desed", 42)
"""It starts from the mean teacher, where a test says so."""
MEDIAN = Run(PAPER, "mt_median7", "desed", 42)
"""It decodes the mean teacher's scores."""
VALIDATION = Subset("desed", "validation")


def read(place, run: Run, name: str) -> dict:
    path = Path(place.layout.run(run, name))
    return json.loads(path.read_text()) if path.exists() else {}


def broken(place, run: Run) -> str:
    """What is said of a run as it lies there."""
    plan = settings.plan(place.project, run, papers.settings_models()[PAPER])
    asked = links.Asked(plan, place.project)
    return links.broken(
        asked, read(place, run, "run.json"), read(place, run, "metrics.json"), place.layout
    )


def edit(place, run: Run, name: str, change) -> None:
    """Change a file as if it had been written so; numbers keep their own key."""
    path = Path(place.layout.run(run, name))
    content = json.loads(path.read_text())
    change(content)
    if name == "metrics.json":
        rewrite(path, content)
    else:
        write_json(path, content)


def remove(place, run: Run, *names: str) -> None:
    for name in names:
        Path(place.layout.run(run, name)).unlink()


def anew(run: Run) -> str:
    return f"{AGAIN}; if it finds nothing to do, `sedrepro forget {run}` first"


@pytest.fixture
def copy(made, tmp_path):
    """What the chain is made of, without the recordings, to break."""
    left = shutil.ignore_patterns("tables", "figures", "audio", "examples.h5")
    shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True, ignore=left)
    layout = fabricate.layout_of(tmp_path, made.project)
    return SimpleNamespace(folder=tmp_path, project=made.project, layout=layout)


@pytest.fixture
def started(copy):
    """A result set in which LGC starts from the mean teacher."""
    rows = {"lgc": {"from": "mt"}}
    copy.project = fabricate.project_of(papers={PAPER: {"table": rows}})
    plan = settings.plan(copy.project, LGC, papers.settings_models()[PAPER])
    write_json(copy.layout.run(LGC, "run.json"), run_record(plan, copy.layout))
    found = {name: read(copy, LGC, "metrics.json")[name] for name in MEASURED_PARTS[:4]}
    told = numbers(found, plan, copy.project, copy.layout)
    write_json(copy.layout.run(LGC, "metrics.json"), told)
    return copy


@pytest.mark.parametrize("run", [MT, LGC, MEDIAN])
def test_every_link_of_a_whole_result_set_holds(made, run):
    assert broken(made, run) == ""


def test_and_those_of_a_row_that_starts_from_another(started):
    assert broken(started, LGC) == ""


@pytest.mark.parametrize("run", [MT, LGC, MEDIAN])
def test_a_run_that_is_not_measured_yet_is_judged_alone(copy, run):
    remove(copy, run, "metrics.json")
    assert broken(copy, run) == ""


def test_a_run_of_another_schema_is_not_of_this_version(copy):
    edit(copy, MT, "run.json", lambda told: told.update(schema=0))
    assert broken(copy, MT) == (
        f"run.json: it has schema 0 and this version of sedrepro makes schema 1; {anew(MT)}"
    )


def test_numbers_of_another_schema_are_not_of_this_version(copy):
    edit(copy, MT, "metrics.json", lambda told: told.update(schema=0))
    assert broken(copy, MT) == (
        "metrics.json: it has schema 0 and this version of sedrepro makes schema 1; " + REMEASURE
    )


def test_a_run_of_other_settings_is_told_with_both_values(copy):
    edit(copy, MT, "run.json", lambda told: told["settings"]["training"].update(epochs=99))
    said = broken(copy, MT)
    assert said.startswith("the run was made with another settings.training.epochs (99; now ")
    assert said.endswith(anew(MT))


@pytest.mark.parametrize("run", [LGC, MEDIAN])
def test_what_is_wrong_with_a_source_is_wrong_with_the_row(started, run):
    edit(started, MT, "run.json", lambda told: told["settings"]["training"].update(epochs=99))
    assert broken(started, run).startswith(
        f"{MT}: the run was made with another settings.training.ep"
    )


def test_a_source_that_is_not_there_is_named(started):
    remove(started, MT, "run.json")
    assert broken(started, LGC) == f"{MT}, which it starts from, is not there; {AGAIN}"
    assert broken(started, MEDIAN) == f"{MT}, which it decodes, is not there"
    remove(started, MEDIAN, "metrics.json")
    assert broken(started, MEDIAN) == ""  # nothing is said to be decoded


@pytest.mark.parametrize("text", ["{", "[]"])
def test_a_damaged_record_of_a_source_is_none(copy, text):
    Path(copy.layout.run(MT, "run.json")).write_text(text)
    assert broken(copy, MEDIAN) == f"{MT}, which it decodes, is not there"


@pytest.mark.parametrize("part", ["key", "checkpoint"])
def test_a_source_that_is_another_now_is_named(started, part):
    def other(told):
        told["parents"]["source"][part] = "another"

    edit(started, LGC, "run.json", other)
    said = f"{MT}, which it starts from, is another now; {anew(LGC)}"
    assert broken(started, LGC) == said


def test_a_run_that_could_not_start_from_its_source_is_of_none(started):
    edit(started, LGC, "run.json", lambda told: told["parents"].update(source=None))
    remove(started, LGC, "metrics.json")
    remove(started, MT, "run.json")
    assert broken(started, LGC) == ""


def test_numbers_that_were_edited_are_not_printed(copy):
    path = Path(copy.layout.run(MT, "metrics.json"))
    content = json.loads(path.read_text())
    content["metrics"][0]["value"] = 0.99
    path.write_text(json.dumps(content))
    assert broken(copy, MT) == f"metrics.json was changed after it was written; {REMEASURE}"


def test_numbers_without_their_run_are_not_printed(copy):
    remove(copy, MT, "run.json")
    said = f"its numbers are there, the run they were measured on is not; {AGAIN}"
    assert broken(copy, MT) == said


@pytest.mark.parametrize("part", ["key", "scores"])
def test_numbers_of_another_run_are_not_printed(copy, part):
    edit(copy, MT, "metrics.json", lambda told: told["parents"]["run"].update({part: "another"}))
    assert broken(copy, MT) == (
        f"metrics.json is of another run than the one that lies there; {REMEASURE}"
    )


def test_numbers_of_other_settings_are_told_with_both_values(copy):
    edit(copy, MT, "metrics.json", lambda told: told["settings"].update(bootstrap=7))
    now = copy.project.report.bootstrap
    assert broken(copy, MT) == f"evaluated with another bootstrap (7; now {now}); {REMEASURE}"


def test_numbers_of_another_truth_are_not_printed_where_the_truth_is_there(copy):
    path = Path(copy.layout.table(VALIDATION, "audit"))
    path.write_text(path.read_text() + "\n")
    assert broken(copy, MT) == (
        f"evaluated against other clip tables than those that lie there; {REMEASURE}"
    )
    path.unlink()
    assert broken(copy, MT) == ""


def test_what_is_digested_is_what_is_there():
    told = {"status": "done", "metrics": [], "key": "a key"}
    assert measured_content(told) == measured_content({"status": "done", "metrics": []})
    assert measured_content(told) != measured_content({**told, "reason": ""})


def test_a_table_that_is_another_now_is_named(copy):
    path = Path(copy.layout.table(VALIDATION, "events"))
    path.write_text(path.read_text() + "\n")
    assert broken(copy, MT) == f"the run was made of another {path}; {anew(MT)}"
    path.unlink()  # what is gone cannot be compared
    remove(copy, MT, "metrics.json")
    assert broken(copy, MT) == ""


def seal(place, trees=None) -> Path:
    """The key of the validation set's tables, as the job that makes them writes it."""
    key = Path(place.layout.tables_key(VALIDATION))
    files = [place.layout.table(VALIDATION, name) for name in ("clips", "events", "audit")]
    chain.seal(key, "tables", files, trees=trees or {})
    return key


def test_a_seal_tells_the_content_of_the_tables(copy):
    key = seal(copy)
    assert broken(copy, MT) == ""
    described = json.loads(key.read_text())
    described["files"]["events.tsv"] = "another"
    path = copy.layout.table(VALIDATION, "events")
    key.unlink()
    key.write_text(json.dumps(described))
    assert broken(copy, MT) == f"{path}: was changed after it was written; delete it and {AGAIN}"


def test_a_seal_is_looked_at_again_when_a_table_changes(copy):
    seal(copy)
    assert broken(copy, MT) == ""
    path = Path(copy.layout.table(VALIDATION, "audit"))
    text = path.read_text()
    path.write_text(text + "\n")
    assert broken(copy, MT) == f"{path}: was changed after it was written; delete it and {AGAIN}"
    path.unlink()
    assert broken(copy, MT) == ""  # what is gone cannot be compared
    path.write_text(text)
    assert broken(copy, MT) == ""


def test_a_seal_of_another_version_is_refused(copy):
    key = seal(copy)
    key.write_text(json.dumps(json.loads(key.read_text()) | {"schema": 0}))
    assert broken(copy, MT).startswith(f"{key}: it has schema 0 and this version")


def test_a_tree_of_ones_own_is_compared_where_it_is(copy, monkeypatch):
    tree = copy.folder / "own"
    tree.mkdir()
    seal(copy, {str(tree): "the stamp it had", str(copy.folder / "gone"): "another"})
    said = f"{tree}: has changed since the run's data were read; {AGAIN}"
    assert broken(copy, MT) == said
    seal(copy, {str(tree): links.tree_stamp(tree), str(copy.folder / "gone"): "another"})
    assert broken(copy, MT) == ""


def test_a_tree_of_ones_own_is_looked_at_every_ten_seconds(copy, monkeypatch):
    tree, now, looked = copy.folder / "own", [100.0], []
    tree.mkdir()
    monkeypatch.setattr(links, "tree_stamp", lambda tree: looked.append(tree) or "a stamp")
    monkeypatch.setattr(links.time, "monotonic", lambda: now[0])
    seal(copy, {str(tree): "a stamp"})
    for moment in (100.0, 105.0, 109.9, 110.1, 119.0, 120.5):
        now[0] = moment
        assert broken(copy, MT) == ""
    assert len(looked) == 3


def store(place, content_key: str | None) -> Path:
    path = Path(place.layout.store(VALIDATION, "mel128"))
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        if content_key is not None:
            file.attrs["content_key"] = content_key
    return path


def test_a_store_that_is_another_now_is_named(copy):
    made_of = {"desed/validation.mel128": "77aa00"}
    edit(copy, MT, "run.json", lambda told: told["parents"].update(stores=made_of))
    assert broken(copy, MT) == ""  # gone, to make room
    path = store(copy, "77aa00")
    with open(path, "rb") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)  # others may ask nevertheless
        assert broken(copy, MT) == ""
    store(copy, "another key")
    assert broken(copy, MT) == f"the run was made of another {path}; {anew(MT)}"
    store(copy, None)
    assert broken(copy, MT) == f"{path}: not a whole feature store; delete it and {AGAIN}"
    path.unlink()
    path.write_text("no store at all")
    assert broken(copy, MT) == f"{path}: not a whole feature store; delete it and {AGAIN}"


def test_the_first_difference_is_told_by_its_name():
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 1}}) == ""
    assert first_difference({"a": {"b": 1, "c": 2}}, {"a": {"b": 1, "c": 3}}) == "a.c (2; now 3)"
    assert first_difference({"a": 1}, {"a": 1, "b": 2}) == "b (null; now 2)"
    assert first_difference({"a": 1, "b": 2}, {"a": 1}) == "b (2; now null)"
    assert first_difference({"a": None}, {}) == ""  # not given is as good as none
    assert first_difference({"a": 1}, {"a": {"b": 1}}) == 'a (1; now {"b": 1})'
    assert first_difference({"a": {"b": 1}}, {"a": 1}) == 'a ({"b": 1}; now 1)'


@pytest.mark.parametrize(("length", "shown"), [(58, "x" * 58 + '"'), (59, "x" * 56 + "...")])
def test_a_long_value_is_cut(length, shown):
    assert first_difference({"a": "x" * length}, {"a": 1}) == f'a ("{shown}; now 1)'


def test_the_content_of_a_table_without_a_seal_is_its_own(copy):
    path = copy.layout.table(VALIDATION, "events")
    assert links._table_digest(copy.layout.tables_key(VALIDATION), path) == file_digest(path)
    shutil.rmtree(Path(path).parent)
    assert links._sealed(copy.layout.tables_key(VALIDATION)) == ""
