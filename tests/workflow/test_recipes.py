"""docs/how-to.md: each Snakemake command is planned, as far as the plan goes without data."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from .conftest import snakemake

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import documented

PAGE = documented.read(Path(__file__).resolve().parents[2] / "docs" / "how-to.md")
RECIPES = [call for call in documented.typed(PAGE) if call.startswith("snakemake ")]


@pytest.mark.system
@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_is_planned(clone, tmp_path, recipe):
    for name, text in documented.files(PAGE):
        (clone / name).write_text(text.replace("/data/desed", str(tmp_path)), encoding="utf-8")
    done = snakemake(clone, *shlex.split(recipe)[1:], "-n")
    assert "Job stats" in done.stdout + done.stderr
