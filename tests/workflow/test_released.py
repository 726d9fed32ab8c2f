"""Released detections as a row, through the real command, on a machine without any audio."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from .conftest import snakemake
from .test_chain import sedrepro

pytestmark = pytest.mark.system

ROW = "student2021_detections"
POINTS = ("0.25", "0.50", "0.75")


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """Twelve clips of one event each; the system finds them all, at high thresholds later."""
    top = tmp_path_factory.mktemp("released") / "dcase2021"
    clips = [f"clip{index}.wav" for index in range(12)]
    labels = ["Speech", "Dog", "Cat"]
    truth = [(clip, 1.0, 4.0, labels[k % 3]) for k, clip in enumerate(clips)]
    write(top / "validation.tsv", ["filename", "onset", "offset", "event_label"], truth)
    write(top / "validation_durations.tsv", ["filename", "duration"], [(c, 10.0) for c in clips])
    for point in POINTS:
        late = 0.3 * POINTS.index(point)
        found = [(label, on + late, off, clip) for clip, on, off, label in truth]
        path = top / f"student/predictions_operating_points/predictions_th_{point}.tsv"
        write(path, ["event_label", "onset", "offset", "filename"], found)
    exact = [(label, on, off, clip) for clip, on, off, label in truth]
    columns = ["event_label", "onset", "offset", "filename"]
    write(top / "student/predictions0.5.csv", columns, exact)
    return top.parent


def write(path: Path, columns: list[str], rows: list[tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    separator = "," if path.suffix == ".csv" else "\t"
    lines = [separator.join(columns), *(separator.join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_released_detections_are_a_row_of_the_table(clone, tree):
    overlay = {
        "run": ["dcase_baselines"],
        "data": {"released": {"local": str(tree)}},
        "papers": {"dcase_baselines": {"rows": [ROW], "figures": {}}},
    }
    (clone / "released.yaml").write_text(json.dumps(overlay))
    options = ["--configfile", "released.yaml"]
    snakemake(clone, "--cores", "2", "dcase_baselines", *options)
    with open(clone / "results/full/tables/dcase_baselines.csv", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["row"] == ROW]
    cells = {(row["metric"], row["implementation"]): row for row in rows}
    event_f1 = cells["event_f1", "sed_eval"]
    assert float(event_f1["ours_mean"]) == 1.0
    assert (event_f1["n_clips"], event_f1["verdict"]) == ("12", "not recomputed")
    assert event_f1["aggregate"] == "as released: this model, other clips"
    assert cells["segment_f1", "sed_eval"]["verdict"] == "no published number"
    assert cells["psds1", "sed_scores_eval"]["verdict"] == "not run"
    run = clone / f"results/full/runs/dcase_baselines/{ROW}/desed/seed42"
    assert json.loads((run / "run.json").read_text())["released"]["layout"] == "detections"
    done = sedrepro(clone, "verify", *options, configured=False)
    assert "every link holds" in done.stdout
    # Other detections: another key, other numbers.
    path = tree / "dcase2021/student/predictions0.5.csv"
    path.write_text("\n".join(path.read_text().splitlines()[:7]) + "\n")
    snakemake(clone, "--cores", "2", "dcase_baselines", "--forcerun", "train", *options)
    with open(clone / "results/full/tables/dcase_baselines.csv", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["row"] == ROW]
    changed = {(row["metric"], row["implementation"]): row for row in rows}
    assert float(changed["event_f1", "sed_eval"]["ours_mean"]) < 1.0


def test_a_system_that_was_scored_is_a_row_of_the_tables(clone, tree):
    source = tree / "dcase2021"
    options = [
        *("score", "dcase_baselines", "--set", "validation", "--as", "mine"),
        *("--detections", str(source / "student/predictions_operating_points")),
        *("--truth", str(source / "validation.tsv")),
        *("--durations", str(source / "validation_durations.tsv")),
        *("--config", "name=scored", "run=[dcase_baselines]"),
    ]
    printed = sedrepro(clone, *options, configured=False).stdout
    assert "psds1" in printed
    settings = ("--config", "name=scored", "run=[dcase_baselines]")
    sedrepro(clone, "report", *settings, configured=False)
    with open(clone / "results/scored/tables/dcase_baselines.csv", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["row"] == "external/mine"]
    own = {(row["table"], row["metric"], row["implementation"]): row for row in rows}
    cell = own["student", "psds1", "psds_eval"]
    assert f"{float(cell['ours_mean']):.4f}" in printed
    assert (cell["n_clips"], cell["verdict"]) == ("12", "no published number")
    assert "mine (scored here)" in (clone / "results/scored/report/index.html").read_text()
    # A number that was changed by hand is not printed.
    (path,) = (clone / "results/scored/runs/external").rglob("metrics.json")
    text = path.read_text()
    path.write_text(text.replace('"n_clips": 12', '"n_clips": 13', 1))
    sedrepro(clone, "report", *settings, configured=False)
    with open(clone / "results/scored/tables/dcase_baselines.csv", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["row"] == "external/mine"]
    assert {row["verdict"] for row in rows} == {"not run"}
    assert "metrics.json was changed after it was written" in rows[0]["note"]


def test_without_its_files_a_released_row_says_why(clone, tmp_path):
    overlay = {
        "run": ["dcase_baselines"],
        "name": "nothing",
        "data": {"released": {"local": str(tmp_path)}},
        "papers": {"dcase_baselines": {"rows": [ROW], "figures": {}}},
    }
    (clone / "nothing.yaml").write_text(json.dumps(overlay))
    snakemake(clone, "--cores", "2", "dcase_baselines", "--configfile", "nothing.yaml")
    text = (clone / "results/nothing/tables/dcase_baselines.csv").read_text()
    assert "dcase2021_detections: " in text
    assert "predictions_operating_points does not exist" in text
