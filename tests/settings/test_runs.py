"""Runs and the files they lie in."""

from __future__ import annotations

import json

import pytest
import yaml

from sedrepro.errors import SedreproError
from sedrepro.papers import settings_models
from sedrepro.settings import Layout, Plan, Run, Subset, load, merge, plan, runs

PAPER = {
    "title": "T",
    "authors": "A",
    "venue": "V",
    "url": "U",
    "corpora": ["desed"],
    "conditions": {"desed": {}, "small": {"batch": {"weak": 2}}},
    "headline": ["mt", "wide"],
    "table": {
        "untrained": {"label": "U", "kind": "untrained"},
        "mt": {"label": "MT"},
        "wide": {"label": "W", "kind": "reevaluate", "from": "mt"},
        "other": {"label": "O", "kind": "published"},
    },
}
MODEL = settings_models()["lgc_sed"]


@pytest.fixture
def project(tmp_path):
    folder = tmp_path / "config/papers/lgc_sed"
    folder.mkdir(parents=True)
    (tmp_path / "config/config.yaml").write_text("")
    (folder / "paper.yaml").write_text(yaml.safe_dump(PAPER, sort_keys=False))

    def load_project(overlay=None, **paper):
        change = merge(overlay or {}, {"papers": {"lgc_sed": paper}})
        return load(change, papers={"lgc_sed": MODEL}, root=tmp_path)

    return load_project


def folders(project):
    return [run.folder for run in runs(project, "lgc_sed")]


def test_runs_are_rows_times_conditions_times_seeds(project):
    assert folders(project({"seeds": [1, 2]}, rows=["mt"])) == [
        "lgc_sed/mt/desed/seed1",
        "lgc_sed/mt/desed/seed2",
        "lgc_sed/mt/small/seed1",
        "lgc_sed/mt/small/seed2",
    ]


def test_folds_and_a_papers_own_seeds(project):
    loaded = project({"seeds": [1, 2]}, rows=["mt"], folds=[1, 2], seeds=[9])
    assert folders(loaded)[:2] == [
        "lgc_sed/mt/desed.fold1/seed9",
        "lgc_sed/mt/desed.fold2/seed9",
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ("headline", ["mt", "wide"]),
        ("all", ["untrained", "mt", "wide"]),
        (["wide", "untrained"], ["untrained", "wide"]),
    ],
)
def test_selected_rows_come_in_printing_order_and_can_be_run(project, rows, expected):
    assert project(rows=rows).selected_rows("lgc_sed") == expected
    assert project({"rows": rows}).selected_rows("lgc_sed") == expected
    assert project({"rows": "all"}, rows=rows).selected_rows("lgc_sed") == expected


def test_a_run_is_known_by_its_folder():
    for run in (Run("lgc_sed", "mt", "desed", 42), Run("weak_mtl", "two_step", "snr20", 1, 3)):
        assert Run.parse(run.folder) == run
        assert Run.parse(f"results/mini/runs/{run}/") == run
    for nonsense in ("lgc_sed", "lgc_sed/mt/desed/42x", ""):
        with pytest.raises(SedreproError, match="not a run; runs look like"):
            Run.parse(nonsense)


def test_a_plan_survives_being_written_down(project):
    loaded = project()
    for run in runs(loaded, "lgc_sed"):
        planned = plan(loaded, run, MODEL)
        described = json.loads(json.dumps(planned.describe()))
        assert Plan.restore(described, MODEL) == planned


def test_a_plan_holds_what_its_condition_and_source_say(project):
    planned = plan(project(), Run("lgc_sed", "wide", "small", 42), MODEL)
    assert planned.settings.batch.weak == 2
    assert planned.source == Run("lgc_sed", "mt", "small", 42)
    assert planned.streams == []
    subsets = {(subset.corpus, subset.name) for subset, _ in planned.inputs()}
    assert ("desed", "validation") in subsets
    assert ("desed", "unlabelled") not in subsets


@pytest.mark.parametrize(
    ("row", "empty", "missing"),
    [
        ("mt", [], []),
        ("mt", ["unlabelled"], []),
        ("mt", ["weak", "unlabelled"], ["weak"]),
        ("mt", ["synth_train", "synth_validation"], ["synth_train", "synth_validation"]),
        ("mt", ["validation"], []),  # the other reported set remains
        ("mt", ["validation", "public_eval"], ["validation", "public_eval"]),
        ("untrained", ["weak", "synth_train", "synth_validation"], []),
    ],
)
def test_data_without_which_there_can_be_no_run(project, row, empty, missing):
    planned = plan(project(), Run("lgc_sed", row, "desed", 42), MODEL)
    found = planned.missing_required_subsets([Subset("desed", name) for name in empty])
    assert {subset.name for subset in found} == set(missing)


def test_a_run_nobody_configured(project):
    with pytest.raises(SedreproError, match="no such run in the configuration"):
        plan(project(), Run("lgc_sed", "mtt", "desed", 42), MODEL)


def test_every_path_is_relative_and_has_one_home(project):
    layout = Layout.of(project({"scale": "mini"}))
    weak = Subset("desed", "weak")
    assert layout.store(weak, "mel128") == "data/mini/features/desed/weak.mel128.h5"
    assert layout.table(weak, "clips") == "data/mini/corpora/desed/weak/clips.tsv"
    run = Run("lgc_sed", "mt", "desed", 42)
    assert (
        layout.run(run, "metrics.json") == "results/mini/runs/lgc_sed/mt/desed/seed42/metrics.json"
    )
    assert layout.report == "results/mini/report/index.html"


def test_a_result_set_on_ones_own_recordings_does_not_overwrite_the_demo(project):
    own = Layout.of(project({"scale": "mini", "name": "mine", "data": {"desed": {"local": "/d"}}}))
    demo = Layout.of(project({"scale": "mini"}))
    assert own.results == "results/mine"
    assert own.data != demo.data
