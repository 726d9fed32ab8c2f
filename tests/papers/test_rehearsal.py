"""A rehearsal measures a step and a scored clip; `sedrepro plan` makes hours of them."""

from __future__ import annotations

import json

import pytest
from tiny import OVERLAYS, ROOT

from sedrepro import papers, settings
from sedrepro.clips import COLUMNS
from sedrepro.errors import SedreproError
from sedrepro.miniature import weights
from sedrepro.networks.atst import Atst
from sedrepro.networks.beats import Config
from sedrepro.pipeline import costs
from sedrepro.settings import Layout
from sedrepro.sources import registry
from sedrepro.training import rehearsal
from sedrepro.training.trainer import Trainer

MODELS = papers.settings_models()
HARDWARE = {"gpu": "Card", "cpu": "Processor"}
MEASURED = {
    "paper": "weak_mtl",
    "row": "2apae",
    "batch": 24,
    "clips": 6,
    "step_s": 1.0,
    "step_j": 100.0,
    "clip_s": 0.0,
    "save_s": 0.0,
    "before_mb": 1024.0,
    "peak_mb": 2048.0,
    "random": [],
}
STEPS = 80 * (6000 // 24)  # of weak_mtl: 80 epochs over three folds of 2,000 mixtures


@pytest.fixture
def project():
    overlay = {"run": ["weak_mtl", "lgc_sed"]}
    return settings.load(overlay, papers=MODELS, root=ROOT)


def costs_of(project, rows=(), encoders=()):
    found = {"rows": list(rows), "encoders": list(encoders)}
    return costs.Costs(project, MODELS, registry.load(ROOT), found)


def planned(project, paper, row, condition):
    fold = project.papers[paper].run_folds[0]
    return settings.plan(project, settings.Run(paper, row, condition, 0, fold), MODELS[paper])


@pytest.fixture
def told(tmp_path, project, monkeypatch):
    monkeypatch.chdir(tmp_path)
    layout = Layout("data", str(tmp_path))

    def said(rows, hardware=HARDWARE, encoders=()):
        found = {"rows": rows, "encoders": list(encoders)}
        rehearsal.write(found, hardware, layout)
        return costs.text(project, MODELS, registry.load(ROOT), layout)

    return said


def cells(text, paper, rows):
    """The cells of a paper's line in the table."""
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    place = next(k for k, line in enumerate(lines) if line.split()[0] == paper)
    return lines[place + (rows == "every row")].removeprefix("  ").split("  ")


def test_hours_energy_and_memory_are_those_of_whole_batches(project, told):
    text = told([MEASURED])
    hours = (
        9 * STEPS * 4 / 3600
    )  # three rows at three SNRs; a batch is four times what was measured
    kwh = 9 * STEPS * 400 / 3.6e6
    found = [cell for cell in cells(text, "weak_mtl", "headline") if cell]
    assert [cell.strip() for cell in found] == [
        *("weak_mtl", "headline", "9", f"{hours:.0f} h*", f"{3 * hours:.0f} h*"),
        # Beyond a GiB of networks a batch takes four, and 6,000 clips of 64 x 311 values are there.
        *(f"{kwh:.1f} kWh", f"{1 + 4 + 6000 * 64 * 311 * 2 / 2**30:.1f} GiB*"),
    ]
    assert "on Card" in text
    assert "extrapolated" in text


def test_a_processor_tells_no_energy(told):
    text = told([MEASURED | {"step_j": None}], {"gpu": None, "cpu": "Processor"})
    assert "not known" in cells(text, "weak_mtl", "headline")
    assert "on Processor" in text


def test_what_was_not_rehearsed_is_named(told):
    text = told([MEASURED, {"paper": "lgc_sed", "row": "mt", "batch": 48, "problem": "no memory"}])
    assert "not rehearsed: lgc_sed mt (no memory)" in text
    assert "`all` is without lgc_sed" in text


def test_before_any_rehearsal_it_is_said_how_to_make_one(project, tmp_path):
    text = costs.text(project, MODELS, registry.load(ROOT), Layout("data", str(tmp_path)))
    assert text == "cost on this machine: not known; `make rehearsal` measures it"


def test_scored_clips_count_every_validation_and_kept_checkpoint(project):
    plan = planned(project, "lgc_sed", "mt", "desed")
    training = plan.settings.training
    validations = -(-training.epochs // training.validate_every)
    ends = len(training.keep) * (1168 + 692 + 2500)
    assert costs_of(project).scored(plan) == 2 * (validations * 2500 + ends)  # student and teacher


def test_validations_that_pass_over_the_training_clips_first_count_them(project):
    plan = planned(project, "lgc_sed", "mt", "desed")
    network = plan.settings.network.model_copy(update={"batch_norm_recompute": True})
    passing = plan.settings.model_copy(update={"network": network})
    more = settings.Plan(**{**vars(plan), "settings": passing})
    found = costs_of(project)
    training = plan.settings.training
    validations = -(-training.epochs // training.validate_every)
    passes = 2 * validations * found.steps(plan) * 48
    assert found.scored(more) == found.scored(plan) + passes


def test_a_row_is_reckoned_with_the_runs_it_needs(project):
    found = costs_of(project).runs([("mtda_hsed", "baseline"), ("mtda_hsed", "atst_sed")])
    assert {(run.paper, run.row) for run in found} == {
        ("dcase_baselines", "hetero2024"),  # whose scores the first decodes
        ("mtda_hsed", "atst_sed"),
        ("mtda_hsed", "atst_sed_stage1"),
    }


def test_windows_of_maestro_are_reckoned_from_its_recordings(project):
    found = costs_of(project)
    windows = {name: found.expected(settings.Subset("maestro", name)) for name in ("train",)}
    assert windows["train"] == pytest.approx(7503, rel=0.05)  # that many there are
    test = found.expected(settings.Subset("maestro", "validation"))
    assert test == pytest.approx(718, rel=0.05)


def test_clips_that_are_there_are_counted(project, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = tmp_path / Layout.of(project).table(settings.Subset("desed", "weak"), "clips")
    table.parent.mkdir(parents=True)
    rows = [f"c{k}\tweak\t10\t{'train' if k else 'held_out'}\t\t\tr\t" for k in range(5)]
    table.write_text("\n".join(["\t".join(COLUMNS), *rows]) + "\n")
    assert costs_of(project).clips(settings.Subset("desed", "weak", "train")) == 4


def test_encoders_hear_each_clip_once_for_all_rows(project):
    heard = {"front_end": "beats", "clip_s": 2.0, "clip_j": None, "peak_mb": 1.0}
    found = costs_of(project, encoders=[heard])
    once = found.heard([("mtda_hsed", "baseline_coherent")])
    clips, cost = once["beats"]
    assert clips > 30000
    assert cost.seconds == 2.0 * clips
    both = [("mtda_hsed", "baseline_coherent"), ("dcase_baselines", "hetero2024")]
    assert found.heard(both) == once


def test_finished_runs_stand_beside_what_is_reckoned(project, told, tmp_path):
    run = settings.Run("weak_mtl", "2apae", "snr20", 42, project.papers["weak_mtl"].run_folds[0])
    record = tmp_path / Layout.of(project).run(run, "run.json")
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"status": "done", "cost": {"wall_s": 2 * STEPS * 4}}))
    assert "1 finished runs took 44.4 h, for which 22.2 h are reckoned: 0.50 of it" in told(
        [MEASURED]
    )


def test_a_part_of_a_batch_is_measured():
    project = settings.load(OVERLAYS["lgc_sed"], papers=MODELS, root=ROOT)
    run = settings.Run("lgc_sed", "lgc", "desed", 0)
    found = rehearsal.measure(project, run, MODELS, 3, 0, {})
    assert found["clips"] == 3  # of 3, 3 and 4
    assert min(found[name] for name in ("step_s", "clip_s", "save_s", "before_mb")) > 0
    assert found["peak_mb"] >= found["before_mb"]
    line = rehearsal.as_line({"paper": "lgc_sed", "row": "lgc", "batch": 10, "random": [], **found})
    assert "a step of 10 clips" in line
    assert "extrapolated from 3 clips" in line


def test_measured_steps_are_spread_over_the_schedule(monkeypatch):
    project = settings.load(OVERLAYS["lgc_sed"], papers=MODELS, root=ROOT)
    project = project.model_copy(deep=True)
    spec = project.papers["lgc_sed"]
    epochs = spec.table["lgc"].settings.setdefault("training", {})
    epochs["epochs"] = 60
    steps = []
    stepped = Trainer._step
    monkeypatch.setattr(
        Trainer, "_step", lambda self, b: (stepped(self, b), steps.append(self.step))
    )
    rehearsal.measure(project, settings.Run("lgc_sed", "lgc", "desed", 0), MODELS, 3, 0, {})
    assert steps == [1, 1001, 3001, 5001]


def test_weights_that_are_not_there_are_drawn_in_the_size_of_the_real_ones(tmp_path, monkeypatch):
    assert Config.of(weights.FULL_BEATS, "full") == Config()
    assert list(weights.FULL_ATST.values()) == [768, 3072, 12, 251]
    monkeypatch.setattr(weights, "FULL_ATST", weights.ATST)  # drawing 340 MB takes seconds
    project = settings.load({}, papers=MODELS, root=ROOT)
    path, which = rehearsal.Files(project, tmp_path).of("atst_frame")
    assert which == "random"
    assert Atst.load(path).depth == weights.ATST["blocks"]


def test_of_a_step_that_does_not_fit_ever_less_is_tried(project, monkeypatch):
    tried = []

    def alone(work, project, run, models, share, *rest):
        tried.append(share)
        if share < 32:
            return {"problem": "out of memory", "short": True}
        return {"clips": 1, "step_s": 60.0}

    monkeypatch.setattr(rehearsal, "alone", alone)
    plan = planned(project, "lgc_sed", "mt", "desed")
    found = rehearsal._row(project, plan, MODELS, 0, rehearsal.Files(project, ROOT))
    assert found["clips"] == 1
    assert tried == [8, 16, 32]


def test_a_short_step_is_measured_with_its_whole_batch(project, monkeypatch):
    tried = []

    def alone(work, project, run, models, share, *rest):
        tried.append(share)
        return {"clips": 48 // share, "step_s": 0.1}

    monkeypatch.setattr(rehearsal, "alone", alone)
    plan = planned(project, "lgc_sed", "mt", "desed")
    assert rehearsal._row(project, plan, MODELS, 0, rehearsal.Files(project, ROOT))["clips"] == 48
    assert tried == [8, 1]


def test_a_rehearsal_covers_every_headline_row_and_goes_on_past_one_that_fails(monkeypatch):
    project = settings.load({}, papers=MODELS, root=ROOT)
    monkeypatch.setattr(rehearsal, "alone", lambda *_: {"problem": "it broke", "short": False})
    monkeypatch.setattr(rehearsal.Files, "of", lambda *_: (ROOT, "random"))
    found = rehearsal.rehearse(project, MODELS, 0)
    trained = {
        (paper, row)
        for paper, spec in project.papers.items()
        for row in spec.headline
        if spec.table[row].kind == "train"
    }
    assert len(trained) > 12
    assert {(row["paper"], row["row"]) for row in found["rows"]} == trained
    assert {row["problem"] for row in found["rows"]} == {"it broke"}
    assert [one["front_end"] for one in found["encoders"]] == ["beats"]


def test_an_encoder_whose_weights_can_neither_be_had_nor_drawn_is_named(monkeypatch, capsys):
    project = settings.load({}, papers=MODELS, root=ROOT)
    monkeypatch.setattr(rehearsal, "alone", lambda *_: {"problem": "it broke", "short": False})

    def nothing(resource: str, seed: int) -> dict:
        raise SedreproError(f"weights {resource}: there is no stand-in of their size; fetch them")

    monkeypatch.setattr(rehearsal.stand_ins, "full_size", nothing)
    found = rehearsal.rehearse(project, MODELS, 0)
    why = "weights beats: there is no stand-in of their size; fetch them"
    assert found["encoders"] == [{"front_end": "beats", "problem": why}]
    assert f"beats: not rehearsed ({why})" in capsys.readouterr().out
    assert len(found["rows"]) > 12
