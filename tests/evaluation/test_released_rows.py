"""Released systems as rows: real detections with known scores, checkpoints of released shape."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from world import lay_set

from sedrepro import papers, settings
from sedrepro.evaluation import write
from sedrepro.evaluation.take import take
from sedrepro.reporting.tables import tabulate
from sedrepro.settings import Layout, Run
from sedrepro.training.run import train

pytestmark = pytest.mark.slow

PAPER = "dcase_baselines"


def prepared(root, tmp_path, row: str, tree: Path, paper: str = PAPER):
    overlay = {
        "run": [paper],
        "data": {"folder": str(tmp_path / "data"), "released": {"local": str(tree)}},
        "papers": {paper: {"rows": [row]}},
        "report": {"bootstrap": 20},
    }
    project = settings.load(overlay, papers=papers.settings_models(), root=root)
    (run,) = settings.runs(project, paper)
    plan = settings.plan(project, run, papers.settings_models()[paper])
    return project, plan, Layout(project.data_folder, str(tmp_path / "results"))


def test_the_released_student_of_2021_is_recomputed(root, acceptance, tmp_path):
    tree = tmp_path / "tree"
    student = tree / "dcase2021/student"
    student.mkdir(parents=True)
    with tarfile.open(acceptance / "desed-operating-points/student.tar.xz") as archive:
        archive.extractall(student)
    for name in ("validation.tsv", "validation_durations.tsv"):
        shutil.move(student / name, tree / "dcase2021" / name)
    project, plan, layout = prepared(root, tmp_path, "student2021_detections", tree)
    take(plan, project, layout)
    folder = Path(layout.run(plan.run))
    write(plan, project, layout, folder / "metrics.json", folder / "resamples.npz")
    printed = tabulate(project, PAPER, layout, root)
    (row,) = [r for t in printed for r in t.rows if r.name == "student2021_detections"]
    columns = next(t.columns for t in printed if t.name == "student")
    cells = {
        (c.metric, c.column.implementation): cell
        for c, cell in zip(columns, row.cells, strict=True)
    }
    expected = {
        ("psds1", "psds_eval"): (0.334468560216, "recomputed"),
        ("psds2", "psds_eval"): (0.528100025564, "recomputed, other version"),
        ("intersection_f1", "psds_eval"): (0.637417047852, "no published number"),
        ("event_f1", "sed_eval"): (0.398728161794, "recomputed, other version"),
        ("event_f1_micro", "sed_eval"): (0.409501061571, "recomputed, other version"),
        ("segment_f1", "sed_eval"): (0.693525560985, "no published number"),
        ("segment_f1_micro", "sed_eval"): (0.754657812212, "no published number"),
    }
    for key, (value, verdict) in expected.items():
        cell = cells[key]
        assert cell.ours.mean == pytest.approx(value, abs=1e-9), key
        assert cell.ours.low < value < cell.ours.high
        assert (cell.n_clips, cell.n_expected, cell.verdict) == (1168, 1168, verdict), key
    assert "recomputed" in Path(layout.paper_table(PAPER, "md")).read_text()


@pytest.mark.parametrize(
    ("paper", "row", "file"),
    [
        ("dcase_baselines", "checkpoint2021", "dcase2021_baseline_like"),
        ("cross_task_sod", "released", "cross_task_sod_like"),
    ],
)
def test_a_released_checkpoint_gives_its_golden_scores(
    root, acceptance, tmp_path, paper, row, file
):
    tree = tmp_path / "tree"
    path = papers_path(root, paper, row)
    target = tree / with_file(path)
    target.parent.mkdir(parents=True)
    shutil.copyfile(acceptance / f"released/{file}.ckpt", target)
    golden = np.load(acceptance / f"released/{file}.npz")
    project, plan, layout = prepared(root, tmp_path, row, tree, paper)
    for held_out in plan.held_out:
        samples = list(golden["audio"]) if held_out.name == "validation" else []
        lay_set(
            layout, plan, settings.Subset(held_out.subset.corpus, held_out.subset.name), samples
        )
    train(plan, project, layout)
    with h5py.File(layout.run(plan.run, "scores.h5")) as scores:
        assert json.loads(scores.attrs["models"]) == ["student", "teacher"]
        for model in ("student", "teacher"):
            for kind in ("frame", "clip"):
                found = scores[f"validation/{model}/{kind}"][:]
                np.testing.assert_allclose(found, golden[f"{model}_{kind}"], atol=1e-4)


def papers_path(root, paper: str, row: str) -> Path:
    project = settings.load(papers=papers.settings_models(), root=root)
    return Path(project.papers[paper].table[row].released.path)


def with_file(path: Path) -> Path:
    """An archive is unpacked into a folder, in which the checkpoint has any name."""
    return path if path.suffix else path / "epoch=1.ckpt"


def test_a_released_row_has_one_run_whatever_the_seeds(root):
    project = settings.load(
        {"seeds": [1, 2], "papers": {PAPER: {"rows": ["checkpoint2021", "mt2021"]}}},
        papers=papers.settings_models(),
        root=root,
    )
    runs = settings.runs(project, PAPER)
    assert [run for run in runs if run.row == "checkpoint2021"] == [
        Run(PAPER, "checkpoint2021", "desed", 1)
    ]
    assert len([run for run in runs if run.row == "mt2021"]) == 2
