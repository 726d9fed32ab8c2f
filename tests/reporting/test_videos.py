"""Figures of audio-visual events and values under tables, from run folders made up here."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from sedrepro import papers, settings, tables
from sedrepro.clips import Clip
from sedrepro.files import write_json
from sedrepro.reporting import draw, tabulate
from sedrepro.reporting.figures import videos
from sedrepro.reporting.figures.material import Material, MissingError
from sedrepro.settings import Layout, Run, Subset
from sedrepro.sources import video
from written import numbers, run_record

PAPER = "dmsf_avel"
CLASSES = ["Flute", "Bark", "Bus"]
LABELS = [("Bark", 0, 10), ("Bark", 3, 7), ("Bus", 0, 4), ("Flute", 2, 9)]
T, BACKGROUND = 10, len(CLASSES)


@pytest.fixture
def made(tmp_path, root):
    """`made(rows)`: these rows finished under both conditions, scores a little better each row."""
    overlay = {
        "scale": "mini",
        "data": {"folder": str(tmp_path / "data"), "ave": {"classes": CLASSES}},
        "report": {"examples": 0},
    }
    project = settings.load(overlay, papers=papers.settings_models(), root=root)
    layout = Layout(project.data_folder, str(tmp_path / "results"))
    clips = [f"000{k}_video" for k in range(len(LABELS))]
    path = tmp_path / "v.mp4"
    video.write(path, np.full((40, 16, 16, 3), 90, np.uint8), 4, np.zeros(160000, np.float32))
    listed = [Clip(c, "test", 10.0, path=str(path) if c == clips[1] else "") for c in clips]
    where = Subset("ave", "test")
    tables.write(layout.table(where, "clips"), tables.clip_table(listed), tables.CLIPS)
    events = [(c, *label, 1.0) for c, label in zip(clips, LABELS, strict=True)]
    events = pd.DataFrame(events, columns=tables.EVENTS)
    tables.write(layout.table(where, "events"), events, tables.EVENTS)
    audit = pd.DataFrame([("test", 4, 4, "", "rendered")], columns=tables.AUDIT)
    tables.write(layout.table(where, "audit"), audit, tables.AUDIT)

    def fill(*rows: str) -> Material:
        for number, row in enumerate(rows):
            for condition in ("full", "weak"):
                finish(project, layout, Run(PAPER, row, condition, 42), clips, number)
        return Material(project, PAPER, layout, root)

    return fill


def truth():
    label = np.full((len(LABELS), T), BACKGROUND)
    for clip, (name, onset, offset) in enumerate(LABELS):
        label[clip, onset:offset] = CLASSES.index(name)
    return label


def plan_of(project, run):
    return settings.plan(project, run, papers.settings_models()[PAPER])


def measured(project, layout, run, metrics):
    found = {"status": "done", "reason": "", "metrics": metrics, "curves": {}}
    told = numbers(found, plan_of(project, run), project, layout)
    write_json(layout.run(run, "metrics.json"), told)


def finish(project, layout, run, clips, number):
    chosen = truth()
    chosen[number:, 8:] = 0  # wrong in the last seconds, of fewer videos the better the row
    keys = {"set": "test", "model": "network", "implementation": "sedrepro", "label": ""}
    numbers = {"segment_accuracy": 0.5 + number / 10, "oracle_uniform": 0.25}
    metrics = [
        {**keys, "metric": name, "value": value, "n_clips": 4, "n_expected": 4}
        for name, value in numbers.items()
    ]
    draw = np.random.default_rng(number)
    Path(layout.run(run)).mkdir(parents=True, exist_ok=True)
    with h5py.File(layout.run(run, "scores.h5"), "w") as file:
        file.attrs["classes"] = json.dumps(CLASSES)
        file.attrs["hop"] = 1.0
        file.attrs["models"] = json.dumps(["network"])
        file["test/clips"] = np.array(clips, dtype=h5py.string_dtype())
        file["test/seconds"] = np.full(len(clips), 10.0)
        file["test/network/frame"] = np.eye(BACKGROUND + 1)[chosen].astype(np.float32)
        if run.row != "a":
            file["test/network/attention"] = draw.dirichlet(np.ones(49), (len(clips), T))
    write_json(layout.run(run, "run.json"), run_record(plan_of(project, run), layout))
    measured(project, layout, run, metrics)


def test_a_runs_scores_are_held_against_the_events(made):
    material = made("av_att", "dmsf")
    of = videos.watched(material, material.under("full")["dmsf"][0])
    assert (of.label == truth()).all()
    assert of.background == BACKGROUND
    assert (of.chosen[:1] == of.label[:1]).all()
    assert (of.chosen[1:, 8:] == 0).all()
    assert of.attention.shape == (4, T, 49)


def test_the_first_videos_of_bark_and_bus_with_a_partial_event_are_shown(made):
    material = made("dmsf")
    of = videos.watched(material, material.under("full")["dmsf"][0])
    assert videos.chosen_clips(of) == [1, 2]


def test_boxes_are_orange_red_and_green_where_an_event_is(made):
    drawn = videos.qualitative(made("av_att", "dmsf"))
    axes = drawn.subfigs[0].axes
    assert len(axes) == 4 * T
    grid = np.array(axes, dtype=object).reshape(4, T)

    def boxed(line):
        return [axis.spines["left"].get_linewidth() > 2 for axis in grid[line]]

    assert boxed(2) == [3 <= t < 7 for t in range(T)]  # the truth of video 1
    assert boxed(1) == boxed(3) == [3 <= t < 7 or t >= 8 for t in range(T)]
    for line, colour in ((1, videos.BASELINE), (2, videos.TRUTH), (3, videos.OURS)):
        assert grid[line][4].spines["left"].get_edgecolor()[:3] == pytest.approx(
            tuple(int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5))
        )


def test_heat_is_where_the_attention_is_and_fades_with_the_event():
    frame, attention = np.full((70, 70, 3), 100, np.uint8), np.zeros(49)
    attention[2 * 7 + 5] = 1
    strong, faint = (videos.heated(frame, attention, certain) for certain in (1.0, 0.0))
    redness = strong[..., 0] - strong[..., 2]
    row, column = np.unravel_index(redness.argmax(), redness.shape)
    assert (row // 10, column // 10) == (2, 5)
    assert np.abs(faint - frame / 255).max() < np.abs(strong - frame / 255).max()


def test_every_figure_is_drawn_or_says_why_not(made, tmp_path):
    material = made("a", "av_att", "dmsf")
    draw(material.project, PAPER, material.layout)
    for name in material.paper.figures:
        path = Path(material.layout.figure(PAPER, name, "png"))
        assert path.stat().st_size > 3000, name
    with pytest.raises(MissingError, match="row dmsf has no finished run"):
        videos.qualitative(without(material, "dmsf"))


def without(material, row):
    shutil.rmtree(Path(material.layout.run(Run(PAPER, row, "full", 42))).parents[1])
    return Material(material.project, material.name, material.layout, material.root)


def test_measured_values_stand_under_the_table(made, root):
    material = made("av_att", "dmsf")
    tabulate(material.project, PAPER, material.layout, root)
    text = Path(material.layout.paper_table(PAPER, "md")).read_text()
    assert "- Uniform guess (test, sedrepro): 0.250." in text
    assert "Attention peak inside the true box" not in text  # no run measured it


def test_the_attentions_score_is_held_against_an_untrained_network(made, root):
    material = made("untrained", "dmsf")
    for record in material.done:
        found = {"metric": "pointing", "implementation": "sedrepro", "set": "test"}
        found |= {"model": "network", "label": "", "n_clips": 4, "n_expected": 4}
        found["value"] = 0.5 if record.run.row == "untrained" else 0.75
        measured(material.project, material.layout, record.run, [found])
    tabulate(material.project, PAPER, material.layout, root)
    text = Path(material.layout.paper_table(PAPER, "md")).read_text()
    (line,) = [line for line in text.splitlines() if "Attention peak inside" in line]
    assert "by itself no sign of learning" in line
    assert "what counts is the gain over Untrained" in line
    assert "Untrained (DMSF) 0.500, DMSF-style 0.750" in line


def test_recalled_numbers_are_not_printed(root):
    """Values from memory are not in the file that is printed; DMSF's cells say why."""
    lines = (root / f"config/papers/{PAPER}/published.csv").read_text().splitlines()
    header, rows = lines[0].split(","), [line for line in lines[1:] if line]
    value, status = header.index("published"), len(header) - 1
    assert status == header.index("status")
    recalled = [row for row in rows if "[recalled]" in row]
    assert recalled
    assert all(row.split(",")[value] == "" for row in recalled)
    own = [row.split(",") for row in rows if row.split(",")[1] == "dmsf"]
    assert len(own) == 2
    assert all(row[value] == "" and "[not found]" in ",".join(row) for row in own)
