"""A rehearsal measures a step and a scored clip; `sedrepro plan` makes hours of them."""

from __future__ import annotations

import pytest
from tiny import OVERLAYS, ROOT

from sedrepro import papers, settings
from sedrepro.pipeline import costs
from sedrepro.settings import Layout
from sedrepro.sources import registry
from sedrepro.training import rehearsal

MODELS = papers.settings_models()
HARDWARE = {"gpu": "Card", "cpu": "Processor"}
MEASURED = {
    "paper": "weak_mtl",
    "row": "2apae",
    "batch": 24,
    "clips": 6,
    "step_s": 1.0,
    "clip_s": 0.0,
    "memory_mb": 3072,
    "gpu_memory_mb": None,
}


@pytest.fixture
def project():
    overlay = {"run": ["weak_mtl", "lgc_sed"]}
    return settings.load(overlay, papers=MODELS, root=ROOT)


@pytest.fixture
def told(tmp_path, project):
    layout = Layout("data", str(tmp_path))

    def said(rows):
        rehearsal.write(rows, HARDWARE, layout)
        return costs.text(project, MODELS, registry.load(ROOT), layout)

    return said


def test_hours_are_steps_of_whole_batches(project, told):
    spec = project.papers["weak_mtl"]
    run = settings.Run(
        "weak_mtl", "2apae", next(iter(spec.conditions)), 0, (spec.folds or [None])[0]
    )
    plan = settings.plan(project, run, MODELS["weak_mtl"])
    steps = plan.settings.training.epochs * (6000 // 24)  # three folds of 2,000 mixtures
    assert costs.steps_of(project, plan, registry.load(ROOT)) == steps
    runs = sum(spec.table[row].kind == "train" for row in spec.headline)
    runs *= len(spec.conditions) * len(spec.folds or [None])
    hours = runs * steps * 4 / 3600  # a batch is four times what was measured
    text = told([MEASURED])
    assert f"weak_mtl: headline {hours:.1f} h with 1 seed, {3 * hours:.1f} h with 3 seeds" in text
    assert "cost on Card, from a rehearsal of 1 rows" in text
    assert "3.0 GiB" in text
    assert "extrapolated" in text


def test_what_was_not_rehearsed_is_named(told):
    text = told([MEASURED, {"paper": "lgc_sed", "row": "mt", "batch": 48, "problem": "no memory"}])
    assert "lgc_sed: not rehearsed (no memory)" in text
    assert "without what was not rehearsed" in text


def test_before_any_rehearsal_it_is_said_how_to_make_one(project, tmp_path):
    text = costs.text(project, MODELS, registry.load(ROOT), Layout("data", str(tmp_path)))
    assert text == "cost on this machine: not known; `make rehearsal` measures it"


def test_scored_clips_count_every_validation_and_kept_checkpoint(project):
    plan = settings.plan(project, settings.Run("lgc_sed", "mt", "desed", 0), MODELS["lgc_sed"])
    training = plan.settings.training
    validations = -(-training.epochs // training.validate_every)
    found = costs.scored_of(project, plan, registry.load(ROOT))
    ends = len(training.keep) * (1168 + 692 + 2500)
    assert found == 2 * (validations * 2500 + ends)  # by student and teacher


def test_a_part_of_a_batch_is_measured():
    project = settings.load(OVERLAYS["lgc_sed"], papers=MODELS, root=ROOT)
    run = settings.Run("lgc_sed", "lgc", "desed", 0)
    found = rehearsal.measure(project, run, MODELS, 3, 0, {})
    assert found["clips"] == 3  # of 3, 3 and 4
    assert min(found["step_s"], found["clip_s"], found["memory_mb"]) > 0
    line = rehearsal.as_line({"paper": "lgc_sed", "row": "lgc", "batch": 10, **found})
    assert "a step of 10 clips, from 3 of them" in line


def test_a_rehearsal_goes_on_past_a_row_that_fails(project, monkeypatch):
    monkeypatch.setattr(rehearsal, "_in_a_process", lambda *_: {"problem": "it was killed"})
    found = rehearsal.rehearse(project, MODELS, 0)
    assert {(row["paper"], row["problem"]) for row in found} == {
        ("lgc_sed", "it was killed"),
        ("weak_mtl", "it was killed"),
    }
