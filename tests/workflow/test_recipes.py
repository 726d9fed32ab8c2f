"""docs/how-to.md: each Snakemake command is planned, as far as the plan goes without data.

What is typed on a DESED copy is carried out, on a small one.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from .conftest import snakemake
from .test_elsewhere import command

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "sources"))

import documented
from test_plan_and_audit import tree

PAGE = documented.read(Path(__file__).resolve().parents[2] / "docs" / "how-to.md")
RECIPES = [shlex.join(words) for words in documented.words(PAGE, "snakemake")]
SETTINGS = dict(documented.files(PAGE))

pytestmark = pytest.mark.system


@pytest.fixture
def desk(clone, tmp_path) -> Path:
    """A checkout with the settings files of the page, and the DESED copy that they name."""
    tree(tmp_path / "desed")
    for name, text in SETTINGS.items():
        written = text.replace("/data/desed", str(tmp_path / "desed"))
        (clone / name).write_text(written, encoding="utf-8")
    return clone


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_planned(desk, recipe):
    done = snakemake(desk, *shlex.split(recipe), "-n")
    assert "Job stats" in done.stdout + done.stderr


def test_the_clips_of_a_copy_are_counted_before_anything_is_trained(desk):
    (data,) = [recipe for recipe in RECIPES if recipe.startswith("data") and "baseline" in recipe]
    (audit,) = [words for words in documented.words(PAGE, "sedrepro") if words[0] == "audit"]
    snakemake(desk, *shlex.split(data))
    said = command(desk, desk, *audit)
    assert said.returncode == 0, said.stderr
    assert "validation        4         4" in said.stdout
    assert "not at all: mt2021" not in said.stdout
    assert "in full: untrained, mt2021" in said.stdout
