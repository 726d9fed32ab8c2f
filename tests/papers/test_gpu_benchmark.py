"""benchmarks/gpu.py, as far as it goes without a GPU."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
from tiny import OVERLAYS, ROOT

from sedrepro import papers, settings

sys.path.insert(0, str(ROOT / "benchmarks"))
import gpu


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> settings.Project:
    monkeypatch.setattr(gpu, "alone", lambda work, *given: work(*given))
    monkeypatch.setattr(gpu.places, "checkout", lambda: ROOT)
    return settings.load(OVERLAYS["lgc_sed"], papers=papers.settings_models(), root=ROOT)


def test_each_paper_is_timed_with_its_own_method(project):
    rows = [(run.paper, run.row) for run in gpu.chosen(project)]
    assert ("lgc_sed", "lgc") in rows
    assert ("weak_mtl", "2apae") in rows
    assert len(dict(rows)) == len(rows) == 6


def test_a_row_tells_milliseconds_and_hours(project, monkeypatch):
    only = [run for run in gpu.chosen(project) if run.paper == "lgc_sed"]
    monkeypatch.setattr(gpu, "chosen", lambda _: only)
    (row,) = gpu.forms_of(project, "cpu", 1, math.inf)
    name, form, clips, milliseconds, busy, memory, hours, cosine = row
    assert (name, form, busy, memory, cosine) == ("lgc_sed lgc", "float32", "", "", "")
    assert int(clips) == gpu.planned(project, only[0]).batch
    assert float(milliseconds) > 0
    assert float(hours) >= 0
    assert gpu.forms_of(project, "cpu", 1, 0.0) == []  # no time is left


def test_what_fails_is_told_in_its_row(project, monkeypatch):
    monkeypatch.setattr(gpu, "alone", lambda *_: {"problem": "RuntimeError: out of memory"})
    monkeypatch.setattr(gpu.Files, "of", lambda *_: (Path("nowhere"), "random"))
    rows = gpu.forms_of(project, "cpu", 1, math.inf)
    assert [row[3] for row in rows] == ["RuntimeError: out of memory"] * 6


def test_gradients_of_equal_precision_are_equal(project):
    (run,) = [run for run in gpu.chosen(project) if run.paper == "lgc_sed"]
    found = gpu.parity(gpu.planned(project, run), {}, "cpu")
    assert found["cosine"] == pytest.approx(1.0, abs=1e-5)
