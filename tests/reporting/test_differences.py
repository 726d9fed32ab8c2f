"""Rows against each other: pairs of runs by hand, pairs of clips from known counts."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from sedrepro.metrics.resamples import Draws, Resamples
from sedrepro.reporting import tabulate
from sedrepro.reporting.collect import collect
from sedrepro.reporting.differences import (
    COLUMNS,
    Difference,
    against,
    baseline,
    differences,
    sentence,
)
from sedrepro.reporting.page.overview import claims
from sedrepro.settings import Run

PAPER = "lgc_sed"
PSDS1 = {"table": "teacher", "metric": "psds1", "implementation": "psds_eval"}


def lines(place):
    tabulate(place.project, PAPER, place.layout, place.root)
    with open(place.layout.paper_table(PAPER, "differences.csv"), newline="") as handle:
        return list(csv.DictReader(handle))


def pick(rows, row, minus):
    wanted = {"row": row, "minus": minus, **PSDS1}
    (found,) = [r for r in rows if all(r[k] == v for k, v in wanted.items())]
    return found


def value(place, row, seed):
    path = Path(place.layout.run(Run(PAPER, row, "desed", seed), "metrics.json"))
    (found,) = [
        entry["value"]
        for entry in json.loads(path.read_text())["metrics"]
        if (entry["set"], entry["model"], entry["label"]) == ("validation", "teacher", "")
        and (entry["metric"], entry["implementation"]) == ("psds1", "psds_eval")
    ]
    return found


def apart(place, seed):
    """LGC minus mean teacher in every resample."""
    key = ("validation", "teacher", "psds1", "psds_eval", "")
    mine, other = (
        Resamples(place.layout.run(Run(PAPER, name, "desed", seed), "resamples.npz")).draws(key)
        for name in ("lgc", "mt")
    )
    return mine.minus(other)


def test_runs_are_paired_by_seed(made):
    rows = lines(made)
    assert tuple(rows[0]) == COLUMNS
    row = pick(rows, "lgc", "mt")
    pairs = np.array([value(made, "lgc", seed) - value(made, "mt", seed) for seed in (42, 43)])
    seeds = pairs.var(ddof=1) / 2
    assert float(row["difference"]) == pytest.approx(pairs.mean(), rel=1e-4)
    assert float(row["runs_low"]) == pytest.approx(pairs.mean() - 12.7062 * seeds**0.5, rel=1e-3)
    first, second = (apart(made, seed).values for seed in (42, 43))
    clips = max(0, np.cov(first, second)[0, 1] * 12 / 11)
    # t of 1 degree of freedom for two pairs, of 11 for twelve clips.
    half = (12.7062 * seeds + 2.20099 * clips) / math.sqrt(seeds + clips)
    assert float(row["ci_low"]) == pytest.approx(pairs.mean() - half, rel=1e-3)
    assert (row["interval"], row["n_pairs"]) == ("both", "2")
    assert float(row["clips_low"]) < pairs.mean() < float(row["clips_high"])


def test_a_single_pair_has_the_interval_of_its_clips(copy):
    for row in ("mt", "lgc"):
        shutil.rmtree(copy.layout.run(Run(PAPER, row, "desed", 43)))
    row = pick(lines(copy), "lgc", "mt")
    # t of 11 degrees of freedom.
    half = 2.20099 * apart(copy, 42).values.std(ddof=1) * math.sqrt(12 / 11)
    difference = value(copy, "lgc", 42) - value(copy, "mt", 42)
    assert row["interval"] == "clips"
    assert float(row["ci_low"]) == pytest.approx(difference - half, rel=1e-4)
    assert float(row["ci_high"]) == pytest.approx(difference + half, rel=1e-4)
    # What both rows share has a deviation of 0.015 and cancels; their own have 0.004 each.
    assert 2 * half < 5 * math.hypot(0.004, 0.004)


def test_runs_on_other_clips_or_without_resamples_have_no_interval_over_clips(copy):
    for seed in (42, 43):
        path = Path(copy.layout.run(Run(PAPER, "lgc", "desed", seed), "resamples.npz"))
        kept = Draws({}, {"validation": "others"}, {"validation": 12})
        kept.values["validation", "teacher", "psds1", "psds_eval", ""] = np.zeros(100)
        kept.write(path)
        Path(copy.layout.run(Run(PAPER, "clc", "desed", seed), "resamples.npz")).write_text("no")
    rows = lines(copy)
    for row in (pick(rows, "lgc", "mt"), pick(rows, "clc", "mt")):
        assert (row["clips_low"], row["clips_high"], row["n_pairs"]) == ("", "", "2")
        assert row["interval"] == "runs"
        assert (row["ci_low"], row["ci_high"]) == (row["runs_low"], row["runs_high"])


def test_a_seed_that_one_row_lacks_is_no_pair(copy):
    shutil.rmtree(copy.layout.run(Run(PAPER, "mt", "desed", 43)))
    row = pick(lines(copy), "lgc", "mt")
    assert row["n_pairs"] == "1"
    expected = value(copy, "lgc", 42) - value(copy, "mt", 42)
    assert float(row["difference"]) == pytest.approx(expected, rel=1e-4)


def test_either_way_round_it_is_the_same_difference(made):
    tables, found = collect(made.project, PAPER, made.layout, made.root)
    all_pairs = differences(made.project, tables[0], found)
    forth, back = (against(all_pairs, *pair)[0] for pair in (("lgc", "mt"), ("mt", "lgc")))
    assert back.value == -forth.value
    assert back.runs == (-forth.runs[1], -forth.runs[0])
    assert {forth.word, back.word} in ({"higher", "lower"}, {"no clear difference"})


def test_the_baseline_is_the_first_trained_headline_row_unless_named(made):
    spec = made.project.papers[PAPER]
    tables, _ = collect(made.project, PAPER, made.layout, made.root)
    assert baseline(spec, tables[0]) == "mt"
    assert baseline(spec.model_copy(update={"baseline": "clc"}), tables[0]) == "clc"


HIGHER = (0.012, 0.049)


@pytest.mark.parametrize(
    ("difference", "scale", "words"),
    [
        (
            Difference(0.031, 3, HIGHER, "both"),
            "full",
            "LGC beats MT by 0.031 [0.012, 0.049] (another training, other clips)",
        ),
        (
            Difference(-0.03, 3, (-0.05, -0.01), "both"),
            "full",
            "LGC falls behind MT by 0.030 [0.010, 0.050] (another training, other clips)",
        ),
        # A single pair, or the miniature, cannot tell methods apart.
        (
            Difference(0.031, 1, HIGHER, "clips", unit="video"),
            "full",
            "LGC is 0.031 [0.012, 0.049] above MT (these two models, other videos)",
        ),
        (
            Difference(-0.03, 3, (-0.05, -0.01), "both"),
            "mini",
            "LGC is 0.030 [0.010, 0.050] below MT (another training, other clips)",
        ),
        (
            Difference(0.031, 2, HIGHER, "runs"),
            "full",
            "LGC is 0.031 [0.012, 0.049] above MT (another training, these clips)",
        ),
        (
            Difference(0.01, 1, (-0.004, 0.024), "clips"),
            "full",
            "LGC and MT do not differ clearly: +0.010 [−0.004, +0.024] "
            "(these two models, other clips)",
        ),
        (Difference(-0.01, 1, None, "none"), "full", "LGC is 0.010 below MT (no interval)"),
    ],
)
def test_it_is_said_in_words(difference, scale, words):
    assert sentence("LGC", "MT", difference, scale) == words


@pytest.mark.parametrize("seeds", [(42,), (42, 43)])
def test_the_miniature_beats_nothing(copy, seeds):
    for row in copy.project.selected_rows(PAPER):
        for seed in {42, 43} - set(seeds):
            shutil.rmtree(copy.layout.run(Run(PAPER, row, "desed", seed)))
    tables, found = collect(copy.project, PAPER, copy.layout, copy.root)
    said = claims(copy.project, copy.project.papers[PAPER], tables, found)
    assert said
    assert all(" above " in one or " below " in one or "differ" in one for one in said)
    assert not [one for one in said if "beats" in one or "behind" in one]


def test_nothing_finished_is_nothing_to_subtract(empty):
    assert lines(empty) == []
    assert "minus" not in Path(empty.layout.paper_table(PAPER, "md")).read_text()
