"""A row that is decoded as boxes: tuned on the synthetic set, scored on the real one."""

import json

import numpy as np
import pandas as pd
import pytest
from world import HOP, MT, World, layout_in

from sedrepro import papers, settings, tables
from sedrepro.errors import SedreproError
from sedrepro.evaluation import evaluate
from sedrepro.evaluation.export import output
from sedrepro.evaluation.measures import Scored
from sedrepro.evaluation.run import metrics_link, read
from sedrepro.evaluation.sed import Frames
from sedrepro.files import digest
from sedrepro.metrics.boxes import Shape, box_scores, tune
from sedrepro.metrics.packages import sed_scores_eval_psds
from sedrepro.metrics.psds import SCENARIOS
from sedrepro.progress import Progress
from sedrepro.reporting.links import measured_content
from sedrepro.settings import Run, Subset

BOXES = Run("lgc_sed", "mt_boxes", "desed", 42)
GRID = {"step": [0.32, 0.64], "merge_abs": [0.2], "merge_rel": [1.5, 3.0]}
TUNED = "synth_validation"


def planned(root, boxes=GRID):
    decoding = {"operating_points": 2, "event_free": "decoded"}
    table = {"mt_boxes": {"settings": {"decoding": {"boxes": boxes}}}}
    paper = {"rows": "all", "settings": {"decoding": decoding}, "table": table}
    overlay = {"report": {"bootstrap": 8}, "papers": {"lgc_sed": paper}}
    project = settings.load(overlay, papers=papers.settings_models(), root=root)
    return project, settings.plan(project, BOXES, papers.settings_models()["lgc_sed"])


@pytest.fixture(scope="module")
def world(tmp_path_factory, root):
    """Scores of the set that boxes are tuned on lie beside those of the reported ones."""
    _, plan = planned(root)
    world = World(layout_in(tmp_path_factory.mktemp("boxes")), list(plan.classes))

    def add(file):
        world._set(file, TUNED, np.random.default_rng(7))
        file.attrs["models"] = json.dumps(["teacher"])
        del file["public_eval"]

    world.change(MT, add)
    none = pd.DataFrame([["public_eval", 692, 0, "", "official"]], columns=tables.AUDIT)
    audit = world.layout.table(Subset("desed", "public_eval"), "audit")
    tables.write(audit, none, tables.AUDIT)
    return world


@pytest.fixture(scope="module")
def result(world, root):
    project, plan = planned(root)
    return evaluate(plan, project, world.layout)


def value(result, **keys):
    keys = {"label": "", "set": "validation", "model": "teacher"} | keys
    (entry,) = [e for e in result["metrics"] if all(e[k] == v for k, v in keys.items())]
    return entry


def test_boxes_are_tuned_on_the_synthetic_set_alone(world, result):
    grid = tuple(GRID.values())
    frames, truth = world.frames[TUNED, "teacher"], world.truth(TUNED)
    expected = tune(frames, truth, grid, hop=HOP, trim=True)
    assert result["tuned"] == {
        "teacher": {
            label: one.shape._asdict() | {"psds1": one.psds1}
            for label, one in zip(world.classes, expected, strict=True)
        }
    }


def test_tuning_is_told_while_it_takes_its_time(world, root, monkeypatch):
    seen = []
    monkeypatch.setattr(Progress, "__call__", lambda _, *said: seen.append(said))
    next(read(planned(root)[1], world.layout))
    assert seen == [(0.0, f"boxes of teacher, on {TUNED}")]


def test_what_is_scored_is_boxes_of_that_shape(world, result):
    shapes = [
        Shape(*(result["tuned"]["teacher"][label][name] for name in Shape._fields))
        for label in world.classes
    ]
    drawn = box_scores(world.frames["validation", "teacher"], shapes, HOP)
    truth = world.truth("validation")
    for metric in ("psds1", "psds2"):
        expected = sed_scores_eval_psds(drawn, truth, SCENARIOS[metric], hop=HOP / 4, trim=True)
        found = value(result, metric=metric, implementation="sed_scores_eval")["value"]
        assert found == pytest.approx(expected)


def test_the_gain_is_over_the_medians_of_the_same_scores(world, result, root):
    project, _ = planned(root)
    medians = settings.plan(project, MT, papers.settings_models()["lgc_sed"])
    before = evaluate(medians, project, world.layout)
    assert "tuned" not in before
    for metric in ("psds1", "psds2"):
        for implementation in ("psds_eval", "sed_scores_eval", "sedrepro"):
            keys = {"metric": metric, "implementation": implementation}
            gain = value(result, metric=f"delta_{metric}", implementation=implementation)
            old, new = value(before, **keys)["value"], value(result, **keys)["value"]
            assert gain["value"] == pytest.approx(new - old)
            assert gain["ci_low"] < gain["value"] < gain["ci_high"]


def test_the_key_holds_the_grid_and_the_truth_of_the_tuning_set(world, root):
    project, plan = planned(root)
    link = metrics_link(plan, project, world.layout)
    assert f"desed/{TUNED}/events" in link["parents"]["truth"]
    other = metrics_link(planned(root, GRID | {"step": [0.32]})[1], project, world.layout)
    assert other["key"] != link["key"]


def test_an_export_has_the_boxes(world, root):
    _, plan = planned(root)
    found = output(plan, world.layout, "validation", "teacher")
    assert found.frames.hop == HOP / 4
    assert found.frames.scores.shape[1] == 4 * world.frames["validation", "teacher"].shape[1]


def test_chosen_values_that_were_edited_are_noticed(result):
    content = measured_content(result)
    edited = {model: dict(chosen) for model, chosen in result["tuned"].items()}
    edited["teacher"]["Cat"] = edited["teacher"]["Cat"] | {"step": 9.0}
    assert content == digest(result) != measured_content(result | {"tuned": edited})


def test_a_system_without_scores_of_that_set_is_refused(world, root):
    _, plan = planned(root)
    scored = Scored("validation", "theirs", HOP, {"frame": world.frames["validation", "teacher"]})
    with pytest.raises(SedreproError, match=r"theirs: boxes .* tuned on scores of 'synth_val"):
        Frames.of(scored, None, plan.settings.decoding)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("synth_validatoin", "no set 'synth_validatoin' with sound events (did you mean synth_val"),
        ("validation", "decoding.boxes.tuned_on: numbers are reported of 'validation'"),
    ],
)
def test_a_set_that_boxes_cannot_be_tuned_on_is_refused(root, name, message):
    with pytest.raises(SedreproError, match="row mt_boxes") as error:
        planned(root, GRID | {"tuned_on": name})
    assert message in str(error.value)
