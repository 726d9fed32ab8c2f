"""What a run keeps between starts: of one key, whole, and published when it is finished."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sedrepro.errors import SedreproError
from sedrepro.training.state import MEASURED, OUTPUTS, State, home_of_numbers


@pytest.fixture
def state(tmp_path) -> State:
    """Of a run that was never started."""
    return State(tmp_path / "row" / "seed42")


def begin(state: State, key: str) -> None:
    """As training does, up to its first checkpoint."""
    state.open(key)
    for path in (state.resume, state.history):
        path.write_text(key)


def finish(state: State) -> None:
    with state.finishing() as folder:
        for name in OUTPUTS:
            (folder / name).write_text(f"{state.key()}'s {name}")


def measure(state: State) -> None:
    """As evaluation does."""
    home_of_numbers(state.folder).mkdir()
    for path in (home_of_numbers(state.folder), state.folder):
        for name in MEASURED:
            (path / name).write_text("numbers")


def there(state: State) -> set[str]:
    return {str(path.relative_to(state.folder)) for path in state.folder.rglob("*.*")} - {".state"}


def test_a_run_that_was_never_started_has_no_key(state):
    assert state.key() is None
    assert not state.finished
    state.forget()
    assert not state.folder.exists()


def test_what_belongs_to_the_key_is_kept(state):
    begin(state, "one")
    state.open("one")
    assert state.key() == "one"
    assert there(state) == {".state/resume.pt", ".state/history.csv"}


def test_what_another_key_left_behind_is_discarded(state):
    begin(state, "one")
    finish(state)
    state.publish()
    measure(state)
    begin(state, "one")
    state.open("two")
    assert state.key() == "two"
    assert not state.finished
    assert there(state) == set()


def test_forgetting_leaves_nothing(state):
    begin(state, "one")
    finish(state)
    state.publish()
    measure(state)
    begin(state, "one")
    state.forget()
    assert state.key() is None
    assert not state.finished
    assert there(state) == set()


def test_a_finished_run_needs_no_checkpoint_to_go_on_from(state):
    begin(state, "one")
    finish(state)
    assert state.finished
    kept = {f".state/finished/{name}" for name in (*OUTPUTS, "kept.json")}
    assert there(state) == kept
    finish(state)  # again, without a checkpoint that could go
    assert there(state) == kept


def test_it_is_kept_under_its_key_on_the_disk(state, monkeypatch):
    flushed = []
    begin(state, "one")
    monkeypatch.setattr(os, "fsync", lambda handle: flushed.append(os.readlink(_handle(handle))))
    finish(state)
    assert state._finished.key() == "one"
    assert {Path(name).name for name in flushed} >= set(OUTPUTS)


def _handle(number: int) -> str:
    return f"/proc/self/fd/{number}"


def test_a_run_of_no_key_can_be_finished(state):
    finish(state)
    assert state._finished.key() == ""


def test_a_run_that_fails_at_its_end_is_not_finished_and_leaves_no_draft(state):
    begin(state, "one")
    with pytest.raises(FileNotFoundError), state.finishing() as folder:
        (folder / "run.json").write_text("that alone")
    assert not state.finished
    assert there(state) == {".state/resume.pt", ".state/history.csv"}
    assert not (state.home / "draft").exists()


def test_the_draft_of_a_killed_end_is_swept_away(state):
    (state.home / "draft" / "inner").mkdir(parents=True)
    finish(state)
    assert there(state) == {f".state/finished/{name}" for name in (*OUTPUTS, "kept.json")}
    assert not (state.home / "finished" / "inner").exists()


def test_outputs_are_published_whole_or_not_at_all(state):
    begin(state, "one")
    finish(state)
    state.publish()
    assert (state.folder / "run.json").read_text() == "one's run.json"
    assert all((state.folder / name).exists() for name in OUTPUTS)
    kept = state.home / "finished" / "scores.h5"
    kept.unlink()
    kept.write_text("something else")
    with pytest.raises(SedreproError, match=r"scores\.h5: is not what the run wrote when it was f"):
        state.publish()
