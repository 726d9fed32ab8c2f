"""Generated files are current, and editors that use the schemas agree with the models."""

from __future__ import annotations

import json

import jsonschema
import pytest
import yaml

from sedrepro.papers import PAPERS, settings_models
from sedrepro.settings import Project
from sedrepro.settings.document import (
    REGENERATE,
    config_yaml,
    describe,
    files,
    leaves,
    type_name,
    with_papers,
)
from sedrepro.settings.project import Paper


@pytest.mark.parametrize(("path", "text"), files(settings_models()).items())
def test_generated_files_are_current(root, path, text):
    assert (root / path).is_file(), f"{path} is missing: run `{REGENERATE}`"
    assert (root / path).read_text(encoding="utf-8") == text, (
        f"{path} differs from the settings models: run `{REGENERATE}` (your own settings belong in "
        "a file given with --configfile)"
    )


def test_readmes_table_of_papers_is_current(root):
    text = (root / "README.md").read_text(encoding="utf-8")
    assert all(f"| `{paper}` |" in text for paper in PAPERS)
    assert with_papers(text, root / "config/papers") == text, f"run `{REGENERATE}`"


def test_the_configuration_holds_every_default():
    written = yaml.safe_load(config_yaml())
    assert Project.model_validate(written) == Project()
    assert list(written) == [name for name in Project.model_fields if name != "papers"]


@pytest.mark.parametrize("model", [Project, Paper, *settings_models().values()])
def test_every_setting_is_described(model):
    bare = [key for key, field in leaves(model) if not describe(field)]
    assert not bare, f"{model.__module__}: no description: {', '.join(bare)}"


def schema(path):
    value = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.Draft7Validator.check_schema(value)
    return jsonschema.Draft7Validator(value)


def test_our_own_files_satisfy_the_schemas(root):
    config = schema(root / "config/config.schema.json")
    for name in ("config.yaml", "mini.yaml"):
        config.validate(yaml.safe_load((root / "config" / name).read_text()))
    for paper in PAPERS:
        folder = root / "config/papers" / paper
        schema(folder / "paper.schema.json").validate(
            yaml.safe_load((folder / "paper.yaml").read_text())
        )


def test_our_own_files_tell_editors_their_schema(root):
    for path in [*root.glob("config/*.yaml"), *root.glob("config/papers/*/paper.yaml")]:
        if path.name == "datasets.yaml":
            continue
        name = "paper" if path.name == "paper.yaml" else "config"
        first = path.read_text().splitlines()[0]
        assert first == f"# yaml-language-server: $schema={name}.schema.json", path


@pytest.mark.parametrize(
    "overlay",
    [
        {"seads": [1]},
        {"seeds": "x"},
        {"device": "gpu"},
        {"papers": {"nobody": {}}},
        {"papers": {"lgc_sed": {"settings": {"clc": {"us": 1}}}}},
        {"papers": {"lgc_sed": {"table": {"mt": {"settings": {"pgc": {"prototypes": 0}}}}}}},
        {"papers": {"lgc_sed": {"conditions": {"desed": {"select_on": "test"}}}}},
        {"papers": {"lgc_sed": {"table": {"mt": {"conditions": {"desed": {"batsh": {}}}}}}}},
    ],
)
def test_the_schema_refuses_what_the_models_refuse(root, overlay):
    assert not schema(root / "config/config.schema.json").is_valid(overlay)


def test_types_are_told_in_words():
    told = {key: type_name(field) for key, field in leaves(Project)}
    assert told["device"] == "`auto` or `cpu` or `cuda`"
    assert told["seeds"] == "list of integer"
    assert told["name"] == "text or null"
    assert told["report.confidence"] == "number > 0 and < 1"
    assert told["data.desed.soundscapes.clips"] == "mapping to integer ≥ 1"
    assert told["data.desed.soundscapes.snr"] == "[number, number]"
    assert told["front_ends.<name>.f_max"] == "number > 0"
    paper = {key: type_name(field) for key, field in leaves(Paper)}
    assert paper["conditions"] == "mapping to mapping"
    assert "tables.<name>.columns[].metric" in paper
    limited = {k: type_name(f) for k, f in leaves(settings_models()["lgc_sed"])}
    assert limited["training.clip_norm"] == "number > 0 or null"
