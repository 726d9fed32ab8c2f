"""Cells, tables as text, and differences, from a few records and numbers made by hand."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sedrepro.metrics.bootstrap import Interval
from sedrepro.metrics.resamples import Draws, Resamples
from sedrepro.reporting import collect, differences, stats, tables
from sedrepro.reporting.collect import missing_clips
from sedrepro.reporting.differences import Difference, difference
from sedrepro.reporting.printed import Cell, PrintedColumn, PrintedRow, PrintedTable, Published
from sedrepro.reporting.records import Record
from sedrepro.reporting.stats import Measured, Summary, summarise
from sedrepro.reporting.tables import Comparison, blank, compare, ours_text, published_text
from sedrepro.reporting.whose import Whose
from sedrepro.settings import Run
from sedrepro.settings.project import Column, Released, Row

COLUMN = PrintedColumn(
    Column(set="test", model="student", metric="psds1", implementation="ours"), "clean"
)
KEYS = ("test", "student", "psds1", "ours", "")


def entry(value, **more) -> dict:
    names = ("set", "model", "metric", "implementation", "label")
    told = {"value": value, "ci_low": None, "ci_high": None, "n_clips": 9, "n_expected": 10}
    return {**dict(zip(names, KEYS, strict=True)), **told, **more}


def record(
    value=None, *, row="ours", seed=1, fold=None, reason="", described=None, **more
) -> Record:
    run = Run("paper", row, "clean", seed, fold)
    metrics = [] if value is None else [entry(value, **more)]
    state = "unfinished" if reason else "done"
    return Record(run, Path("nowhere"), state, reason, described or {}, metrics)


PROJECT = SimpleNamespace(report=SimpleNamespace(confidence=0.9))
ROW = Row(label="Ours")
NOTHING, NOBODY = Published(), Whose()


def cell(*found: Record, row: Row = ROW, published=NOTHING, whose=NOBODY, precision=None) -> Cell:
    spec = SimpleNamespace(table={"ours": row}, precision=precision)
    by_row = {("ours", "clean"): list(found)}
    return collect._cell(PROJECT, spec, "ours", by_row, COLUMN, whose, published)


# Missing clips


@pytest.mark.parametrize(
    ("clips", "short", "partial"),
    [
        ((100, 100), [], []),
        ((95, 100), [], ["partial data: 95 of 100 clips scored"]),
        ((94, 100), ["partial data: 94 of 100 clips scored"], []),
        (None, [], []),
    ],
)
def test_clips_that_were_not_scored_are_stated_or_forbid_a_comparison(clips, short, partial):
    assert missing_clips([], clips) == (short, partial)


def test_so_are_clips_of_the_training_data_each_once():
    data = {
        "weak": {"found": 94, "expected": 100},
        "synth": {"found": 96, "expected": 100},
        "unlabelled": {"found": None, "expected": 100},
        "whole": {"found": 100, "expected": 100},
        "unknown": {"found": 3, "expected": None},
    }
    found = [record(0.5, described={"data": data})] * 2
    assert missing_clips(found, None) == (
        ["partial data: 94 of 100 clips of weak"],
        ["partial data: 96 of 100 clips of synth"],
    )


# Cells


def test_clips_are_summed_over_folds_and_the_smallest_of_the_seeds():
    def run(seed: int, fold: int) -> Run:
        return Run("paper", "ours", "clean", seed, fold)

    entries = [
        (run(1, 1), {"n_clips": 10, "n_expected": 12}),
        (run(1, 2), {"n_clips": 20, "n_expected": 21}),
        (run(2, 1), {"n_clips": 10, "n_expected": 12}),
        (run(2, 2), {"n_clips": 19, "n_expected": 21}),
    ]
    assert collect._clips(entries) == (29, 33)
    assert collect._clips(entries[:1]) == (10, 12)
    assert collect._clips([]) is None
    for lacking in ("n_clips", "n_expected"):
        assert collect._clips([*entries, (run(3, 1), {**entries[0][1], lacking: None})]) is None


def test_units_are_told_where_a_clip_is_none():
    video = [{"unit": "video", "n_units": n} for n in (7, 5, None)]
    assert collect._units(video) == 5
    assert collect._units([{"unit": "clip", "n_units": 3}]) is None
    assert collect._units(video[2:]) is None


def test_the_most_events_that_could_not_be_found_are_told():
    some = [{"n_cut": 2, "n_events": 1000}, {"n_cut": 1200, "n_events": 3000}, {"n_cut": None}]
    assert collect._cut(some).startswith("1,200 of 3,000 events go on after what is heard of th")
    assert collect._cut([{"n_cut": 0, "n_events": 5}, {}]) == ""
    assert collect._cut([]) == ""


def test_why_a_run_has_no_value_is_told_once_with_all_it_is_true_of():
    found = [
        record(seed=1, reason="not started yet"),
        record(seed=2, reason="not started yet"),
        record(seed=3, fold=4),
        record(0.5, seed=4),
    ]
    assert collect._absences(found, {found[3].run}) == [
        "seed 1, seed 2: not started yet",
        "seed 3 fold 4: this value was not computed",
    ]
    assert collect._absences([], set()) == ["row not selected: `rows: all` runs it"]


def test_a_cell_is_the_mean_of_its_runs():
    found = cell(record(0.4), record(0.6, seed=2), record(seed=3, reason="not started yet"))
    assert found.ours.mean == pytest.approx(0.5)
    assert (found.ours.n, found.seeds, found.folds) == (2, 2, 0)
    assert (found.n_clips, found.n_expected) == (9, 10)
    assert (found.unit, found.n_units, found.cut, found.mixed) == ("clip", None, "", "")
    assert found.note.startswith("seed 3: not started yet")
    assert found.verdict == stats.NO_PUBLISHED_NUMBER


def test_folds_are_counted_too():
    found = cell(record(0.4, fold=1), record(0.6, fold=2))
    assert (found.seeds, found.folds) == (1, 2)


def test_one_run_keeps_its_interval_and_what_it_is_of():
    more = {"ci_low": 0.3, "ci_high": 0.5, "unit": "video", "n_units": 4}
    found = cell(record(0.4, n_cut=3, n_events=30, **more))
    assert (found.ours.low, found.ours.high, found.ours.interval) == (0.3, 0.5, "clips")
    assert (found.unit, found.n_units) == ("video", 4)
    assert found.cut in found.note
    assert found.cut.startswith("3 of 30 events go on")


def test_without_a_run_there_is_nothing_but_the_reason():
    found = cell(record(reason="the disk is full"))
    assert (found.ours, found.n_clips, found.n_expected) == (None, None, None)
    assert (found.unit, found.cut, found.mixed) == ("clip", "", "")
    assert (found.note, found.verdict) == ("seed 1: the disk is full", stats.NOT_RUN)


WHOLE = {"n_clips": 10, "ci_low": 0.38, "ci_high": 0.42}


@pytest.mark.parametrize(
    ("clips", "verdict", "partial"),
    [
        (100, stats.REPRODUCED, False),
        (95, stats.REPRODUCED, True),
        (94, stats.NOT_COMPARABLE, False),
    ],
)
def test_partial_data_stand_beside_a_verdict(clips, verdict, partial):
    of = {**WHOLE, "n_clips": clips, "n_expected": 100}
    found = cell(record(0.4, **of), published=Published(0.4, text="0.4"))
    assert (found.verdict, found.partial) == (verdict, partial)
    unpublished = cell(record(0.4, **of))
    assert not unpublished.partial


def test_what_cannot_be_compared_says_why():
    published = Published(0.4, status="not comparable: another set", text="0.4")
    found = cell(record(0.4, **WHOLE), published=published)
    assert (found.verdict, found.note) == (stats.NOT_COMPARABLE, "not comparable: another set")
    small = cell(record(0.4, **WHOLE), published=Published(0.4), whose=Whose(small=True))
    assert (small.verdict, small.note) == (stats.NOT_COMPARABLE, "a small network (scale: mini)")
    read = Published(0.4, status="read off a figure")
    assert cell(record(0.4, **WHOLE), published=read).verdict == stats.REPRODUCED


def test_a_reconstruction_is_compared_with_nothing_that_was_published():
    row = Row(label="Ours, reconstructed", reconstructed=True)
    told = "not comparable: the row is our reconstruction"
    found = cell(record(0.4, **WHOLE), row=row, published=Published(0.4, status="of a figure"))
    assert (found.verdict, found.published.status) == (
        *(stats.NOT_COMPARABLE, f"{told}; of a figure"),
    )
    unread = cell(record(0.4, **WHOLE), row=row, published=Published(status="[not found]"))
    assert unread.published.status == "[not found]"


def test_another_precision_stands_beside_the_score():
    amp = {"hardware": {"amp": True}}
    said = "trained in mixed precision; the authors trained in float32"
    found = cell(record(0.4, described=amp, **WHOLE), precision="float32")
    assert (found.mixed, found.note) == (said, said)
    assert cell(record(reason="late", described=amp), precision="float32").mixed == ""
    assert cell(record(0.4, described=amp, **WHOLE)).mixed == ""


def test_other_peoples_numbers_are_nothing_to_run():
    found = cell(row=Row(label="Theirs", kind="published"), published=Published(0.4))
    assert (found.ours, found.seeds, found.folds) == (None, 0, 0)
    assert (found.verdict, found.note) == (stats.NOT_RUN, "other people's number: nothing to run")


def released(**more) -> Row:
    told = {"resource": "theirs", "layout": "dcase_crnn", "path": "a.ckpt", **more}
    return Row(label="Theirs", kind="released", released=Released(**told))


DETECTIONS = {"layout": "detections", "truth": "t.tsv", "durations": "d.tsv"}


@pytest.mark.parametrize(
    ("row", "value", "verdict"),
    [
        (released(), 0.336, stats.RECOMPUTED),
        (released(), 0.338, stats.NOT_RECOMPUTED),
        (released(**DETECTIONS), 0.336, stats.NOT_RECOMPUTED),
        (released(**DETECTIONS), 0.3341, stats.RECOMPUTED),
        (
            released(**DETECTIONS, versions={"psds1": ["0.336", "0.334"]}),
            *(0.336, stats.RECOMPUTED_OTHER_VERSION),
        ),
    ],
)
def test_a_released_system_is_recomputed_or_not(row, value, verdict):
    found = cell(record(value, n_clips=10), row=row, published=Published(0.334, text="0.334"))
    assert (found.verdict, found.seeds) == (verdict, 0)


def test_a_released_system_on_other_clips_or_for_another_number_is_not_compared():
    published = Published(0.334, text="0.334")
    short = cell(record(0.334, n_clips=5), row=released(), published=published)
    assert short.verdict == stats.NOT_COMPARABLE
    assert cell(row=released(), published=published).verdict == stats.NOT_RUN
    other = Published(0.334, status="not comparable: another set", text="0.334")
    found = cell(record(0.334, n_clips=10), row=released(), published=other)
    assert found.verdict == stats.NOT_COMPARABLE
    # Whose recordings are heard is no reason: the detections are theirs.
    small = cell(
        record(0.334, n_clips=10), row=released(), published=published, whose=Whose(small=True)
    )
    assert small.verdict == stats.RECOMPUTED


def test_a_published_number_is_that_of_the_cell_or_in_context_of_another_model():
    key = ("table", "ours", "clean", "test", "student", "psds1", "ours")
    other = (*key[:4], "teacher", *key[5:])
    own, theirs = Published(0.4), Published(0.5)
    assert collect._published({key: own, other: theirs}, "table", "ours", COLUMN, True) is own
    assert collect._published({other: theirs}, "table", "ours", COLUMN, True) is theirs
    assert collect._published({other: theirs}, "table", "ours", COLUMN, False) == Published()
    for place in (0, 1, 2, 3, 5, 6):
        elsewhere = (*other[:place], "x", *other[place + 1 :])
        found = collect._published({elsewhere: theirs}, "table", "ours", COLUMN, True)
        assert found == Published()


def test_systems_of_others_stand_below_where_they_have_a_value_or_a_reason():
    def theirs(*found: Record) -> list[PrintedRow]:
        table = SimpleNamespace(about=["parameters", "front ends"])
        return collect._external_rows(PROJECT, {"one": list(found)}, [COLUMN], table)

    of = {"row": "external/one", "model": "external"}
    (row,) = theirs(record(0.4, ci_low=0.3, ci_high=1.2, unit="video", n_units=4, **of))
    assert (row.name, row.row.label, row.about) == ("external/one", "one (scored here)", ["", ""])
    (made,) = row.cells
    assert (made.ours.mean, made.ours.low, made.ours.high) == (0.4, 0.3, 1.0)
    assert (made.n_clips, made.n_expected, made.seeds, made.folds) == (9, 10, 0, 0)
    assert (made.unit, made.n_units, made.note) == ("video", 4, "")
    assert made.verdict == stats.NO_PUBLISHED_NUMBER
    (row,) = theirs(record(row="external/one", reason="not whole"))
    (made,) = row.cells
    assert (made.ours, made.note, made.verdict) == (None, "not whole", stats.NOT_RUN)
    assert (made.seeds, made.folds) == (0, 0)
    assert theirs(record(row="external/one")) == []
    (row,) = theirs(record(math.nan, n_cut=3, n_events=5, **of))
    assert not row.cells[0].ours.finite
    assert row.cells[0].unit == "clip"
    assert row.cells[0].cut.startswith("3 of 5 events")


# Tables as text


def summary(mean=0.4, sd=None, low=None, high=None, n=1) -> Summary:
    return Summary(mean, sd, low, high, n, "none" if low is None else "clips")


def printed_cell(ours=None, published=NOTHING, **more) -> Cell:
    return Cell(published, ours, *more.pop("clips", (9, 10)), 1, 0, "judged", "a note", **more)


@pytest.mark.parametrize(
    ("ours", "text"),
    [
        (None, "–"),
        (summary(math.nan), "undefined"),
        (summary(), "0.400"),
        (summary(sd=0.02), "0.400 ± 0.020"),
        (summary(low=0.3, high=0.5), "0.400 [0.300, 0.500]"),
        (summary(sd=0.02, low=0.3, high=0.5), "0.400 ± 0.020 [0.300, 0.500]"),
        (Summary(0.4, None, 0.3, None, 1, "none"), "0.400"),
        (Summary(0.4, None, None, 0.5, 1, "none"), "0.400"),
    ],
)
def test_our_value_in_words(ours, text):
    assert ours_text(printed_cell(ours)) == text


@pytest.mark.parametrize(
    ("published", "text"),
    [
        (Published(), "–"),
        (Published(0.4), "0.400"),
        (Published(0.4, 0.02), "0.400 ± 0.020"),
        (Published(0.4, model="student"), "0.400"),
        (Published(0.4, model="mean_teacher"), "0.400 (mean teacher)"),
        (Published(0.4, model="student@last_epoch"), "0.400 (last epoch)"),
        (Published(0.4, model="teacher@last"), "0.400 (teacher@last)"),
    ],
)
def test_a_published_value_in_words(published, text):
    assert published_text(printed_cell(published=published), "student") == text


def test_what_is_not_known_is_blank():
    assert (blank(None), blank(0), blank(3)) == ("", 0, 3)


def other_column(condition: str = "clean") -> PrintedColumn:
    column = Column(
        set="test", model="student", metric="f1", implementation="ours", label="Cat", heading="Cats"
    )
    return PrintedColumn(column, condition)


def table_of(*columns: PrintedColumn, **more) -> PrintedTable:
    """Our row with values, and somebody else's with a published one."""
    mine = [printed_cell(summary(0.4), Published(0.35, 0.01, "a paper", "read"))]
    mine += [printed_cell(summary(0.6, n=2)) for _ in columns[1:]]
    theirs = [printed_cell(published=Published(0.5, model="teacher"), clips=(None, None))]
    theirs += [printed_cell(clips=(None, None)) for _ in columns[1:]]
    rows = [
        PrintedRow("ours", ROW, mine, ("1,000",)),
        PrintedRow("theirs", Row(label="Theirs", kind="published"), theirs, ("",)),
    ]
    return PrintedTable("table", "A caption", list(columns), rows, ["a note"], **more)


def test_a_grid_has_a_published_column_where_there_is_a_number():
    heads, rows = tables.grid(table_of(COLUMN, other_column(), about=("parameters",)))
    assert heads == [
        *("row", "parameters", "psds1 (ours, student)", "published psds1", "verdict"),
        "Cats (ours, student)",
    ]
    assert rows == [
        ["Ours", "1,000", "0.400", "0.350 ± 0.010", "judged (+0.050)", "0.600"],
        ["Theirs", "–", "–", "0.500 (teacher)", "–", "–"],
    ]


def test_a_grid_tells_conditions_where_there_are_several():
    table = table_of(COLUMN, other_column("noisy"), about=("parameters",))
    heads, _ = tables.grid(table)
    assert heads[2] == "psds1 (ours, student), clean"
    assert heads[-1] == "Cats (ours, student), noisy"


def test_a_line_of_csv_per_cell():
    lines = list(csv.DictReader(io.StringIO(tables.to_csv([table_of(COLUMN, other_column())]))))
    assert [(line["row"], line["metric"]) for line in lines] == [
        *(("ours", "psds1"), ("ours", "f1[Cat]"), ("theirs", "psds1"), ("theirs", "f1[Cat]")),
    ]
    first, second, third, _ = lines
    assert (first["published"], first["published_std"], first["n_runs"]) == ("0.35", "0.01", "1")
    assert (first["ours_mean"], first["gap"], first["verdict"]) == ("0.4", "0.05", "judged")
    assert (first["published_source"], first["published_status"]) == ("a paper", "read")
    assert (first["n_clips"], first["n_expected"], first["note"]) == ("9", "10", "a note")
    assert (first["set"], first["implementation"], first["model"]) == ("test", "ours", "student")
    assert first["aggregate"] == "1 seed: no interval"
    assert (second["n_runs"], second["published"]) == ("2", "")
    assert (third["model"], third["n_runs"], third["n_clips"]) == ("teacher", "0", "")


UNDER = Comparison("A caption: rows minus MT", ["row", "a | b"], [["Ours", "+0.1"]])


def test_markdown_has_the_table_its_notes_and_what_stands_under_it():
    table = table_of(COLUMN, about=("parameters",))
    text = tables.to_markdown("Title", [table], 0.9, {"table": UNDER})
    lines = text.splitlines()
    assert lines[:3] == ["# Title", "", "## A caption"]
    assert lines[4] == "| row | parameters | psds1 (ours, student) | published psds1 | verdict |"
    assert lines[5] == "|---|---:|---:|---:|---:|"
    assert lines[6] == "| Ours | 1,000 | 0.400 | 0.350 ± 0.010 | judged (+0.050) |"
    assert lines[9] == "- a note"
    assert lines[10] == f"- {tables.interval_note(0.9)}"
    assert lines[12] == "### A caption: rows minus MT"
    assert lines[14:17] == ["| row | a \\| b |", "|---|---:|", "| Ours | +0.1 |"]
    assert lines[18:] == [f"- {tables.difference_note(0.9)}"]
    assert "###" not in tables.to_markdown("Title", [table], 0.9, {})
    none = tables.to_markdown("Title", [], 0.9, {})
    assert none == "# Title\n\nThe paper's configuration names no tables.\n"


def test_latex_has_the_same():
    text = tables.to_latex("Title", [table_of(COLUMN)], 0.9, {"table": UNDER})
    assert text.startswith("% Title\n\n% needs \\usepackage{booktabs}\n\n\\begin{table}\n")
    assert text.count(r"\begin{table}") == 2
    assert r"\caption{A caption: rows minus MT}" in text
    assert r"\begin{tabular}{lrrr}" in text
    assert r"\begin{tabular}{lr}" in text
    assert r" & 0.400 & 0.350 $\pm$ 0.010 & judged (+0.050) \\" in text
    assert tables.latex(tables.difference_note(0.9)) in text
    assert tables.to_latex("Title", [table_of(COLUMN)], 0.9, {}).count(r"\begin{table}") == 1


def spec(**more):
    told = {"headline": ["ours"], "baseline": None, "table": {"ours": ROW}}
    return SimpleNamespace(**{**told, **more})


def three_rows(*columns, **more) -> PrintedTable:
    rows = [
        PrintedRow(name, Row(label=name.upper(), kind=kind), [])
        for name, kind in (("mt", "train"), ("ours", "train"), ("paper", "published"))
    ]
    return PrintedTable("table", "A caption", list(columns), rows, [], **more)


ROWS = {"mt": Row(label="MT"), "ours": ROW, "paper": Row(label="P", kind="published")}


def test_rows_are_compared_with_the_baseline():
    made = {("ours", "mt"): [Difference(0.1, 1, None, "none"), None]}
    known = spec(headline=["mt", "ours"], table=ROWS)
    found = compare(known, three_rows(COLUMN, other_column()), made)
    assert found.caption == "A caption: rows minus MT, run by run"
    assert found.heads == ["row", "psds1 (ours, student)", "Cats (ours, student)"]
    assert found.rows == [["OURS", "+0.100", "–"]]
    several = compare(known, three_rows(COLUMN, other_column("noisy")), made)
    assert several.heads[2] == "Cats (ours, student), noisy"
    assert compare(known, three_rows(COLUMN), {}) is None
    assert compare(known, three_rows(COLUMN, transposed=True), made) is None
    assert compare(spec(headline=["paper"], table=ROWS), three_rows(COLUMN), made) is None


def test_the_baseline_is_a_row_of_the_table_that_is_trained():
    table = three_rows(COLUMN)
    assert differences.baseline(spec(baseline="ours", headline=["mt"], table=ROWS), table) == "ours"
    assert differences.baseline(spec(baseline="gone", headline=["mt"], table=ROWS), table) == "mt"
    assert (
        differences.baseline(spec(baseline="paper", headline=["ours"], table=ROWS), table) == "ours"
    )
    again = {**ROWS, "ours": Row(label="O", kind="reevaluate", **{"from": "mt"})}
    assert differences.baseline(spec(headline=["ours", "mt"], table=again), table) == "mt"
    assert differences.baseline(spec(headline=["paper"], table=ROWS), table) is None


# Differences


@pytest.mark.parametrize(
    ("ends", "word"),
    [
        ((0.0, 0.1), "no clear difference"),
        ((0.001, 0.1), "higher"),
        ((-0.1, 0.0), "no clear difference"),
        ((-0.1, -0.001), "lower"),
        (None, ""),
    ],
)
def test_an_interval_that_ends_at_nothing_is_not_clear(ends, word):
    assert Difference(0.0, 1, ends, "clips").word == word


def test_no_difference_at_all_is_said_as_such():
    one = Difference(0.0, 1, None, "none")
    assert differences.sentence("A", "B", one, "full") == "A is 0.000 above B (no interval)"
    assert str(one) == "+0.000"


def drawn(made: Record, folder: Path, values, clips: str = "the same") -> Record:
    """With what every resample gave."""
    path = folder / f"{made.run.row.replace('/', '-')}{made.run.seed}{made.run.fold}.npz"
    model = "external" if made.run.row.startswith("external") else "student"
    key = (KEYS[0], model, *KEYS[2:])
    Draws({key: np.array(values)}, {"test": clips}, {"test": 5}).write(path)
    made.__dict__["resamples"] = Resamples(path)
    return made


def test_runs_are_paired_by_seed_and_fold():
    ours = [record(0.5, seed=1), record(0.7, seed=2), record(0.9, seed=3, fold=1)]
    theirs = [record(0.4, seed=1), record(0.5, seed=2), record(0.1, seed=3, fold=2)]
    found = difference(ours, theirs, COLUMN, 0.9)
    assert (found.value, found.n) == (pytest.approx(0.15), 2)
    expected = stats.t_interval([0.1, 0.2], 0.9)[2:]
    assert found.runs == pytest.approx(expected)
    assert found.ends == pytest.approx(expected)
    assert (found.clips, found.interval, found.unit) == (None, "runs", "clip")
    assert difference(ours[:1], theirs[1:], COLUMN, 0.9) is None
    assert difference([record()], theirs[:1], COLUMN, 0.9) is None
    assert difference(ours[:1], [record()], COLUMN, 0.9) is None


def test_a_single_pair_has_the_interval_of_its_clips_and_none_of_runs(tmp_path):
    ours = drawn(record(0.5, unit="video"), tmp_path, [0.4, 0.5, 0.7])
    theirs = drawn(record(0.4, row="mt", unit="clip"), tmp_path, [0.4, 0.4, 0.5])
    found = difference([ours], [theirs], COLUMN, 0.9)
    assert (found.value, found.runs, found.interval) == (pytest.approx(0.1), None, "clips")
    assert found.ends == pytest.approx(found.clips)
    assert found.ends[0] < 0.1 < found.ends[1]
    assert found.estimand == "these two models, other videos"
    alone = difference([ours], [record(0.4, row="mt")], COLUMN, 0.9)
    assert (alone.ends, alone.clips, alone.interval) == (None, None, "none")


def test_pairs_on_other_clips_have_no_interval_over_clips_together(tmp_path):
    ours = [drawn(record(0.5, seed=n), tmp_path, [0.4, 0.5, 0.7], f"c{n}") for n in (1, 2)]
    theirs = [
        drawn(record(0.4, seed=n, row="mt"), tmp_path, [0.4, 0.4, 0.5], f"c{n}") for n in (1, 2)
    ]
    assert difference(ours, theirs, COLUMN, 0.9).clips is None
    half = [theirs[0], record(0.4, seed=2, row="mt")]
    assert difference(ours, half, COLUMN, 0.9).clips is None


def test_a_system_of_others_is_paired_with_every_run(tmp_path):
    ours = [drawn(record(0.5, seed=n), tmp_path, [0.4, 0.5, 0.6]) for n in (1, 2)]
    theirs = record(0.4, row="external/one", seed=0, model="external")
    drawn(theirs, tmp_path, [0.4, 0.4, 0.5])
    for one, other, value in (([theirs], ours, -0.1), (ours, [theirs], 0.1)):
        found = difference(one, other, COLUMN, 0.9)
        assert (found.value, found.n) == (pytest.approx(value), 2)
        assert found.clips is not None


@pytest.mark.parametrize("ends", [(None, None), (None, 0.5), (0.5, None)])
def test_an_interval_has_both_ends_or_none(ends):
    assert differences._ends(Interval(0.4, *ends)) is None
    assert differences._ends(Interval(0.4, 0.3, 0.5)) == (0.3, 0.5)


def test_every_row_is_compared_with_those_above_it():
    mt, ours = record(0.4, row="mt"), record(0.5)
    theirs = record(0.3, row="external/one", seed=0, model="external")
    late = record(0.9, row="late", reason="late")
    rows = [
        PrintedRow(name, Row(label=name, kind=kind), [])
        for name, kind in (
            *(("mt", "train"), ("ours", "train"), ("late", "train"), ("paper", "published")),
            ("external/one", "train"),
        )
    ]
    columns = [other_column(), COLUMN]
    table = PrintedTable("table", "A caption", columns, rows, [])
    found = [mt, ours, theirs, late, record(0.9, row="paper")]
    made = differences.differences(PROJECT, table, found)
    assert list(made) == [("ours", "mt"), ("external/one", "mt"), ("external/one", "ours")]
    assert made["ours", "mt"][0] is None
    assert made["ours", "mt"][1].value == pytest.approx(0.1)
    assert made["external/one", "ours"][1].value == pytest.approx(-0.2)
    lines = list(csv.DictReader(io.StringIO(differences.to_csv([table], {"table": made}))))
    assert [(line["row"], line["minus"], line["difference"]) for line in lines] == [
        *(("ours", "mt", "0.1"), ("external/one", "mt", "-0.1"), ("external/one", "ours", "-0.2")),
    ]
    assert (lines[0]["ci_low"], lines[0]["interval"], lines[0]["n_pairs"]) == ("", "none", "1")
    sides = PrintedTable("table", "A caption", columns, rows, [], transposed=True)
    assert differences.differences(PROJECT, sides, found) == {}


def test_turned_round_a_difference_has_its_ends_swapped():
    one = Difference(0.1, 2, (-0.1, 0.3), "both", (0.0, 0.2), (-0.2, 0.4))
    made = {("a", "b"): [one, None, Difference(0.2, 1, None, "none")]}
    assert differences.against(made, "a", "b") == made["a", "b"]
    turned, nothing, bare = differences.against(made, "b", "a")
    assert nothing is None
    assert (turned.value, turned.ends) == (-0.1, (-0.3, 0.1))
    assert (turned.runs, turned.clips) == ((-0.2, 0.0), (-0.4, 0.2))
    assert (bare.value, bare.ends, bare.runs) == (-0.2, None, None)
    assert differences.against(made, "a", "c") == []


# Means and verdicts at their limits


@pytest.mark.parametrize(
    ("low", "high"),
    [(None, 0.5), (0.3, None), (None, None), (-math.inf, 0.5), (0.3, math.inf), (math.nan, 0.5)],
)
def test_one_run_without_both_ends_has_no_interval(low, high):
    assert summarise([Measured(0.4, low, high)], 0.9) == Summary(0.4, None, None, None, 1, "none")


def test_what_ends_nowhere_is_not_cut():
    for ends in ((None, 1.2), (-0.2, None)):
        told = Summary(0.4, None, *ends, 1, "none")
        assert stats.of_scores(told) is told
    assert stats.of_scores(None) is None


def test_runs_with_and_without_resamples_in_either_order(tmp_path):
    one = Measured(0.4, draws=Resamples.none().draws(KEYS))
    key, path = KEYS, tmp_path / "one.npz"
    Draws({key: np.array([0.3, 0.5, 0.4])}, {"test": "c"}, {"test": 5}).write(path)
    other = Measured(0.5, draws=Resamples(path).draws(key))
    for pair in ([one, other], [other, one]):
        assert stats.shared_variance(pair) is None
        assert summarise(pair, 0.9).interval == "runs"
    assert summarise([other, other], 0.9).interval == "both"


@pytest.mark.parametrize(
    ("ours", "published", "spread", "verdict"),
    [
        (Summary(0.0, None, -0.03, 0.03, 1, "clips"), 0.0, None, stats.REPRODUCED),
        (Summary(0.0, None, -0.25, 0.25, 1, "clips"), 0.0, 0.25, stats.REPRODUCED),
        (Summary(0.5, None, None, None, 1, "none"), 0.25, 0.25, stats.WITHIN_SPREAD),
        (Summary(0.5, None, 0.4, None, 1, "none"), 0.5, None, stats.INCONCLUSIVE),
        (Summary(0.5, None, None, 0.6, 1, "none"), 0.5, None, stats.INCONCLUSIVE),
        (Summary(0.5, None, 0.48, 0.52, 1, "clips"), 0.9, 0.0, stats.NOT_REPRODUCED),
    ],
)
def test_verdicts_at_their_limits(ours, published, spread, verdict):
    assert stats.verdict(ours, published, spread) == verdict


def test_half_a_digit_lies_within_versions_too():
    pair = [stats.Versions("0.528", "0.5335")]
    word = stats.recomputed(0.5285, "0.533", "detections", pair)
    assert word == stats.RECOMPUTED_OTHER_VERSION
    assert stats.recomputed(0.52851, "0.533", "detections", pair) == stats.NOT_RECOMPUTED


def test_coverage_is_partial_from_ninety_five_of_a_hundred():
    assert [stats.coverage(n, 100) for n in (94, 95, 99, 100, 101)] == [
        *("short", "partial", "partial", "whole", "whole"),
    ]
