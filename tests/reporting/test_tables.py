"""Tables against means taken by hand, and tables of what is not there."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import fabricate
import numpy as np
import pytest

from sedrepro import papers, settings
from sedrepro.errors import SedreproError
from sedrepro.files import write_json
from sedrepro.metrics.resamples import Resamples
from sedrepro.reporting import tabulate
from sedrepro.reporting.collect import collect, published_numbers
from sedrepro.reporting.stats import MARGIN
from sedrepro.reporting.tables import COLUMNS, latex, to_csv
from sedrepro.settings import Run
from written import numbers, rewrite, run_record

PAPER = "lgc_sed"
KEY = {"set": "validation", "model": "teacher", "metric": "psds1", "implementation": "psds_eval"}


def lines(place, root=None):
    tabulate(place.project, PAPER, place.layout, root or place.root)
    with open(place.layout.paper_table(PAPER), newline="") as handle:
        return list(csv.DictReader(handle))


def pick(rows, row, table="teacher", metric="psds1", implementation="psds_eval"):
    (found,) = [
        r
        for r in rows
        if (r["table"], r["row"], r["metric"], r["implementation"])
        == (table, row, metric, implementation)
    ]
    return found


def values(place, row, **keys):
    """The seeds' values straight from metrics.json."""
    found = []
    for seed in (42, 43):
        path = Path(place.layout.run(Run(PAPER, row, "desed", seed), "metrics.json"))
        for entry in json.loads(path.read_text())["metrics"]:
            if all(entry[k] == v for k, v in {**keys, "label": ""}.items()):
                found.append(entry["value"])
    return found


def change(place, row, seed, edit):
    path = Path(place.layout.run(Run(PAPER, row, "desed", seed), "metrics.json"))
    content = json.loads(path.read_text())
    edit(content)
    rewrite(path, content)


def at_full_scale(place):
    data = place.project.data.model_copy(update={"origin": "download"})
    return place.project.model_copy(update={"scale": "full", "data": data})


def whole_data(place):
    fabricate.whole_data(place.layout)


def with_published(tmp_path, place, value, spread=""):
    """A project root whose paper published PSDS1 of `mt`."""
    root = tmp_path / "root"
    shutil.copytree(place.root / "config", root / "config")
    path = root / "config" / "papers" / PAPER / "published.csv"
    text = path.read_text()
    key = "teacher,mt,desed,validation,teacher,psds1,psds_eval,"
    (line,) = [part for part in text.splitlines() if part.startswith(key)]
    path.write_text(text.replace(line, f"{key}{value},{spread},a paper,"))
    return root


def test_the_columns_are_those_of_the_architecture(root, made):
    promised = (root / "docs" / "architecture.md").read_text()
    assert f"`{','.join(COLUMNS)}`" in promised
    assert list(lines(made)[0]) == list(COLUMNS)


def test_tables_are_sealed_with_the_numbers_they_are_made_of(copy):
    lines(copy)
    sealed = json.loads(Path(copy.layout.results_key(f"tables/{PAPER}")).read_text())
    names = {f"{PAPER}.{form}" for form in ("csv", "differences.csv", "md", "tex")}
    assert sealed["files"].keys() == names
    assert sealed["kind"] == "results"


def test_our_mean_and_interval_are_those_of_the_runs(made):
    row = pick(lines(made), "lgc")
    found = np.array(values(made, "lgc", **KEY))
    draws = [
        Resamples(made.layout.run(Run(PAPER, "lgc", "desed", seed), "resamples.npz")).draws(
            ("validation", "teacher", "psds1", "psds_eval", "")
        )
        for seed in (42, 43)
    ]
    seeds = found.var(ddof=1) / 2
    clips = np.cov(draws[0].values, draws[1].values)[0, 1] * 12 / 11
    # t of 1 degree of freedom for two seeds, of 11 for twelve clips.
    t = (12.7062 * seeds + 2.20099 * clips) / (seeds + clips)
    half = t * math.sqrt(seeds + clips)
    assert float(row["ours_mean"]) == pytest.approx(found.mean(), rel=1e-5)
    assert float(row["ours_std"]) == pytest.approx(found.std(ddof=1), rel=1e-5)
    assert float(row["ci_low"]) == pytest.approx(found.mean() - half, rel=1e-4)
    assert (row["n_runs"], row["n_clips"], row["n_expected"]) == ("2", "12", "13")
    assert row["aggregate"] == "2 seeds: another training, other clips"
    text = Path(made.layout.paper_table(PAPER, "md")).read_text()
    assert "- Intervals, 2 seeds: another training, other clips." in text


def test_every_row_of_every_table_is_there_in_printing_order(made):
    spec = made.project.papers[PAPER]
    found = lines(made)
    for name, table in spec.tables.items():
        order = list(dict.fromkeys(r["row"] for r in found if r["table"] == name))
        assert order == (table.rows or list(spec.table))


def test_published_context_stands_as_what_it_is(made):
    row = pick(lines(made), "dcase2023_baseline")
    assert (row["published"], row["published_std"], row["model"]) == ("0.349", "0.007", "student")
    assert "dcase2023_task4_baseline" in row["published_source"]
    assert (row["ours_mean"], row["n_runs"], row["verdict"]) == ("", "0", "not run")


def test_a_published_cell_nobody_could_read_stays_empty_with_its_reason(made):
    row = pick(lines(made), "lgc")
    assert row["published"] == ""
    assert row["published_status"] == "[not found]: the paper's tables could not be read"
    assert row["verdict"] == "no published number"


def test_the_miniature_is_never_comparable(made, tmp_path):
    row = pick(lines(made, with_published(tmp_path, made, 0.36)), "mt")
    assert row["verdict"] == "not comparable"
    assert "miniature" in row["note"]
    text = Path(made.layout.paper_table(PAPER, "md")).read_text()
    assert "cannot be compared with the published numbers" in text


def test_whole_data_at_full_scale_is_judged(copy, tmp_path):
    whole_data(copy)
    copy.project = at_full_scale(copy)
    mean = float(np.mean(values(copy, "mt", **KEY)))
    row = pick(lines(copy, with_published(tmp_path, copy, round(mean, 4), "0.2")), "mt")
    assert (row["verdict"], row["note"]) == ("reproduced", "")
    assert float(row["gap"]) == pytest.approx(mean - round(mean, 4), abs=1e-6)


def test_an_interval_that_holds_any_number_reproduces_none(copy, tmp_path):
    """Two made-up seeds on twelve clips: ± 0.05."""
    whole_data(copy)
    copy.project = at_full_scale(copy)
    mean = float(np.mean(values(copy, "mt", **KEY)))
    row = pick(lines(copy, with_published(tmp_path, copy, round(mean, 4))), "mt")
    assert row["verdict"] == "inconclusive"
    assert float(row["ci_high"]) - float(row["ci_low"]) > 2 * MARGIN
    text = Path(copy.layout.paper_table(PAPER, "md")).read_text()
    assert "inconclusive (" in text


def test_missing_clips_make_a_number_incomparable(copy, tmp_path):
    copy.project = at_full_scale(copy)
    row = pick(lines(copy, with_published(tmp_path, copy, 0.36)), "mt")
    assert row["verdict"] == "not comparable"
    assert "12 of 13 clips scored" in row["note"]


def test_missing_training_data_makes_a_number_incomparable(copy, tmp_path):
    whole_data(copy)
    copy.project = at_full_scale(copy)
    path = Path(copy.layout.run(Run(PAPER, "mt", "desed", 43), "run.json"))
    content = json.loads(path.read_text())
    content["data"]["desed/weak.mel128"] = {"expected": 1578, "found": 1499}
    path.write_text(json.dumps(content))
    row = pick(lines(copy, with_published(tmp_path, copy, 0.36)), "mt")
    assert row["verdict"] == "not comparable"
    assert row["note"] == "partial data: 1499 of 1578 clips of desed/weak.mel128"


def test_a_few_missing_clips_stand_beside_the_verdict(copy, tmp_path):
    whole_data(copy)
    copy.project = at_full_scale(copy)
    path = Path(copy.layout.run(Run(PAPER, "mt", "desed", 43), "run.json"))
    content = json.loads(path.read_text())
    content["data"]["desed/weak.mel128"] = {"expected": 1578, "found": 1500}
    path.write_text(json.dumps(content))
    mean = float(np.mean(values(copy, "mt", **KEY)))
    row = pick(lines(copy, with_published(tmp_path, copy, round(mean, 4), "0.2")), "mt")
    assert row["verdict"] == "reproduced"
    assert row["note"] == "partial data: 1500 of 1578 clips of desed/weak.mel128"
    text = Path(copy.layout.paper_table(PAPER, "md")).read_text()
    assert "reproduced, partial data (" in text


def test_mixed_precision_stands_beside_the_score(copy, tmp_path):
    whole_data(copy)
    copy.project = at_full_scale(copy)
    said = "trained in mixed precision; the authors trained in float32"
    path = Path(copy.layout.run(Run(PAPER, "mt", "desed", 43), "run.json"))
    content = json.loads(path.read_text())
    content["hardware"]["amp"] = True
    path.write_text(json.dumps(content))
    root = with_published(tmp_path, copy, 0.36)
    rows = lines(copy, root)
    assert pick(rows, "mt")["note"] == said
    assert pick(rows, "mt_median7")["note"] == said  # decoded anew from the same scores
    assert said not in pick(rows, "lgc")["note"]
    text = Path(copy.layout.paper_table(PAPER, "md")).read_text()
    assert f"- DCASE 2021 mean teacher, median 7, Mean teacher: {said}" in text
    assert not copy.project.amp  # nobody who did not ask for it has to read this


def test_a_reconstruction_is_never_judged(copy, tmp_path):
    """Not even where its value is the published one: it says so in all files."""
    whole_data(copy)
    copy.project = at_full_scale(copy)
    mean = round(float(np.mean(values(copy, "mt", **KEY))), 4)
    root = with_published(tmp_path, copy, mean, "0.5")
    assert pick(lines(copy, root), "mt")["verdict"] == "reproduced"
    spec = copy.project.papers[PAPER]
    row = spec.table["mt"].model_copy(update={"reconstructed": True})
    spec = spec.model_copy(update={"table": {**spec.table, "mt": row}})
    copy.project = copy.project.model_copy(update={"papers": {**copy.project.papers, PAPER: spec}})
    found = pick(lines(copy, root), "mt")
    said = "not comparable: the row is our reconstruction"
    assert (found["verdict"], found["published_status"]) == ("not comparable", said)
    assert found["note"] == said
    for kind in ("md", "tex"):
        text = Path(copy.layout.paper_table(PAPER, kind)).read_text()
        assert f"Published, Mean teacher: {said}" in text
        assert "reproduced" not in text.replace("not reproduced", "")


def test_one_seed_keeps_the_bootstrap_interval(copy):
    shutil.rmtree(copy.layout.run(Run(PAPER, "lgc", "desed", 43)))
    row = pick(lines(copy), "lgc")
    (value,) = values_of_one(copy)
    assert (row["n_runs"], row["ours_std"]) == ("1", "")
    assert float(row["ci_low"]) == pytest.approx(value - 0.03, rel=1e-5)
    assert row["aggregate"] == "1 seed: this model, other clips"
    assert "seed 43: not started yet" in row["note"]


def test_the_unit_that_was_drawn_is_printed(copy):
    """Also in how many units the clips of a set come."""
    shutil.rmtree(copy.layout.run(Run(PAPER, "lgc", "desed", 43)))

    def edit(content):
        for entry in content["metrics"]:
            entry |= {"unit": "recording", "n_units": 5}

    change(copy, "lgc", 42, edit)
    assert pick(lines(copy), "lgc")["aggregate"] == "1 seed: this model, other recordings"
    text = Path(copy.layout.paper_table(PAPER, "md")).read_text()
    assert "12 of 13 clips of validation in 5 units" in text


def values_of_one(place):
    path = Path(place.layout.run(Run(PAPER, "lgc", "desed", 42), "metrics.json"))
    return [
        e["value"]
        for e in json.loads(path.read_text())["metrics"]
        if all(e[k] == v for k, v in {**KEY, "label": ""}.items())
    ]


def test_folds_and_seeds_are_averaged_together(tmp_path):
    paper, key = "weak_mtl", ("held_out", "network", "micro_ap", "sedrepro", "")
    project = fabricate.project_of(run=[paper], papers={paper: {"folds": [1, 2], "rows": ["gap"]}})
    layout = fabricate.layout_of(tmp_path, project)
    for index, run in enumerate(settings.runs(project, paper)):
        plan = settings.plan(project, run, papers.settings_models()[paper])
        rng = np.random.default_rng(0)
        content = fabricate.metrics_of([], {"held_out": []}, 0.3 + index / 50, rng, [key])
        for held_out in plan.reported:
            for path in layout.truths(held_out.subset).values():
                write_json(path, {})
        write_json(layout.run(run, "scores.h5"), {})
        write_json(layout.run(run, "run.json"), run_record(plan, layout))
        write_json(layout.run(run, "metrics.json"), numbers(content, plan, project, layout))
    tables, found = collect(project, paper, layout, fabricate.ROOT)
    (row,) = [row for row in tables[0].rows if row.name == "gap"]
    condition = tables[0].columns[0].condition
    names = ("set", "model", "metric", "implementation", "label")
    expected = [
        record.find(**dict(zip(names, key, strict=True)))["value"]
        for record in found
        if record.run.condition == condition
    ]
    assert len(expected) == 4
    assert row.cells[0].ours.mean == pytest.approx(np.mean(expected))
    assert row.cells[0].aggregate == "2 seeds x 2 folds: another training, these clips"
    assert (row.cells[0].n_clips, row.cells[0].n_expected) == (24, 26)


@pytest.mark.parametrize("value", [None, math.nan])
def test_a_score_that_is_no_number_is_said_and_not_averaged(copy, value):
    def edit(content):
        for entry in content["metrics"]:
            entry["value"] = value

    change(copy, "lgc", 42, edit)
    row = pick(lines(copy), "lgc")
    assert row["ours_mean"] == "nan"
    assert "our value is undefined (not a number)" in row["note"]
    assert "| undefined |" in Path(copy.layout.paper_table(PAPER, "md")).read_text()


def test_from_nothing_there_is_a_table_that_says_so(empty):
    rows = lines(empty)
    assert {row["verdict"] for row in rows} == {"not run"}
    assert "not started yet" in pick(rows, "mt")["note"]
    text = Path(empty.layout.paper_table(PAPER, "md")).read_text()
    assert "No value, Untrained" in text


def test_a_row_that_is_not_selected_is_named(empty):
    empty.project = fabricate.project_of(papers={PAPER: {"rows": "headline"}})
    assert pick(lines(empty), "clc")["note"] == "row not selected: `rows: all` runs it"


def test_markdown_and_latex_hold_the_numbers(made):
    row = pick(lines(made), "lgc")
    shown = f"{float(row['ours_mean']):.3f}"
    for form in ("md", "tex"):
        text = Path(made.layout.paper_table(PAPER, form)).read_text()
        assert shown in text
        assert "0.349" in text
        assert "published PSDS 1" in text
    tex = Path(made.layout.paper_table(PAPER, "tex")).read_text()
    # Four tables, each with its differences.
    assert tex.count(r"\begin{table}") == tex.count(r"\end{table}") == 8
    assert "rows minus Mean teacher, run by run" in tex
    assert "psds_eval" not in tex.replace(r"psds\_eval", "")


def test_columns_about_a_row_stand_before_its_scores(copy):
    about = {"about": ["parameters", "front ends"]}
    copy.project = fabricate.project_of(seeds=[42], papers={PAPER: {"tables": {"teacher": about}}})
    untrained = Path(copy.layout.run(Run(PAPER, "untrained", "desed", 42), "run.json"))
    for path in untrained.parents[1].rglob("run.json"):
        path.unlink()
    lines(copy)
    text = Path(copy.layout.paper_table(PAPER, "md")).read_text().splitlines()
    assert sum(line.startswith("| row | parameters | front ends | PSDS 1") for line in text) == 1
    assert any(line.startswith("| Mean teacher | 1,112,420 | mel128 | 0.") for line in text)
    assert any(line.startswith("| Untrained | – | mel128 |") for line in text)
    again = copy.project.papers[PAPER].table["mt_median7"]
    assert again.kind == "reevaluate"  # it has no run of its own, so the one it decodes is shown
    assert any(line.startswith(f"| {again.label} | 1,112,420 | mel128 | 0.") for line in text)


def test_latex_escapes_everything_special():
    assert latex(r"a_b & 50% {x} \ ~^ $#") == (
        r"a\_b \& 50\% \{x\} \textbackslash{} \textasciitilde{}\textasciicircum{} \$\#"
    )


def test_equal_runs_make_an_equal_table(made):
    first = to_csv(collect(made.project, PAPER, made.layout, made.root)[0])
    assert first == to_csv(collect(made.project, PAPER, made.layout, made.root)[0])


def test_a_published_value_that_is_no_number_names_its_line(made, tmp_path):
    root = with_published(tmp_path, made, '"0,36"')
    with pytest.raises(SedreproError, match=r"published.csv: line \d+: published"):
        published_numbers(root, PAPER)
