"""A clock that jumps: dates that cannot be right lead to no wrong result, and cost no training."""

from __future__ import annotations

import os
import random
import time

import pytest

from sedrepro.files import read_json
from sedrepro.pipeline.driver import reset_future_mtimes

from .conftest import RESULTS, ROWS, made, run, run_folder

DAY = 86400.0
PUBLISHED = "config/papers/lgc_sed/published.csv"


def test_the_future_becomes_the_distant_past(tmp_path):
    now = time.time()
    for name, date in {"old": now - DAY, "now": now, "soon": now + 5, "future": now + DAY}.items():
        (tmp_path / "a" / "b").mkdir(parents=True, exist_ok=True)
        (tmp_path / "a" / "b" / name).touch()
        os.utime(tmp_path / "a" / "b" / name, (date, date))
    kept = {p.name: p.stat().st_mtime for p in (tmp_path / "a/b").iterdir()}
    assert reset_future_mtimes([tmp_path / "a", tmp_path / "nowhere"]) == [tmp_path / "a/b/future"]
    found = {p.name: p.stat().st_mtime for p in (tmp_path / "a/b").iterdir()}
    assert found == kept | {"future": 1}
    assert reset_future_mtimes([tmp_path]) == []


def test_a_file_of_somebody_elses_keeps_its_date_and_no_other(tmp_path, monkeypatch):
    then = time.time() + DAY
    for name in ("a", "theirs", "z"):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (then, then))

    def utime(path, *times, change=os.utime):
        if path.name == "theirs":
            raise PermissionError(path)
        change(path, *times)

    monkeypatch.setattr(os, "utime", utime)
    assert {path.name for path in reset_future_mtimes([tmp_path])} == {"a", "z"}
    assert {p.name for p in tmp_path.iterdir() if p.stat().st_mtime == 1} == {"a", "z"}


@pytest.mark.system
def test_files_of_every_date_there_is(whole, copy):
    """As if the clock had jumped there and back while they were written."""
    draw = random.Random(3)
    files = [p for top in ("data", "results", "config") for p in (copy / top).rglob("*")]
    for path in sorted(files):
        if path.is_file() and draw.random() < 0.5:
            date = time.time() + draw.choice((-4000, -30, -1, 1, 30, 4000)) * DAY
            os.utime(path, (date, date))
    run(copy)
    assert made(copy) == made(whole)
    for row in ROWS:  # made again, not trained again
        cost = read_json(copy / run_folder(row) / "run.json")["cost"]
        assert cost == read_json(whole / run_folder(row) / "run.json")["cost"]
    assert "Nothing to be done" in run(copy).stderr


@pytest.mark.system
def test_a_result_from_the_future_is_not_newer_than_what_changes_now(whole, copy):
    for path in (copy / "results").rglob("*"):
        if path.is_file():
            os.utime(path, (time.time() + DAY, time.time() + DAY))
    published = copy / PUBLISHED
    text = published.read_text()
    assert ",0.353," in text
    published.write_text(text.replace(",0.353,", ",0.98765,"))
    run(copy, RESULTS / "tables/lgc_sed.csv")
    assert "0.98765" in (copy / RESULTS / "tables/lgc_sed.csv").read_text()
