"""Where the checkout and the working folder are, looked for from anywhere."""

from __future__ import annotations

import pytest

from sedrepro import places
from sedrepro.errors import SedreproError


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    (folder / "config").mkdir(parents=True)
    (folder / "config/datasets.yaml").touch()
    (folder / "src/sedrepro").mkdir(parents=True)
    return folder


@pytest.fixture
def work(tmp_path, checkout):
    folder = tmp_path / "work"
    (folder / "results/full").mkdir(parents=True)
    places.mark(folder, checkout)
    return folder


def test_a_checkout_is_its_own_working_folder(checkout, monkeypatch):
    monkeypatch.chdir(checkout / "src/sedrepro")
    assert places.find() == places.Place(checkout, checkout)


def test_a_marked_folder_has_its_checkout(checkout, work, monkeypatch):
    monkeypatch.chdir(work / "results/full")
    assert places.find() == places.Place(work, checkout)


def test_a_folder_marked_inside_a_checkout_is_the_nearer_one(checkout, monkeypatch):
    inner = checkout / "inner"
    inner.mkdir()
    places.mark(inner, checkout)
    monkeypatch.chdir(inner)
    assert places.find() == places.Place(inner, checkout)


def test_a_checkout_that_was_at_work_for_another_is_its_own_again(checkout, work, monkeypatch):
    monkeypatch.chdir(checkout)
    places.mark(checkout, work)
    assert (checkout / places.MARK).is_file()
    places.mark(checkout, checkout)
    assert places.find() == places.Place(checkout, checkout)


def test_a_checkout_that_went_away_is_said(checkout, work, monkeypatch):
    monkeypatch.chdir(work)
    checkout.rename(checkout.with_name("moved"))
    with pytest.raises(SedreproError, match=f"{work}: its checkout {checkout} is no longer there"):
        places.find()
    places.mark(work, checkout.with_name("moved"))
    assert places.checkout() == checkout.with_name("moved")


def test_a_spoilt_mark_is_named(work, monkeypatch):
    monkeypatch.chdir(work)
    (work / places.MARK).write_text("{}")
    with pytest.raises(SedreproError, match=r"sedrepro\.json: not readable; delete it"):
        places.find()


def test_paths_mean_what_they_meant_where_they_were_typed(work, tmp_path, monkeypatch):
    inside = work / "results/full"
    (inside / "seed42").mkdir()
    monkeypatch.chdir(inside)
    assert places.typed("a.wav") == inside / "a.wav"
    assert places.typed("/x/a.wav").as_posix() == "/x/a.wav"
    assert places.typed_run("seed42") == str(inside / "seed42")
    assert places.typed_run("lgc_sed/mt/desed/seed42") == "lgc_sed/mt/desed/seed42"
    for folder in (work, tmp_path):
        monkeypatch.chdir(folder)
        assert places.typed("a.wav").as_posix() == "a.wav"
