"""Detections that others released become a run folder, from which the same is read back."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from sedrepro import papers, settings
from sedrepro.evaluation import evaluate, external, taken
from sedrepro.evaluation.run import read
from sedrepro.evaluation.take import take
from sedrepro.files import digest, file_digest, read_json
from sedrepro.kept import REPUBLISHED
from sedrepro.settings import Layout

PAPER, ROW = "dcase_baselines", "student2021_detections"
COLUMNS = ["filename", "onset", "offset", "event_label"]
TRUE = [("a.wav", 1.0, 3.25, "Dog"), ("b.wav", 0.1, 0.7, "Cat"), ("b.wav", 2.0, 4.0, "Dog")]
LENGTHS = [("c.wav", 4.0), ("b.wav", 5.0), ("a.wav", 10.0)]
DETECTED = {
    "0.25": [*TRUE, ("c.wav", 0.0, 4.0, "Cat")],
    "0.5": [TRUE[0], ("b.wav", 0.2, 0.6, "Cat")],
    "0.75": [TRUE[0]],
}
AT = [TRUE[1]]
FOLDER, BESIDE = "student/predictions_operating_points", "student/predictions0.5.csv"


def write(path: Path, rows: list[tuple], columns: list[str] = COLUMNS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=columns).to_csv(path, sep="\t", index=False)


@pytest.fixture
def tree(tmp_path) -> Path:
    """What was released."""
    tree = tmp_path / "tree" / "dcase2021"
    write(tree / "validation.tsv", [*TRUE, ("c.wav", None, None, None)])
    write(tree / "validation_durations.tsv", LENGTHS, ["filename", "duration"])
    write(tree / BESIDE, AT)
    for point, rows in DETECTED.items():
        write(tree / FOLDER / f"predictions_th_{point}.tsv", rows)
    return tree


def planned(root, tree: Path, **released):
    """The row, with what there is of it changed."""
    row = {"released": released}
    overlay = {
        "run": [PAPER],
        "data": {"folder": str(tree.parents[1] / "data"), "released": {"local": str(tree.parent)}},
        "papers": {PAPER: {"rows": [ROW], "table": {ROW: row}}},
        "report": {"bootstrap": 10},
    }
    project = settings.load(overlay, papers=papers.settings_models(), root=root)
    (run,) = settings.runs(project, PAPER)
    plan = settings.plan(project, run, papers.settings_models()[PAPER])
    return plan, project, Layout(project.data_folder, str(tree.parents[1] / "results"))


def rows_of(events, truth) -> list[tuple]:
    """Events as the tables have them."""
    return [
        (f"{truth.clips[clip]}.wav", onset, offset, truth.classes[label])
        for clip, label, onset, offset in zip(
            events.clip, events.label, events.onset, events.offset, strict=True
        )
    ]


def found_in(plan, layout):
    ((held_out, truth, scores),) = read(plan, layout)
    (scored,) = scores
    assert held_out.name == scored.set == "validation"
    return truth, scored


def test_what_is_read_back_is_what_was_released(root, tree):
    plan, project, layout = planned(root, tree)
    take(plan, project, layout)
    for path in tree.rglob("*.*sv"):
        path.unlink()  # the run folder stands on nothing outside it
    truth, scored = found_in(plan, layout)
    assert truth.clips == ["a", "b", "c"]
    assert truth.seconds.tolist() == [10.0, 5.0, 4.0]
    assert truth.n_expected == 3
    assert rows_of(truth.reference.events, truth) == TRUE
    assert set(truth.events["confidence"]) == {1.0}
    assert (scored.model, scored.arrays, scored.hop) == ("student", {}, 0.0)
    points = [rows_of(point(), truth) for point in scored.detections.points]
    assert points == list(DETECTED.values())
    assert rows_of(scored.detections.detected, truth) == AT


def test_without_a_table_at_the_threshold_the_operating_point_there_is_taken(root, tree):
    plan, project, layout = planned(root, tree, at=None)
    take(plan, project, layout)
    truth, scored = found_in(plan, layout)
    assert rows_of(scored.detections.detected, truth) == DETECTED["0.5"]


def test_without_either_there_is_no_f1(root, tree):
    (tree / FOLDER / "predictions_th_0.5.tsv").unlink()
    plan, project, layout = planned(root, tree, at=None)
    take(plan, project, layout)
    assert found_in(plan, layout)[1].detections.detected is None
    names = {entry["metric"] for entry in evaluate(plan, project, layout)["metrics"]}
    assert names == {"psds1", "psds2"}


def test_it_is_measured_by_the_packages_too(root, tree):
    plan, project, layout = planned(root, tree)
    take(plan, project, layout)
    made = evaluate(plan, project, layout)
    found = {
        (entry["metric"], entry["implementation"]): entry["value"]
        for entry in made["metrics"]
        if not entry["label"]
    }
    # At the threshold a cat is found and two dogs are missed.
    assert found["event_f1", "sed_eval"] == found["event_f1", "sedrepro"] == pytest.approx(0.5)
    assert found["event_f1_micro", "sed_eval"] == pytest.approx(0.5)
    assert {name for name, _ in found} >= {"psds1", "psds2", "intersection_f1", "segment_f1"}
    assert made["curves"]["validation"]["student"].keys() == {"psds1", "psds2"}


def test_the_record_says_what_was_taken(root, tree):
    plan, project, layout = planned(root, tree)
    take(plan, project, layout)
    told = read_json(layout.run(plan.run, "run.json"))
    assert (told["status"], told["steps"], told["cost"]) == ("done", 0, {"wall_s": 0.0})
    points = sorted((tree / FOLDER).iterdir())
    assert told["parents"]["files"] == {
        "detections": digest({path.name: file_digest(path) for path in points}),
        "truth": file_digest(tree / "validation.tsv"),
        "durations": file_digest(tree / "validation_durations.tsv"),
        "at": file_digest(tree / BESIDE),
    }
    folder = Path(layout.run(plan.run))
    assert (folder / "history.csv").read_text() == "epoch,step\n"
    assert (folder / "timing.csv").read_text() == "epoch,seconds\n"
    assert (folder / "checkpoint.pt").read_bytes() == b""
    with h5py.File(folder / "examples.h5") as file:
        assert json.loads(file.attrs["order"]) == []


def test_the_same_is_only_published_again(root, tree, capsys):
    plan, project, layout = planned(root, tree)
    take(plan, project, layout)
    assert REPUBLISHED not in capsys.readouterr().out
    path = Path(layout.run(plan.run, "run.json"))
    before = path.read_text()
    path.unlink()
    take(plan, project, layout)
    key = json.loads(before)["key"]
    assert capsys.readouterr().out == f"{REPUBLISHED}: key {key}\n"
    assert path.read_text() == before
    write(tree / BESIDE, TRUE)
    take(plan, project, layout)
    assert json.loads(path.read_text())["key"] != key


def test_what_cannot_be_had_is_a_run_that_says_why(root, tree):
    (tree / BESIDE).unlink()
    plan, project, layout = planned(root, tree)
    take(plan, project, layout)
    told = read_json(layout.run(plan.run, "run.json"))
    assert (told["status"], told["parents"]["files"]) == ("not_run", {})
    assert told["reason"] == f"dcase2021_detections: {tree / BESIDE} does not exist"


def test_times_keep_all_their_digits(root, tree, tmp_path):
    onset = 0.1 + 0.2
    write(tree / BESIDE, [("a.wav", onset, np.nextafter(5.0, 6.0), "Dog")])
    plan, project, layout = planned(root, tree)
    take(plan, project, layout)
    detected = found_in(plan, layout)[1].detections.detected
    assert (detected.onset[0], detected.offset[0]) == (onset, np.nextafter(5.0, 6.0))


def test_the_content_of_a_folder_is_that_of_its_tables(tree):
    points = tree / FOLDER
    before = external.content_of(points)
    (points / "README").write_text("no table")
    assert external.content_of(points) == before
    (points / "predictions_th_0.5.tsv").rename(points / "predictions_th_0.6.tsv")
    assert external.content_of(points) != before
    assert external.content_of(tree / BESIDE) == file_digest(tree / BESIDE)


def test_what_is_stored_has_a_column_per_part_of_an_event(root, tree):
    plan, project, layout = planned(root, tree)
    take(plan, project, layout)
    with h5py.File(layout.run(plan.run, "scores.h5")) as file:
        group = file["validation"]
        classes = json.loads(file.attrs["classes"])
        assert json.loads(file.attrs["models"]) == ["student"]
        stored = group[f"student/{taken.DETECTED}"][:].tolist()
        assert stored == [[1.0, float(classes.index("Cat")), 0.1, 0.7]]
        assert sorted(group[f"student/{taken.POINTS}"]) == ["000", "001", "002"]
