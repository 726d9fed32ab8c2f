"""Every figure is drawn from what is there, and says what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sedrepro.reporting.colours import class_colours, row_colours
from sedrepro.reporting.figures import draw, drawing
from sedrepro.reporting.figures.material import Material, MissingError
from sedrepro.reporting.figures.timelines import _tracks
from sedrepro.settings import declared
from written import rewrite

PAPER = "lgc_sed"


def test_every_figure_a_paper_lists_can_be_drawn(made):
    assert set(made.project.papers[PAPER].figures) <= set(declared.FIGURES)


def test_all_figures_as_png_and_svg(made):
    draw(made.project, PAPER, made.layout)
    for name in made.project.papers[PAPER].figures:
        pixels = np.asarray(Image.open(made.layout.figure(PAPER, name, "png")).convert("L"))
        assert pixels.shape[1] > 1000
        assert 0.005 < (pixels < 128).mean() < 0.5
        svg = Path(made.layout.figure(PAPER, name, "svg")).read_text()
        assert svg.lstrip().startswith("<?xml")


def test_training_curves_draw_every_run_once(made):
    figure = drawing("training_curves")(Material(made.project, PAPER, made.layout, made.root))
    panels = {axis.get_title(loc="left"): axis for axis in figure.axes}
    assert len(panels["Selection score"].lines) == 8  # 4 trained rows × 2 seeds
    assert len(panels["Loss: clc"].lines) == 4
    text = Path(made.layout.results, "runs/lgc_sed/lgc/desed/seed42/history.csv").read_text()
    header, first = (line.split(",") for line in text.splitlines()[:2])
    drawn = [line.get_ydata()[0] for line in panels["Loss: clc"].lines]
    assert float(first[header.index("loss/clc")]) in drawn


def test_psd_roc_draws_the_stored_curves(made):
    figure = drawing("psd_roc")(Material(made.project, PAPER, made.layout, made.root))
    panels = {axis.get_title(loc="left"): axis for axis in figure.axes}
    assert list(panels) == [
        *("Teacher, scenario 1", "Teacher, scenario 2"),
        *("Student, scenario 1", "Student, scenario 2"),
    ]
    path = Path(made.layout.results, "runs/lgc_sed/lgc/desed/seed42/metrics.json")
    curve = json.loads(path.read_text())["curves"]["validation"]["teacher"]["psds1"]
    assert list(panels["Teacher, scenario 1"].lines[-1].get_ydata()) == curve["etpr"]


def test_class_bars_are_means_over_the_seeds(made):
    figure = drawing("class_bars")(Material(made.project, PAPER, made.layout, made.root))
    expected = []
    for seed in (42, 43):
        path = Path(made.layout.results, f"runs/lgc_sed/lgc/desed/seed{seed}/metrics.json")
        expected += [
            entry["value"]
            for entry in json.loads(path.read_text())["metrics"]
            if (entry["set"], entry["model"], entry["metric"], entry["label"])
            == ("validation", "teacher", "event_f1", "Cat")
        ]
    heights = [bar.get_height() for bar in figure.axes[0].patches]
    assert any(height == pytest.approx(np.mean(expected)) for height in heights)
    assert len(heights) == 30  # 3 headline rows × 10 classes


def test_from_nothing_every_figure_is_a_panel_that_says_so(empty):
    draw(empty.project, PAPER, empty.layout)
    for name in empty.project.papers[PAPER].figures:
        assert Path(empty.layout.figure(PAPER, name, "png")).stat().st_size > 1000
        with pytest.raises(MissingError, match="no run"):
            drawing(name)(Material(empty.project, PAPER, empty.layout, empty.root))


def test_numbers_that_are_none_do_not_stop_the_drawing(copy):
    for path in Path(copy.layout.results).rglob("metrics.json"):
        content = json.loads(path.read_text())
        content["curves"] = {}
        for entry in content["metrics"]:
            entry["value"] = None
        rewrite(path, content)
    for path in Path(copy.layout.results).rglob("history.csv"):
        header, *rest = path.read_text().splitlines()
        gaps = [",".join([row.split(",")[0]] + ["nan"] * header.count(",")) for row in rest]
        path.write_text("\n".join([header, *gaps]) + "\n")
    draw(copy.project, PAPER, copy.layout)
    with pytest.raises(MissingError, match="PSD-ROC"):
        drawing("psd_roc")(Material(copy.project, PAPER, copy.layout, copy.root))


def test_overlapping_events_are_kept_apart():
    events = [("a", 0.0, 2.0), ("b", 1.0, 3.0), ("c", 2.0, 4.0)]
    assert _tracks(events) == [[events[0], events[2]], [events[1]]]


def test_colours_depend_on_names_and_places_only(made):
    classes = made.project.data.desed.classes
    assert len(set(class_colours(classes).values())) == len(classes)
    rows = row_colours(made.project.papers[PAPER])
    assert rows["untrained"] == rows["dcase2021_baseline"]
    assert len({rows[row] for row in ("untrained", "mt_median7", "mt", "clc", "pgc", "lgc")}) == 6
