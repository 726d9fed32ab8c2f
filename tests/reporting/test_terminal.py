"""`sedrepro table` on a whole result set: in the terminal's width, and as others read it."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest
import yaml

from sedrepro import places
from sedrepro.cli import main
from sedrepro.cli.naming import run_of, runs_of
from sedrepro.cli.terminal import fitted


@pytest.fixture
def words(copy, monkeypatch) -> list[str]:
    """The settings of the made-up result set, which lies in the working folder."""
    rows = ["untrained", "mt_median7", "mt", "clc", "pgc", "lgc"]
    paper = {"rows": rows, "table": {"mt_median7": {"from": "mt"}}}
    overlay = {"scale": "mini", "run": ["lgc_sed"], "seeds": [42, 43], "papers": {"lgc_sed": paper}}
    Path(copy.folder, "made.yaml").write_text(yaml.safe_dump(overlay))
    places.mark(copy.folder, copy.root)
    monkeypatch.chdir(copy.folder)
    return ["--configfile", "made.yaml"]


@pytest.mark.parametrize("width", [60, 100, 200])
def test_it_fits_and_leaves_out_what_was_not_run(words, width, monkeypatch, capsys):
    shutil.rmtree("results/mini/runs/lgc_sed/clc")
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["table", "lgc_sed", *words]) == 0
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= width
    assert "LGC (CLC + PGC)" in printed
    assert "rows that were not run are left out; --all shows them" in printed
    assert "\nMean teacher + CLC" not in printed
    main(["table", "lgc_sed", "--all", *words])
    assert "\nMean teacher + CLC" in capsys.readouterr().out


@pytest.mark.parametrize(
    "what", ["lgc_sed/lgc", "results/mini/runs/lgc_sed/lgc", "results/mini/runs/lgc_sed/lgc/desed"]
)
def test_a_row_by_any_of_its_names_as_others_read_it(words, what, capsys):
    assert main(["table", what, "--format", "csv", *words]) == 0
    cells = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    ours = [cell for cell in cells if cell["ours_mean"]]
    assert {cell["row"] for cell in ours} == {"lgc"}
    assert main(["table", what, "--json", *words]) == 0
    found = json.loads(capsys.readouterr().out)["lgc_sed"]
    values = [cell["ours_mean"] for cell in found if cell["ours_mean"] is not None]
    assert values == [float(cell["ours_mean"]) for cell in ours]
    for form, mark in (("md", "| LGC (CLC + PGC) |"), ("tex", "\\toprule")):
        assert main(["table", what, "--format", form, *words]) == 0
        assert mark in capsys.readouterr().out


def test_runs_by_a_part_of_their_name(words, made):
    project = made.project
    seeds = ["lgc_sed/lgc/desed/seed42", "lgc_sed/lgc/desed/seed43"]
    for text in (
        "lgc_sed/lgc",
        "lgc_sed/lgc/desed",
        "results/mini/runs/lgc_sed/lgc/",
        "./lgc_sed/lgc",
    ):
        assert [run.folder for run in runs_of(text, project)] == seeds
    assert run_of("/elsewhere/results/mini/runs/lgc_sed/lgc/desed/seed7", project).seed == 7
    assert len(runs_of("lgc_sed", project)) == 12


def test_forget_takes_all_seeds_of_a_row(words, capsys):
    assert main(["forget", "lgc_sed/lgc", *words]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told == [f"forgot results/mini/runs/lgc_sed/lgc/desed/seed{seed}" for seed in (42, 43)]
    assert not Path("results/mini/runs/lgc_sed/lgc/desed/seed43/metrics.json").exists()


def test_what_does_not_fit_stands_below_with_its_rows_again():
    heads = ["row", "one metric", "another metric"]
    rows = [["a rather long name of a row", "0.123", "0.456"], ["b", "0.789", "–"]]
    wide = fitted(heads, rows, 80)
    assert wide[0].split() == ["row", "one", "another"]
    assert [line.split()[-2:] for line in wide if "long" in line] == [["0.123", "0.456"]]
    narrow = fitted(heads, rows, 28)
    assert max(map(len, narrow)) <= 28
    assert [line.split()[0] for line in narrow if line.strip()].count("b") == 1
    assert sum("0.456" in line for line in narrow) == 1
