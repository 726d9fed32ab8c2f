"""`sedrepro diff`: what it finds between two result sets, and what it does not mind."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from sedrepro.cli import main

LINE = {
    "table": "main",
    "row": "mt",
    "condition": "",
    "set": "validation",
    "model": "teacher",
    "metric": "psds1",
    "implementation": "strict",
    "ours": "0.353",
    "published_source": "page 3",
}


def written(folder: Path, *lines: dict[str, str], name: str = "lgc_sed.csv") -> str:
    """A result set with one table of these lines."""
    path = folder / "tables" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return str(folder)


def test_a_cell_that_moved_is_told_with_both_values(tmp_path, capsys):
    first = written(tmp_path / "a", LINE, LINE | {"model": "student"})
    second = written(tmp_path / "b", LINE | {"ours": "0.351"}, LINE | {"model": "student"})
    assert main(["diff", first, second]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "lgc_sed.csv: main mt validation teacher psds1 strict: ours 0.353 → 0.351"
    assert told[-1].endswith("cells compared: 1 difference")


def test_where_a_value_comes_from_and_the_order_of_lines_are_no_difference(tmp_path, capsys):
    other = LINE | {"model": "student"}
    first = written(tmp_path / "a", LINE, other)
    second = written(tmp_path / "b", other, LINE | {"published_source": "page 4"})
    assert main(["diff", first, second]) == 0
    cells = 2 * (len(LINE) - 1)
    assert capsys.readouterr().out.splitlines() == [f"{cells} cells compared: no difference"]


def test_a_line_or_a_table_that_one_of_them_lacks_is_named(tmp_path, capsys):
    first = written(tmp_path / "a", LINE, LINE | {"row": "lgc"})
    second = written(tmp_path / "b", LINE)
    written(tmp_path / "b", LINE, name="weak_mtl.csv")
    assert main(["diff", first, second]) == 1
    told = capsys.readouterr().out
    assert f"main lgc validation teacher psds1 strict: not in {second}" in told
    assert f"weak_mtl.csv: not in {first}" in told


def test_a_column_that_is_new_is_a_difference(tmp_path, capsys):
    first = written(tmp_path / "a", LINE)
    second = written(tmp_path / "b", LINE | {"ci_low": "0.31"})
    assert main(["diff", first, second]) == 1
    assert "ci_low - → 0.31" in capsys.readouterr().out


def test_a_folder_without_tables_is_refused(tmp_path, capsys):
    first = written(tmp_path / "a", LINE)
    assert main(["diff", first, str(tmp_path / "c")]) == 1
    told = capsys.readouterr().err
    assert "c/tables: no such folder; give a folder of results, results/<name>" in told


@pytest.mark.parametrize("moved", ["difference", "word"])
def test_differences_between_rows_are_compared_by_what_they_subtract(tmp_path, moved, capsys):
    between = {
        "table": "main",
        "row": "lgc",
        "minus": "mt",
        "condition": "",
        "set": "validation",
        "model": "teacher",
        "metric": "psds1",
        "implementation": "strict",
        "difference": "0.02",
        "word": "higher",
    }
    name = "lgc_sed.differences.csv"
    other = between | {"minus": "clc"}
    first = written(tmp_path / "a", between, other, name=name)
    second = written(tmp_path / "b", between, other | {moved: "9"}, name=name)
    assert main(["diff", first, second]) == 1
    told = capsys.readouterr().out
    assert f"main lgc clc validation teacher psds1 strict: {moved} {between[moved]} → 9" in told
