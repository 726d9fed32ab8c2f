"""The figures of cross-task training, from made-up runs with a sound-activity branch."""

from __future__ import annotations

import csv
from pathlib import Path

import h5py
import numpy as np
import pytest
from fabricate import ROOT, fabricate, layout_of, project_of

from sedrepro.papers import settings_models
from sedrepro.reporting.figures import activity, drawing
from sedrepro.reporting.figures.material import Material, MissingError
from sedrepro.settings import Layout, Project, Run, plan

PAPER = "cross_task_sod"


def with_activity(folder: Path, hop: float) -> None:
    """Give a made-up run the branch's scores, maps and history."""
    with h5py.File(folder / "scores.h5", "a") as file:
        for subset in file.values():
            for model in ("student", "teacher"):
                if model in subset:
                    frame = subset[f"{model}/frame"][:]
                    number = np.minimum(2, (frame > 0.5).sum(-1))
                    subset[f"{model}/sod"] = np.eye(3, dtype=np.float32)[number]
                    subset[f"{model}/frame_with_sod"] = frame
    with h5py.File(folder / "examples.h5", "a") as file:
        draw = np.random.default_rng(0)
        for clip in file.values():
            frames = int(10 / hop)
            clip["student"] = clip["student_with_sod"] = draw.random((frames, 10))
            clip["student_sod"] = draw.random((frames, 3))
    path = folder / "history.csv"
    with open(path, newline="") as handle:
        rows = list(csv.DictReader(handle))
    for place, row in enumerate(rows):
        more = {activity.AGREEMENT: 0.3 + 0.02 * place, "weight/sed_consistency": 2.0}
        row.update({name: str(value) for name, value in more.items()})
    with open(path, "w", newline="") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> tuple[Project, Layout]:
    folder = tmp_path_factory.mktemp("activity")
    chosen = {"papers": {PAPER: {"rows": ["untrained", "mt", "full"]}}, "seeds": [42]}
    project = project_of(run=[PAPER], **chosen)
    layout = fabricate(folder, project)
    run = Run(PAPER, "full", "desed", 42)
    hop = plan(project, run, settings_models()[PAPER]).grid.seconds
    with_activity(Path(layout.run(run)), hop)
    return project, layout


@pytest.fixture(scope="module")
def material(made) -> Material:
    return Material(made[0], PAPER, made[1], ROOT)


def test_every_figure_the_paper_lists_is_drawn(material):
    for name in material.paper.figures:
        made = drawing(name)(material)
        assert made.axes, name


def test_the_agreement_is_drawn_per_epoch(material):
    share, weight = activity.agreement(material).axes
    (line,) = share.lines
    np.testing.assert_allclose(line.get_ydata(), 0.3 + 0.02 * np.arange(20))
    assert set(weight.lines[0].get_ydata()) == {2.0}


def test_the_confusion_counts_the_frames_of_the_true_states(made, material):
    branch = activity._branch(material)
    assert branch.record.run.row == "full"
    found = activity._confusions(material, branch)
    counts = found["student"]
    project, layout = made
    hop = plan(project, branch.record.run, settings_models()[PAPER]).grid.seconds
    expected = np.zeros((3, 3), int)
    with open(layout.table(branch.held_out.subset, "events"), newline="") as handle:
        events = list(csv.DictReader(handle, delimiter="\t"))
    with h5py.File(Path(branch.record.folder) / "scores.h5") as file:
        group = file[branch.held_out.name]
        for clip, said in zip(group["clips"][:], group["student/sod"][:], strict=True):
            for t in range(len(said)):
                active = {
                    e["label"]
                    for e in events
                    if e["clip"] == clip.decode()
                    and int(float(e["onset"]) / hop) <= t < np.ceil(float(e["offset"]) / hop)
                }
                true = min(2, len(active - {"Dishes"}))
                expected[true, said[t].argmax()] += 1
    np.testing.assert_array_equal(counts, expected)


def test_states_are_the_methods_own():
    from sedrepro.objectives.activity import Activity

    torch = pytest.importorskip("torch")
    frames = np.random.default_rng(0).random((50, 10))
    for low, states in ((0, 3), (0, 2), (1, 2)):
        names = next(n for n in activity.STATES.values() if len(n) == states)
        drawn = activity.Branch(None, None, None, [], [0, 1, 2, 5], low, names)
        trained = Activity([0, 1, 2, 5], low, states)
        expected = trained.state(torch.from_numpy(frames)).numpy()
        np.testing.assert_array_equal(drawn.state(frames), expected)


def test_bars_stand_beside_the_released_checkpoint(material, tmp_path, monkeypatch):
    """Also where somebody works in another folder than the checkout."""
    monkeypatch.chdir(tmp_path)
    made = activity.checkpoint_bars(material)
    assert len(made.axes) == 2
    heights = {round(float(bar.get_height()), 4) for bar in made.axes[0].patches}
    assert {0.4402, 0.654, 0.5192} <= heights


def test_without_the_branch_the_figures_say_so(tmp_path):
    chosen = {"papers": {PAPER: {"rows": ["untrained", "mt"]}}, "seeds": [42]}
    project = project_of(run=[PAPER], **chosen)
    fabricate(tmp_path, project)
    material = Material(project, PAPER, layout_of(tmp_path, project), ROOT)
    for name in ("agreement", "activity_confusion", "activity_timelines"):
        with pytest.raises(MissingError, match="no finished run has a sound-activity branch"):
            drawing(name)(material)
