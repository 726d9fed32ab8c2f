"""Every name a paper uses is looked up while planning: a misspelling is refused with its key, the
file that has it and its nearest neighbour, for each kind of thing there is."""

from __future__ import annotations

import importlib
import shutil
import typing
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from sedrepro.errors import SedreproError
from sedrepro.papers import settings_models
from sedrepro.settings import (
    FrontEnd,
    HeldOut,
    Stream,
    Subset,
    declared,
    load,
    merge,
    plan,
    read_yaml,
    runs,
)
from sedrepro.sources import coverage, registry

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", autouse=True)
def read_once():
    """The shipped files are the same in every test, and YAML takes most of the time to load."""
    module = importlib.import_module("sedrepro.settings.load")
    kept = {path: read_yaml(path) for path in ROOT.glob("config/**/*.yaml")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            module, "read_yaml", lambda path, **how: kept.get(path) or read_yaml(path, **how)
        )
        yield


def paper(name="lgc_sed", **parts):
    return {"papers": {name: parts}}


def column(**changes):
    whole = {"set": "validation", "model": "teacher", "metric": "psds1"}
    return whole | {"implementation": "psds_eval"} | changes


def columns(part="columns", **changes):
    """A table of one column of our own, or with one remark."""
    table = {"caption": "C", "columns": [column()], part: [column(**changes)]}
    return paper(tables={"teacher": table})


def median(name):
    return {"settings": {"decoding": {"median": {name: 5}}}}


TEACHER = "papers.lgc_sed.tables.teacher"
WRONG = {
    "set": (
        columns(set="validaton"),
        f"{TEACHER}.columns.0.set: no set 'validaton' (did you mean validation?)",
    ),
    "a set that only selects": (
        columns(set="synth_validation"),
        f"{TEACHER}.columns.0.set: no set 'synth_validation'",
    ),
    "metric": (
        columns(metric="psds3"),
        f"{TEACHER}.columns.0.metric: no metric 'psds3' (did you mean psds",
    ),
    "metric of another family": (
        columns(metric="mpauc", implementation="sedrepro"),
        f"{TEACHER}.columns.0.metric: no metric 'mpauc'",
    ),
    "implementation": (
        columns(implementation="psd_eval"),
        f"{TEACHER}.columns.0.implementation: no implementation 'psd_eval' (did you mean "
        "psds_eval?)",
    ),
    "implementation of another metric": (
        columns(implementation="sed_eval"),
        f"{TEACHER}.columns.0.implementation: no implementation 'sed_eval'",
    ),
    "a package on last checkpoints": (
        columns(model="teacher@last"),
        f"{TEACHER}.columns.0.implementation: psds_eval is not run on last checkpoints",
    ),
    "model": (
        columns(model="techer"),
        f"{TEACHER}.columns.0.model: no model 'techer' (did you mean teacher?)",
    ),
    "checkpoint": (
        columns(model="teacher@lst", implementation="sedrepro"),
        f"{TEACHER}.columns.0.model: no checkpoint 'lst' (did you mean last?)",
    ),
    "class": (
        columns(metric="event_f1", implementation="sed_eval", label="Speach"),
        f"{TEACHER}.columns.0.label: no class 'Speach' (did you mean Speech?)",
    ),
    "class of a metric that has none": (
        columns(label="Speech"),
        f"{TEACHER}.columns.0.metric: psds1 has no value per class",
    ),
    "remark": (
        columns("remarks", metric="psds3"),
        f"{TEACHER}.remarks.0.metric: no metric 'psds3' (did you mean psds",
    ),
    "figure": (
        paper(figures={"psd_rock": {"caption": "C"}}),
        "papers.lgc_sed.figures.psd_rock: no figure 'psd_rock' (did you mean psd_roc?)",
    ),
    "figure without its metric": (
        paper(figures={"segment_bars": {"caption": "C"}}),
        "papers.lgc_sed.figures.segment_bars: is drawn of pauc, which no set has",
    ),
    "corpus": (
        paper(corpora=["dessed"]),
        "papers.lgc_sed.corpora.0: no corpus 'dessed' (did you mean desed?)",
    ),
    "class of a median": (
        paper(**median("Dishs")),
        "papers.lgc_sed.settings.decoding.median.Dishs: no class 'Dishs' (did you mean Dishes?)",
    ),
    "class of a list": (
        paper("cross_task_sod", settings={"sod": {"exclude": ["Dishs"]}}),
        "papers.cross_task_sod.settings.sod.exclude: no class 'Dishs' (did you mean Dishes?)",
    ),
    "class of a row's median": (
        paper("cross_task_sod", table={"median7": median("Dgo")}),
        "papers.cross_task_sod.table.median7.settings.decoding.median.Dgo: no class 'Dgo' (did you "
        "mean Dog?)",
    ),
    "class of a median beside classes of one's own": (
        {"data": {"desed": {"classes": ["Sneeze", "Cough"]}}} | paper(**median("Snezee")),
        "papers.lgc_sed.settings.decoding.median.Snezee: no class 'Snezee' (did you mean Sneeze?)",
    ),
    "kind of front end": (
        {"front_ends": {"mine": {"kind": "stft_logml"}}},
        "front_ends.mine.kind: should be 'mel', 'stft_logmel'",
    ),
    "front end": (
        paper(settings={"front_end": "mel12"}),
        "papers.lgc_sed: row untrained: reads front end 'mel12' (did you mean mel128?)",
    ),
    "encoder": (
        paper("mtda_hsed", settings={"encoder": {"resource": "beast"}}),
        "papers.mtda_hsed.settings.encoder.resource: should be 'beats' or 'atst_frame', not "
        "'beast' (did you mean beats?)",
    ),
    "schedule": (
        paper("dmsf_avel", settings={"optimiser": {"schedule": "cosin"}}),
        "papers.dmsf_avel.settings.optimiser.schedule: should be 'cosine' or 'steps', not 'cosin' "
        "(did you mean cosine?)",
    ),
    "parameter of the optimiser": (
        paper("dmsf_avel", settings={"optimiser": {"weight_decy": 0}}),
        "unknown key papers.dmsf_avel.settings.optimiser.weight_decy (did you mean weight_decay?)",
    ),
    "row": (paper(rows=["lgcc"]), "papers.lgc_sed: rows names row 'lgcc' (did you mean lgc?)"),
    "condition": (
        paper(tables={"teacher": {"conditions": ["desd"]}}),
        "papers.lgc_sed: tables.teacher.conditions names 'desd' (did you mean desed?)",
    ),
    "paper": ({"run": ["lgc_sd"]}, "run names paper 'lgc_sd' (did you mean lgc_sed?)"),
}


@pytest.mark.parametrize(("overlay", "expected"), WRONG.values(), ids=list(WRONG))
def test_a_misspelling_is_refused_with_its_key_and_neighbour(overlay, expected):
    with pytest.raises(SedreproError) as caught:
        load(overlay, papers=settings_models(), root=ROOT)
    assert str(caught.value).startswith(f"--config: {expected}")
    assert "\n" not in str(caught.value)


def test_it_is_refused_in_a_paper_that_nobody_asked_for_too():
    for name in ("metric", "figure", "class of a median", "encoder"):
        overlay = WRONG[name][0]
        with pytest.raises(SedreproError, match="--config: papers"):
            load(overlay | {"run": ["weak_mtl"]}, papers=settings_models(), root=ROOT, lazily=True)


@pytest.mark.parametrize(
    "overlay",
    [
        {"data": {"desed": {"classes": ["Sneeze", "Cough"]}}, "run": ["lgc_sed"]},
        {"data": {"snr_mix": {"classes": ["Bark", "Bus"]}}},
        {"data": {"ave": {"classes": ["Bark", "Bus"]}}},
        paper(rows=["mt"], tables={"teacher": {"rows": ["mt"], "columns": [column()]}}),
        paper("weak_mtl", settings={"training": {"keep": ["best"]}}),
        paper(settings={"select_on": "real"}),
        paper(settings={"select_on": "last"}),
    ],
    ids=[
        "own classes",
        "fewer events",
        "fewer videos",
        "fewer rows and columns",
        "one checkpoint",
        "selected on real",
        "not selected",
    ],
)
def test_what_is_no_misspelling_is_left_alone(overlay):
    load(overlay, papers=settings_models(), root=ROOT)


# --- what the package of a paper says -------------------------------------------------------------


HERE = r"^sedrepro/papers/lgc_sed/settings\.py: "


def in_package(monkeypatch, match, **functions):
    """Replace functions of LGC-SED's settings: the error names their file."""
    models = settings_models()
    for name, function in functions.items():
        monkeypatch.setattr(models["lgc_sed"], name, function)
    with pytest.raises(SedreproError, match=HERE + match):
        load(papers=models, root=ROOT)


def test_a_misspelt_family_of_metrics(monkeypatch):
    held_out = HeldOut("validation", Subset("desed", "validation"), ("mel128",), ("sde",))
    match = r"held_out\(\): set 'validation' asks for metrics 'sde' \(did you mean sed\?\)"
    in_package(monkeypatch, match, held_out=lambda self: [held_out])


def test_a_misspelt_unit_of_intervals(monkeypatch):
    held_out = HeldOut("validation", Subset("desed", "validation"), ("mel128",), unit="recordng")
    match = r"held_out\(\): set 'validation' draws units 'recordng' \(did you mean recording\?\)"
    in_package(monkeypatch, match, held_out=lambda self: [held_out])


def test_a_misspelt_corpus_of_a_stream(monkeypatch):
    stream = Stream("weak", (Subset("dessed", "weak"),), ("mel128",), 1, "clips")
    match = r"'weak' of row untrained is of corpus 'dessed' \(did you mean desed\?\)"
    in_package(monkeypatch, match, streams=lambda self: [stream])


@pytest.mark.parametrize(
    ("asked", "close"),
    [
        ("synth_validaton/teacher/intersection_f1", "synth_validation/teacher/intersection_f1"),
        ("synth_validation/techer/intersection_f1", "synth_validation/teacher/intersection_f1"),
        ("synth_validation/teacher/intersecton_f1", "synth_validation/teacher/intersection_f1"),
    ],
)
def test_a_misspelt_number_that_chooses_the_checkpoint(monkeypatch, asked, close):
    match = rf"selection\(\): '{asked}' chooses .* no set gives it \(did you mean {close}\?\)"
    in_package(monkeypatch, match, selection=lambda self: [asked])


def test_a_subset_of_which_the_registry_knows_nothing(monkeypatch):
    models, known = settings_models(), registry.load(ROOT)
    coverage.check(load(papers=models, root=ROOT), models, known)
    stream = Stream("weak", (Subset("desed", "waek"),), ("mel128",), 1, "clips")
    monkeypatch.setattr(models["lgc_sed"], "streams", lambda self: [stream])
    project = load(papers=models, root=ROOT)
    with pytest.raises(SedreproError) as caught:
        coverage.check(project, models, known)
    assert str(caught.value).startswith(
        "config/datasets.yaml: no resource carries subset 'waek' of desed (did you mean weak?), "
        "which papers.lgc_sed, row untrained: stream 'weak' names; there are weak, unlabelled"
    )


def test_a_misspelt_corpus_of_a_resource():
    entry = {
        "corpus": "dessed",
        "title": "T",
        "licence": "L",
        "papers": [],
        "files": [{"name": "f"}],
    }
    with pytest.raises(ValueError, match=r"no corpus 'dessed' \(did you mean desed\?\)"):
        registry.Resource.model_validate(entry)


# --- files ----------------------------------------------------------------------------------------


@pytest.fixture
def tree(tmp_path):
    """A copy of the configuration that may be spoilt."""
    shutil.copytree(ROOT / "config", tmp_path / "config")
    return tmp_path


PUBLISHED = "config/papers/lgc_sed/published.csv"
CELLS = {
    "table": ("teacher,lgc,", "techer,lgc,", "no table 'techer' (did you mean teacher?)"),
    "row": ("teacher,lgc,", "teacher,lcg,", "no row 'lcg' (did you mean lgc?)"),
    "condition": ("lgc,desed,", "lgc,desd,", "no condition 'desd' (did you mean desed?)"),
    "set": ("desed,validation,", "desed,validaton,", "no set 'validaton' (did you mean valid"),
    "model": ("validation,teacher,", "validation,techer,", "no model 'techer' (did you mean teach"),
    "metric": ("teacher,psds1,", "teacher,psd1,", "no metric 'psd1' (did you mean psds"),
    "implementation": (",psds_eval,", ",psd_eval,", "no implementation 'psd_eval' (did you"),
}


@pytest.mark.parametrize(("right", "wrong", "expected"), CELLS.values(), ids=list(CELLS))
def test_a_published_number_of_a_cell_that_is_nowhere(tree, right, wrong, expected):
    path = tree / PUBLISHED
    lines = path.read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith("teacher,lgc,desed"))
    assert right in lines[place]
    lines[place] = lines[place].replace(right, wrong, 1)
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(SedreproError) as caught:
        load(papers=settings_models(), root=tree)
    assert str(caught.value).startswith(f"{PUBLISHED}: line {place + 1}: {expected}")


def test_a_published_class_that_is_none(tree):
    path = tree / "config/papers/weak_mtl/published.csv"
    path.write_text(path.read_text().replace("ap[Bus]", "ap[Buss]", 1))
    with pytest.raises(SedreproError, match=r"no metric 'ap\[Buss\]' \(did you mean ap\[Bus\]\?\)"):
        load(papers=settings_models(), root=tree)


def test_a_published_number_that_stands_twice(tree):
    path = tree / PUBLISHED
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines, lines[1]]) + "\n")
    with pytest.raises(SedreproError, match=rf"^{PUBLISHED}: line {len(lines) + 1}: .* line 2"):
        load(papers=settings_models(), root=tree)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("published_sd", "unknown column 'published_sd' (did you mean published_std?)"),
        ("published", "column 'published_std' is missing"),
    ],
)
def test_a_column_of_published_numbers_that_nobody_knows(tree, wrong, expected):
    path = tree / PUBLISHED
    path.write_text(path.read_text().replace("published_std", wrong, 1))
    with pytest.raises(SedreproError) as caught:
        load(papers=settings_models(), root=tree)
    assert str(caught.value).startswith(f"{PUBLISHED}: {expected}")


def test_the_paper_itself_is_named_where_it_has_the_mistake(tree):
    path = tree / "config/papers/lgc_sed/paper.yaml"
    path.write_text(path.read_text().replace("metric: psds1,", "metric: pdss1,", 1))
    with pytest.raises(SedreproError) as caught:
        load(papers=settings_models(), root=tree)
    assert str(caught.value).startswith(
        f"config/papers/lgc_sed/paper.yaml: {TEACHER}.columns.0.metric: no metric 'pdss1'"
    )


def test_a_package_without_a_config_folder(tree):
    shutil.rmtree(tree / "config/papers/weak_mtl")
    with pytest.raises(SedreproError, match=r"^config/papers/weak_mtl/paper\.yaml: no such file"):
        load(papers=settings_models(), root=tree)


def test_a_config_folder_without_a_package(tree):
    shutil.copytree(tree / "config/papers/weak_mtl", tree / "config/papers/weak_mlt")
    with pytest.raises(SedreproError) as caught:
        load(papers=settings_models(), root=tree)
    assert str(caught.value) == (
        "config/papers/weak_mlt/paper.yaml: there is no package sedrepro/papers/weak_mlt with "
        "settings.py and method.py (did you mean weak_mtl?)"
    )


# --- numbers are another matter: only rows that are asked for are looked at -----------------------

NARROW = {
    "lgc_sed": paper(
        "lgc_sed", settings={"network": {"filters": [4, 4], "pooling": [[1, 2], [1, 2]]}}
    ),
    "cross_task_sod": paper(
        "cross_task_sod", settings={"backbone": {"bands": 3}, "crnn": {"filters": [4]}}
    ),
    "mtda_hsed": paper("mtda_hsed", settings={"network": {"filters": [8, 8], "pooling": [[2, 2]]}}),
    "dmsf_avel": paper("dmsf_avel", settings={"network": {"width": 30}}),
    "weak_mtl": paper("weak_mtl", settings={"front_end": "mel128"}),
    "mel128": {"front_ends": {"mel128": {"n_mels": 32}}},
    "wave16k": {"front_ends": {"wave16k": {"n_mels": 32}}},
    "logmel64": {"front_ends": {"logmel64": {"kind": "mel"}}},
    "beats": {"front_ends": {"beats": {"steps": 3}}},
    "ave_visual": {"front_ends": {"ave_visual": {"seconds": 3.0}}},
}


@pytest.fixture(scope="module")
def readers():
    """The papers whose rows to run read a front end, by its name."""
    models, found = settings_models(), {}
    project = load(papers=models, root=ROOT)
    for name in project.papers:
        for run in runs(project, name):
            for front_end in plan(project, run, models[name]).front_ends:
                found.setdefault(front_end, set()).add(name)
    return found


@pytest.mark.parametrize("asked", sorted(settings_models()))
@pytest.mark.parametrize("narrowed", NARROW)
def test_narrowing_one_paper_is_no_error_of_another(narrowed, asked, readers):
    overlay = NARROW[narrowed] | {"run": [asked]}
    if asked in readers.get(narrowed, {narrowed}):
        with pytest.raises(SedreproError, match=rf"^--config: papers\.{asked}"):
            load(overlay, papers=settings_models(), root=ROOT)
    else:
        load(overlay, papers=settings_models(), root=ROOT)


def test_a_row_that_is_not_run_may_be_impossible():
    wide = {"settings": {"network": {"filters": [4]}}}
    overlay = paper(rows=["mt"], table={"lgc": wide})
    load(overlay, papers=settings_models(), root=ROOT)
    with pytest.raises(SedreproError, match=r"^--config: papers\.lgc_sed\.table\.lgc\.settings"):
        load(merge(overlay, paper(rows=["lgc"])), papers=settings_models(), root=ROOT)


# --- an error names the layer whose value made it wrong -------------------------------------------


def test_the_culprit_is_the_layer_that_made_the_numbers_wrong(tmp_path):
    """Not the paper's file, and not whoever spoke last of the same block."""
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    harmless = paper(settings={"network": {"hidden": 32}})

    def blamed(*contents, overlay=None):
        for path, content in zip((first, second), contents, strict=True):
            path.write_text(yaml.safe_dump(content))
        whole = merge(merge(*contents), overlay or {})
        with pytest.raises(SedreproError) as caught:
            load(whole, papers=settings_models(), files=[first, second], root=ROOT)
        return str(caught.value).partition(": ")[0]

    shapes = {"front_ends": {"mel128": {"n_mels": 32}}}
    unequal = paper(settings={"network": {"filters": [4]}})
    for wrong in (shapes, unequal):
        assert blamed(wrong, harmless) == str(first)
        assert blamed(harmless, wrong) == str(second)
        assert blamed(harmless, {}, overlay=wrong) == "--config"
        assert blamed(wrong, {}, overlay=harmless) == str(first)
    missing = paper(headline=["nobody"])
    assert blamed(missing, paper(cost="much")) == str(first)


# --- declarations ---------------------------------------------------------------------------------

WORK = [
    *(path for family in declared.METRICS.values() for path in (family.measure, family.judge)),
    *(figure.draw for figure in declared.FIGURES.values()),
    *(kind.work for kind in declared.FRONT_ENDS.values()),
    *(corpus.adapt for corpus in declared.CORPORA.values() if corpus.adapt),
]


@pytest.mark.parametrize("path", dict.fromkeys(WORK))
def test_what_is_declared_is_there(path):
    assert declared.resolve(path)


def test_every_kind_of_front_end_is_declared():
    kinds = typing.get_args(FrontEnd.model_fields["kind"].annotation)
    assert tuple(declared.FRONT_ENDS) == kinds


def test_what_selects_is_measured_too():
    """A checkpoint is never chosen by a number that evaluation does not know."""
    for name, family in declared.METRICS.items():
        assert set(family.selects) <= set(family.gives), name


def test_a_new_family_needs_one_entry(monkeypatch):
    """Papers may ask for it, and columns for what it gives."""
    family = replace(declared.METRICS["sed"], gives={"loudness": ("sedrepro",)}, by_class={})
    monkeypatch.setitem(declared.METRICS, "loud", family)
    model = settings_models()["lgc_sed"]
    own = model.held_out

    def with_loudness(self):
        return [replace(held_out, metrics=(*held_out.metrics, "loud")) for held_out in own(self)]

    monkeypatch.setattr(model, "held_out", with_loudness)
    asked = columns(metric="loudness", implementation="sedrepro")
    load(asked, papers=settings_models(), root=ROOT)
