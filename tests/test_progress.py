"""The one record of how far a job is: who writes it, and what is read from it."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

from sedrepro import progress
from sedrepro.errors import SedreproError
from sedrepro.progress import current, duration, reporting


def test_outside_a_job_nobody_listens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert list(current().over("abc", 3, "letters")) == ["a", "b", "c"]
    assert list(tmp_path.iterdir()) == []


def test_a_job_counts_what_it_does(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    log, seen = tmp_path / "extract" / "desed.weak.mel128.log", []
    with reporting(log, "extract desed.weak.mel128"):
        for _ in current().over(range(4), 4, "clips"):
            seen.append(progress.read(log))
    assert [one["said"] for one in seen] == [f"{n} of 4 clips" for n in range(4)]
    assert [one["done"] for one in seen] == [0, 0.25, 0.5, 0.75]
    assert all(progress.is_running(one) for one in seen)
    assert progress.seconds_left(seen[0]) is None
    assert progress.seconds_left(seen[-1]) is not None
    assert not progress.is_running(progress.read(log))
    assert progress.read(log)["ended"] is True


def test_getting_ready_is_no_part_of_the_speed(tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    log = tmp_path / "train.log"
    with reporting(log, "train"):
        clock[0] = 60.0  # seconds of imports, then of reading
        current()(0.1, force=True)
        clock[0] = 70.0
        current()(0.2, force=True)
        assert progress.read(log)["left"] == 80.0


def test_threads_speak_each_for_its_part(tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with reporting(tmp_path / "fetch.log", "fetch"):
        current().expect(1000, "bytes")
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda name: current().note(200, name), ["a", "b", "a", "c"]))
        current().note(250, "c")
        assert progress.read(tmp_path / "fetch.log")["said"] == "650 of 1,000 bytes"


def test_a_job_that_fails_keeps_what_it_had_and_the_next_start_is_timed_anew(tmp_path):
    log = tmp_path / "train.log"
    with contextlib.suppress(SedreproError), reporting(log, "train"):
        current()(0.4, "epoch 2 of 5", force=True)
        raise SedreproError("no")
    assert (progress.read(log)["done"], progress.read(log)["ended"]) == (0.4, False)
    with reporting(log, "train"):
        assert progress.read(log)["done"] == 0.4
        current()(0.4, "epoch 2 of 5", force=True)
        assert progress.read(log)["left"] is None  # nothing was done since this start


def test_a_record_that_cannot_be_written_ends_no_job(tmp_path):
    (tmp_path / "logs").write_text("a file where a folder should be")
    with reporting(tmp_path / "logs" / "train.log", "train"):
        current()(0.5, "half", force=True)


def test_durations_for_people():
    told = [duration(seconds) for seconds in (45, 750, 11_520, 354_240)]
    assert told == ["45 s", "12.5 min", "3.2 h", "4.1 days"]
