"""Merging: which layer wins, what merges and what is replaced, and what an error says."""

from __future__ import annotations

import math

import pytest
import yaml

from sedrepro.errors import SedreproError
from sedrepro.papers import settings_models
from sedrepro.settings import Project, load, merge, read_yaml
from sedrepro.settings.rows import row_settings

PAPER = {
    "title": "T",
    "authors": "A",
    "venue": "V",
    "url": "U",
    "corpora": ["desed"],
    "conditions": {"desed": {}},
    "headline": ["mt"],
    "table": {"mt": {"label": "MT"}},
}


@pytest.fixture
def project(tmp_path):
    """Load a checkout of its own: contents of config.yaml, of a paper's (False: none), of files."""

    def load_project(overlay=None, *, config=None, paper=None, **files):
        folder = tmp_path / "config" / "papers" / "lgc_sed"
        folder.mkdir(parents=True, exist_ok=True)
        (tmp_path / "config" / "config.yaml").write_text(yaml.safe_dump(config or {}))
        if paper is not False:
            (folder / "paper.yaml").write_text(yaml.safe_dump(merge(PAPER, paper or {})))
        paths = []
        for name, content in files.items():
            paths.append(tmp_path / f"{name}.yaml")
            paths[-1].write_text(yaml.safe_dump(content))
        models = {} if paper is False else {"lgc_sed": settings_models()["lgc_sed"]}
        return load(overlay, papers=models, files=paths, root=tmp_path)

    return load_project


def at(value, key):
    """The value at a dotted key of a model or a dictionary."""
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


def project_keys():
    """Every setting outside the papers whose value is a number, with three other values for it."""

    def walk(values, prefix=""):
        for key, value in values.items():
            if isinstance(value, dict):
                yield from walk(value, f"{prefix}{key}.")
            elif isinstance(value, int | float) and not isinstance(value, bool):
                yield f"{prefix}{key}", value

    for key, value in walk(Project().model_dump(exclude={"papers"})):
        if isinstance(value, int):
            yield key, [value + 1, value + 2, value + 3]
        else:
            yield key, [value * factor if value else factor for factor in (0.99, 0.98, 0.97)]


@pytest.mark.parametrize(("key", "values"), list(project_keys()))
def test_project_settings_rise_through_the_layers(project, key, values):
    default = at(Project(), key)
    low, middle, high = values
    config, file, command = (nested(key, value) for value in values)
    layers = {"paper": False, "config": config}
    assert at(project(paper=False), key) == default
    assert at(project(**layers), key) == low
    assert at(project(**layers, mine=file), key) == middle
    assert at(project(merge(file, command), **layers, mine=file), key) == high


@pytest.mark.parametrize("key", ["training.epochs", "pgc.start_epoch", "network.hidden"])
def test_paper_settings_rise_through_the_layers(project, key):
    def resolved(loaded):
        changes = row_settings(loaded, "lgc_sed", "mt", "desed")
        return at(settings_models()["lgc_sed"].model_validate(changes), key)

    def whole(value):
        return {"papers": {"lgc_sed": {"settings": nested(key, value)}}}

    paper = {"settings": nested(key, 12)}
    default = at(settings_models()["lgc_sed"](), key)
    assert resolved(project()) == default
    assert resolved(project(config=whole(11))) == 11
    assert resolved(project(config=whole(11), paper=paper)) == 12
    assert resolved(project(config=whole(11), paper=paper, mine=whole(13))) == 13
    assert resolved(project(whole(14), paper=paper, mine=whole(13))) == 14


def test_a_row_wins_over_its_condition_over_its_paper(project):
    paper = {
        "settings": {"batch": {"synth": 1, "weak": 1, "unlabelled": 1}},
        "conditions": {"desed": {"batch": {"weak": 2, "unlabelled": 2}}},
        "table": {"mt": {"settings": {"batch": {"unlabelled": 3}}}},
    }
    changes = row_settings(project(paper=paper), "lgc_sed", "mt", "desed")
    assert changes == {"batch": {"synth": 1, "weak": 2, "unlabelled": 3}}


def test_a_rows_word_on_a_condition_is_the_last_and_holds_there_alone(project):
    paper = {
        "settings": {"batch": {"synth": 1, "weak": 1, "unlabelled": 1}},
        "conditions": {"desed": {"batch": {"weak": 2}}, "other": {}},
        "table": {
            "mt": {
                "settings": {"batch": {"weak": 3, "unlabelled": 3}},
                "conditions": {"desed": {"batch": {"unlabelled": 4}}},
            }
        },
    }
    loaded = project(paper=paper)
    changes = {c: row_settings(loaded, "lgc_sed", "mt", c)["batch"] for c in ("desed", "other")}
    assert changes == {
        "desed": {"synth": 1, "weak": 3, "unlabelled": 4},
        "other": {"synth": 1, "weak": 3, "unlabelled": 3},
    }


def test_dictionaries_merge_and_lists_replace(project):
    clips = {"data": {"desed": {"soundscapes": {"clips": {"synth_train": 40}}}}}
    loaded = project({**clips, "seeds": [7]}, config={"seeds": [1, 2, 3]})
    assert loaded.data.desed.soundscapes.clips == {"synth_train": 40, "synth_validation": 2500}
    assert loaded.seeds == [7]
    assert merge({"a": {"b": [1, 2], "c": 1}}, {"a": {"b": [3]}}) == {"a": {"b": [3], "c": 1}}
    assert merge({"a": {"b": 1}}, {"a": None}) == {"a": None}


def test_merging_leaves_its_inputs_alone():
    base = {"a": {"b": 1}}
    merge(base, {"a": {"c": 2}})
    assert base == {"a": {"b": 1}}


def settings(value):
    return {"papers": {"lgc_sed": {"settings": value}}}


def table(value):
    return {"papers": {"lgc_sed": {"table": value}}}


# What is given, and what the one line must say besides the file.
WRONG = [
    ({"seads": [1]}, "unknown key seads (did you mean seeds?); keys here are name, scale"),
    ({"data": {"desd": {}}}, "unknown key data.desd (did you mean desed?)"),
    ({"zzz": 1}, "unknown key zzz; keys here are"),
    (
        settings({"clc": {"us": 1}}),
        "unknown key papers.lgc_sed.settings.clc.us (did you mean use?)",
    ),
    (table({"mt": {"kid": 1}}), "unknown key papers.lgc_sed.table.mt.kid (did you mean kind?)"),
    (
        table({"mt": {"settings": {"pcg": {}}}}),
        "unknown key papers.lgc_sed.table.mt.settings.pcg (did you mean pgc?)",
    ),
    (
        {"papers": {"lgc_sed": {"conditions": {"desed": {"bach": {}}}}}},
        "unknown key papers.lgc_sed.conditions.desed.bach (did you mean batch?)",
    ),
    (
        table({"mt": {"conditions": {"desed": {"pcg": {}}}}}),
        "unknown key papers.lgc_sed.table.mt.conditions.desed.pcg (did you mean pgc?)",
    ),
    (
        table({"mt": {"conditions": {"weak": {}}}}),
        "papers.lgc_sed: table.mt.conditions names 'weak'; conditions are desed",
    ),
    ({"papers": {"lgc": {}}}, "papers.lgc: no such paper (did you mean lgc_sed?)"),
    ({"seeds": "x"}, "seeds: should be a valid list, not 'x'"),
    ({"seeds": [1, "b"]}, "seeds.1: should be a valid integer, not 'b'"),
    ({"seeds": []}, "seeds: List should have at least 1 item"),
    ({"device": "gpu"}, "device: should be 'auto', 'cpu' or 'cuda', not 'gpu'"),
    ({"data": 3}, "data: should be a block of `key: value`, not 3"),
    ({"data": {"folder": None}}, "data.folder: should be a valid string, not None"),
    ({"report": {"confidence": math.nan}}, "report.confidence: should be a finite number, not nan"),
    ({"device_store_gb": math.inf}, "device_store_gb: should be a finite number, not inf"),
    (
        settings({"training": {"learning_rate": math.nan}}),
        "papers.lgc_sed.settings.training.learning_rate: should be a finite number, not nan",
    ),
    (
        settings({"training": {"epochs": 0}}),
        "papers.lgc_sed.settings.training.epochs: should be greater than or equal to 1, not 0",
    ),
    (
        settings({"decoding": {"median": "x"}}),
        "papers.lgc_sed.settings.decoding.median: should be a valid integer or a block",
    ),
    (
        {"papers": {"lgc_sed": {"rows": 3}}},
        "papers.lgc_sed.rows: should be 'headline' or 'all' or a valid list, not 3",
    ),
    (
        {"papers": {"lgc_sed": {"rows": ["mtt"]}}},
        "papers.lgc_sed: rows names row 'mtt' (did you mean mt?); rows are mt",
    ),
    (
        {"front_ends": {"mel128": {"f_max": 9000}}},
        "front_ends.mel128: f_min < f_max <= sample_rate",
    ),
    (
        table({"x": {"label": "X", "kind": "reevaluate"}}),
        "papers.lgc_sed.table.x: a reevaluate row needs `from: row`",
    ),
    (
        table({"x": {"label": "X", "kind": "reevaluate", "from": "tm"}}),
        "papers.lgc_sed.table.x.from: no row 'tm' to start from (did you mean mt?); rows are mt, x",
    ),
    (table({"x": {"kind": "train"}}), "papers.lgc_sed.table.x.label is missing"),
    (
        {"papers": {"lgc_sed": {"tables": {"new": {}}}}},
        "papers.lgc_sed.tables.new.caption, columns are missing",
    ),
    ({1: 2}, "1: Keys should be strings"),
    (
        {"data": {"desed": {"classes": ["Heron", "Owl", "Heron"]}}},
        "data.desed.classes: each name may stand once, Heron stands more often",
    ),
    (
        {"data": {"desed": {"classes": ["Heron", " "]}}},
        "data.desed.classes: there must be names, and none of them empty",
    ),
    ({"data": {"desed": {"classes": []}}}, "data.desed.classes: there must be names"),
    ({"data": {"ave": {"classes": ["Bus", "Bus"]}}}, "data.ave.classes: each name may stand once"),
    (
        {"data": {"snr_mix": {"classes": ["Bus", "Bus"]}}},
        "data.snr_mix.classes: each name may stand once",
    ),
]


@pytest.mark.parametrize(("overlay", "expected"), WRONG)
@pytest.mark.parametrize("source", ["--configfile", "--config"])
def test_an_error_names_file_key_and_what_is_allowed(project, tmp_path, source, overlay, expected):
    files = {"mine": overlay} if source == "--configfile" else {}
    with pytest.raises(SedreproError) as caught:
        project(overlay, **files)
    message = str(caught.value)
    label = "--config" if source == "--config" else str(tmp_path / "mine.yaml")
    assert message.startswith(f"{label}: {expected}")
    assert "\n" not in message


def test_a_papers_own_classes_must_differ_from_those_of_the_data(project, monkeypatch):
    model, overlay = (
        settings_models()["lgc_sed"],
        {"data": {"desed": {"classes": ["Heron", "Owl"]}}},
    )
    monkeypatch.setattr(model, "classes", lambda self, data: [*data.desed.classes, "Owl"])
    with pytest.raises(SedreproError, match=r"^--config: papers\.lgc_sed: row mt: .* called Owl$"):
        project(overlay)


def test_blame_falls_on_the_layer_that_won(project):
    with pytest.raises(SedreproError, match=r"^config/config\.yaml: seeds: "):
        project(config={"seeds": 1})
    with pytest.raises(SedreproError, match=r"^config/papers/lgc_sed/paper\.yaml: papers\.lgc_sed"):
        project(paper={"folds": "x"})
    with pytest.raises(SedreproError, match=r"^--config: seeds: "):
        project({"seeds": 2}, config={"seeds": 1}, mine={"seeds": [3]})


def test_a_front_end_nobody_defined(project):
    with pytest.raises(
        SedreproError, match=r"^--config: .* row mt: reads front end 'mel12' \(did you mean mel128"
    ):
        project(settings({"front_end": "mel12"}))


def test_front_ends_of_one_paper_hear_clips_for_the_same_time(project):
    wave = {"label": "On waves", "settings": {"front_end": "wave16k"}}
    paper = {"table": {"wave": wave}}
    longer = {"front_ends": {"mel128": {"seconds": 12.0}}}
    project(longer, paper=paper)  # by default one row is run, which reads one front end
    both = paper | {"rows": ["mt", "wave"]}
    words = (
        r"front_ends\.mel128\.seconds is 12 and front_ends\.wave16k\.seconds is 10, and "
        r"papers\.lgc_sed reads both \(rows mt and wave\)"
    )
    with pytest.raises(SedreproError, match=f"^--config: {words}"):
        project(longer, paper=both)
    with pytest.raises(SedreproError, match=rf"mine\.yaml: {words}"):
        project(paper=both, mine=longer)
    alike = {name: {"seconds": 12.0} for name in ("mel128", "wave16k")}
    project({"front_ends": alike}, paper=both)


def test_a_paper_that_is_not_there(project):
    with pytest.raises(SedreproError, match=r"run names paper 'lgc' \(did you mean lgc_sed\?\)"):
        project({"run": ["lgc"]})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: [1", "not valid YAML: while parsing"),
        ("a: b: c", "not valid YAML: mapping values are not allowed"),
        ("- 1\n- 2\n", "expected `key: value` lines, found a list"),
        ("just words\n", "expected `key: value` lines, found a str"),
        ("a: !!python/object/apply:os.system ['touch owned']\n", "not valid YAML: could not"),
        ("a: !!python/name:os.system\n", "not valid YAML: could not determine a constructor"),
        ("[" * 1500, "not valid YAML"),
        (b"a: \xff\xfe\n", "not valid YAML"),
        ("a:\n  b: 1\n  c: 2\n  b: 1\n", "not valid YAML: line 4: key 'b' stands twice"),
        ("a: {b: 1}\nc: 2\na: {d: 3}\n", "not valid YAML: line 3: key 'a' stands twice"),
    ],
)
def test_yaml_that_is_none_of_ours(tmp_path, monkeypatch, text, expected):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(SedreproError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: {expected}")
    assert "\n" not in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["bad.yaml"]


def test_merge_keys_may_be_overridden_and_one_key_may_stand_in_two_mappings(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(
        "a: &a {x: 1, y: 2}\nb: &b {<<: *a, y: 3}\nc:\n  <<: *b\n  x: 4\nd: {<<: [*a, *b]}\n"
    )
    assert read_yaml(path) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "c": {"x": 4, "y": 3},
        "d": {"x": 1, "y": 2},
    }


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(SedreproError, match=r"none\.yaml: no such file"):
        read_yaml(tmp_path / "none.yaml")
    with pytest.raises(SedreproError, match="is a directory"):
        read_yaml(tmp_path)


def test_an_empty_file_changes_nothing(tmp_path):
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert read_yaml(tmp_path / "empty.yaml") == {}


def test_the_readme_links_to_what_the_page_links_to(root):
    readme = (root / "README.md").read_text(encoding="utf-8")
    for paper, spec in load(papers=settings_models(), root=root).papers.items():
        (line,) = [one for one in readme.splitlines() if f"| `{paper}` |" in one]
        assert f"({spec.url})" in line, paper


def test_a_working_folder_has_settings_of_its_own_between_the_checkouts_and_the_command_line(
    project, tmp_path
):
    project(config={"seeds": [1], "name": "theirs"})  # writes the checkout
    folder = tmp_path / "work"
    own = folder / "config" / "papers" / "lgc_sed" / "paper.yaml"
    own.parent.mkdir(parents=True)
    own.write_text("title: Mine\n")
    (folder / "config" / "config.yaml").write_text("name: mine\nscale: mini\n")
    models = {"lgc_sed": settings_models()["lgc_sed"]}
    loaded = load({"scale": "full"}, papers=models, root=tmp_path, folder=folder)
    assert (loaded.seeds, loaded.name, loaded.scale) == ([1], "mine", "full")
    assert (loaded.papers["lgc_sed"].title, loaded.papers["lgc_sed"].venue) == ("Mine", "V")
    own.write_text("titel: Mine\n")
    with pytest.raises(SedreproError, match=f"^{own}: unknown key papers.lgc_sed.titel"):
        load(papers=models, root=tmp_path, folder=folder)
    with pytest.raises(SedreproError, match=r"^config/config\.yaml: unknown key nam"):
        project(config={"nam": "theirs"})
