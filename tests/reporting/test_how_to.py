"""The recipes of docs/how-to.md that need no training, typed into a made-up result set."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest
import yaml

from sedrepro import places
from sedrepro.cli import main

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import documented

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to.md"
ROWS = ["untrained", "mt_median7", "mt", "clc", "pgc", "lgc"]
OTHER = "elsewhere/results/full"
DONE_ELSEWHERE = ("score", "export", "audit", "report", "archive", "verify", "--watch", "baselines")
"""Recipes that take long or need weights, data or another paper; they have tests of their own."""


def recipes() -> list[list[str]]:
    """The words of each command, in the order of the page."""
    typed = [c for c in documented.typed(documented.read(PAGE)) if c.startswith("sedrepro ")]
    return [shlex.split(c)[1:] for c in typed if not any(word in c for word in DONE_ELSEWHERE)]


@pytest.fixture
def made_up(copy, monkeypatch) -> list[str]:
    """What to add to a command so that it works on the made-up set; half of it is elsewhere."""
    monkeypatch.chdir(copy.folder)
    rows = {"rows": ROWS, "table": {"mt_median7": {"from": "mt"}}}
    overlay = {"scale": "mini", "run": ["lgc_sed"], "seeds": [42, 43], "papers": {"lgc_sed": rows}}
    Path("made.yaml").write_text(yaml.safe_dump(overlay))
    places.mark(copy.folder, copy.root)
    shutil.copytree("results/mini", OTHER)
    for folder in Path("results/mini").glob("runs/*/*/*/seed43"):
        shutil.rmtree(folder)
    return ["--configfile", "made.yaml"]


def test_the_recipes_do_what_they_say(made_up, capsys):
    said = {}
    for words in recipes():
        ours = [word.replace("OTHER/results/full", OTHER) for word in words]
        assert main([*ours, *made_up]) == 0, words
        said[" ".join(words)] = capsys.readouterr().out
    assert "6 runs taken" in said["merge OTHER/results/full --machine gpubox"]
    assert "12 of 12 runs done" in said["status"]
    assert "there was no lock" in said["unlock"]
    assert "forgot results/mini/runs/lgc_sed/lgc" in said["forget lgc_sed/lgc"]
    assert said["table lgc_sed --format csv"].startswith("table,")
