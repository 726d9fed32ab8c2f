"""weak_mtl's tables and figures from made-up runs of the miniature's headline rows."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from sedrepro import papers, settings, tables
from sedrepro.files import write_json, write_text
from sedrepro.reporting.collect import collect
from sedrepro.reporting.figures import draw, drawing
from sedrepro.reporting.figures.material import Material, MissingError
from sedrepro.reporting.records import records
from sedrepro.reporting.tables import to_csv
from sedrepro.settings import Layout, Subset, declared
from written import numbers, run_record

PAPER = "weak_mtl"
LEVEL = {"untrained": 0.25, "gwrp": 0.6, "atrous_ap": 0.7, "2apae": 0.8}
LOSS = {"snr20": 0.0, "snr10": 0.05, "snr0": 0.15}
CLIPS = ["00120", "00121"]


def score(row: str, condition: str, place: int = 0) -> float:
    return round(LEVEL[row] - LOSS[condition] + 0.01 * place, 4)


def fabricate(project, layout: Layout) -> None:
    lay_tables(layout)
    for run in settings.runs(project, PAPER):
        plan = settings.plan(project, run, papers.settings_models()[PAPER])
        folder = Path(layout.run(run))
        folder.mkdir(parents=True)
        entries = []
        for model in ("network", "network@last"):
            kinds = [("micro_ap", ""), ("macro_ap", ""), ("macro_auc", "")]
            kinds += [("ap", label) for label in plan.classes]
            for metric, label in kinds:
                value = score(run.row, run.condition, plan.classes.index(label) if label else 0)
                entries.append(entry(metric, model, label, value, (value - 0.05, value + 0.05)))
            entries.append(entry("micro_ap_chance", model, "", 0.25, (None, None)))
        data = {"corpus": "snr_mix", "subset": run.condition, "expected": 160, "found": 160}
        write_text(folder / "history.csv", "epoch,step,rate,loss/total,select\n0,1,1,0.5,0.5\n")
        write_text(folder / "scores.h5", "")
        examples(folder / "examples.h5", run, plan)
        write_json(folder / "run.json", run_record(plan, layout, data={"d": data}))
        found = {"status": "done", "reason": "", "metrics": entries, "curves": {}}
        write_json(folder / "metrics.json", numbers(found, plan, project, layout))


def lay_tables(layout: Layout) -> None:
    for condition in LOSS:
        rows = [f"{clip}\tBark\t0.2\t1.1\t1.0" for clip in CLIPS]
        path = layout.table(Subset("snr_mix", condition), "events")
        write_text(path, "\n".join(["\t".join(tables.EVENTS), *rows]) + "\n")
        files = layout.truths(Subset("snr_mix", condition))
        for name in ("clips", "audit", "recipe"):
            write_text(files[name], "nothing\n")


def entry(metric, model, label, value, ends) -> dict:
    return {
        "metric": metric,
        "implementation": "sedrepro",
        "set": "held_out",
        "model": model,
        "label": label,
        "value": value,
        "ci_low": ends[0],
        "ci_high": ends[1],
        "n_clips": 40,
        "n_expected": 40,
    }


def examples(path: Path, run, plan) -> None:
    rng = np.random.default_rng(0)
    bands, frames = plan.front_ends["logmel64"].shape
    with h5py.File(path, "w") as file:
        file.attrs["hop"] = plan.grid.seconds
        file.attrs["order"] = json.dumps(CLIPS)
        for clip in CLIPS:
            group, classes = file.create_group(clip), len(plan.classes)
            group["input"] = rng.random((bands, frames)) * (1 + LOSS[run.condition])
            group["standardised"] = rng.normal(size=(bands, frames))
            group["clip"] = np.linspace(0, 1, classes)
            group["frame"] = rng.random((frames, classes))
            if run.row == "2apae":
                group["frequency"] = rng.random((classes, frames, bands))
                group["time"] = rng.random((classes, frames))
                group["reconstruction"] = rng.random((bands, frames))


@pytest.fixture(scope="module")
def made(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tagging")
    mini = settings.read_yaml(root / "config/mini.yaml")
    project = settings.load(mini, papers=papers.settings_models(), root=root)
    layout = Layout(str(folder / "data"), str(folder / "results"))
    fabricate(project, layout)
    return project, layout, root


@pytest.fixture
def material(made) -> Material:
    return Material(made[0], PAPER, made[1], made[2])


def printed(made) -> dict:
    return {table.name: table for table in collect(made[0], PAPER, made[1], made[2])[0]}


def test_numbers_of_other_mixtures_are_not_printed(made):
    project, layout, _ = made
    recipe = Path(layout.recipe(Subset("snr_mix", "snr20")))
    before = recipe.read_text()
    recipe.write_text("other mixtures\n")
    found = records(project, PAPER, layout)
    recipe.write_text(before)
    others = {record.run.condition for record in found if "other clip tables" in record.reason}
    assert others == {"snr20"}


def test_tables_of_one_condition_have_only_its_columns(made):
    shown = printed(made)
    assert {c.condition for c in shown["events_0db"].columns} == {"snr0"}
    assert [c.column.label for c in shown["events_0db"].columns] == [
        "Bus",
        "Cowbell",
        "Gong",
        "Meow",
    ]
    assert [c.condition for c in shown["alpha"].columns] == ["snr20", "snr10", "snr0"]


def test_a_star_is_a_column_for_every_class(made):
    classes = made[0].data.snr_mix.classes
    assert [c.column.label for c in printed(made)["classes_10db"].columns] == classes


def test_transposed_table_is_the_same_table_turned(made):
    table = printed(made)["classes_20db"]
    turned, classes = table.as_read(), made[0].data.snr_mix.classes
    assert [row.row.label for row in turned.rows] == classes
    assert [c.heading for c in turned.columns] == [row.row.label for row in table.rows]
    for i, row in enumerate(turned.rows):
        for j, cell in enumerate(row.cells):
            assert cell is table.rows[j].cells[i]
    # What machines read keeps rows and metrics as they are.
    lines = list(csv.DictReader(io.StringIO(to_csv([table]))))
    line = next(r for r in lines if r["row"] == "2apae" and r["metric"] == "ap[Bus]")
    place = classes.index("Bus")
    assert float(line["ours_mean"]) == pytest.approx(score("2apae", "snr20", place))
    assert line["published"] == "0.755"


def test_published_numbers_stand_beside_ours(made):
    table = printed(made)["main"]
    cells = {row.name: row.cells[0] for row in table.rows}
    assert cells["2apae"].published.value == 0.7829
    assert cells["2apae"].ours.mean == pytest.approx(0.8)
    assert cells["gmp"].ours is None
    assert cells["gmp"].published.value == 0.5390


def test_every_figure_the_paper_lists_is_drawn(made, monkeypatch):
    project, layout, root = made
    monkeypatch.chdir(root)
    assert set(project.papers[PAPER].figures) <= set(declared.FIGURES)
    draw(project, PAPER, layout)
    for name in project.papers[PAPER].figures:
        pixels = np.asarray(Image.open(layout.figure(PAPER, name, "png")).convert("L"))
        assert pixels.shape[1] > 600
        assert (pixels < 128).mean() > 0.004, name
        assert "Figure" not in Path(layout.figure(PAPER, name, "svg")).read_text()[:20]


def test_metric_over_snr_draws_what_was_measured(made, material, monkeypatch):
    monkeypatch.chdir(made[2])
    figure = drawing("metric_over_snr")(material)
    panel = figure.axes[0]
    assert panel.get_title(loc="left") == "Micro-P"
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in panel.lines]
    assert ([0, 10, 20], [0.65, 0.75, 0.8]) in [(x, [round(v, 6) for v in y]) for x, y in lines]
    assert ([0, 10, 20], [0.6986, 0.7603, 0.7829]) in lines


def test_class_dots_are_joined_pairs(material):
    figure = drawing("class_dots")(material)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["20 dB", "10 dB", "0 dB"]
    pairs = [line.get_xdata() for line in figure.axes[2].lines]
    assert len(pairs) == len(material.project.data.snr_mix.classes)
    assert all(b - a == pytest.approx(0.1) for a, b in pairs)


def test_attention_panel_shows_the_highest_classes(material):
    figure = drawing("attention_panel")(material)
    titles = [axis.get_title(loc="left") for axis in figure.axes]
    names = [name.replace("_", " ") for name in material.project.data.snr_mix.classes]
    for name in names[-3:]:
        assert sum(f"mel attention: {name}" in title for title in titles) == 1
    assert titles[:2] == ["input, standardised", "reconstruction"]


def test_mixture_shows_one_clip_at_every_ratio(material):
    figure = drawing("mixture_at_snrs")(material)
    assert [axis.get_title(loc="left") for axis in figure.axes] == ["20 dB", "10 dB", "0 dB"]
    assert all(axis.texts[0].get_text().strip() == "Bark" for axis in figure.axes)
    limits = {axis.images[0].get_clim() for axis in figure.axes}
    assert len(limits) == 1


@pytest.mark.parametrize("name", ["attention_panel", "reconstruction_panel", "mixture_at_snrs"])
def test_figures_without_maps_say_so(made, tmp_path, name):
    project, layout, _ = made
    other = Layout(layout.data, str(tmp_path))
    for run in settings.runs(project, PAPER):
        folder = Path(other.run(run))
        folder.mkdir(parents=True)
        for file in ("metrics.json", "run.json"):
            text = Path(layout.run(run, file)).read_text()
            (folder / file).write_text(json.dumps(json.loads(text)))
    with pytest.raises(MissingError):
        drawing(name)(Material(project, PAPER, other, made[2]))
