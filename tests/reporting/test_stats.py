"""Intervals against scipy and a simulation; verdicts against cases worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as reference

from sedrepro.errors import SedreproError
from sedrepro.metrics.bootstrap import around, draws
from sedrepro.metrics.resamples import Drawn
from sedrepro.reporting import stats
from sedrepro.reporting.stats import (
    Measured,
    Summary,
    Versions,
    of_scores,
    recomputed,
    shared_variance,
    summarise,
    t_interval,
    verdict,
)


@pytest.mark.parametrize("n", [2, 3, 5, 20])
def test_t_interval_is_scipys(n):
    values = np.random.default_rng(n).normal(0.4, 0.1, n)
    mean, sd, low, high = t_interval(list(values), 0.9)
    expected = reference.t.interval(0.9, n - 1, loc=values.mean(), scale=reference.sem(values))
    assert (mean, sd) == pytest.approx((values.mean(), values.std(ddof=1)))
    assert (low, high) == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_the_interval_covers_the_truth_as_often_as_it_says(n):
    rng = np.random.default_rng(1)
    draws = rng.normal(0.35, 0.02, (4000, n))
    inside = sum(low <= 0.35 <= high for _, _, low, high in (t_interval(d, 0.95) for d in draws))
    # Three standard errors of a share of 0.95 in 4000 draws.
    assert inside / len(draws) == pytest.approx(0.95, abs=0.0104)


def test_one_run_keeps_its_bootstrap_interval_and_has_no_deviation():
    assert summarise([Measured(0.4, 0.37, 0.44)], 0.95) == Summary(
        0.4, None, 0.37, 0.44, 1, "clips"
    )
    assert summarise([Measured(0.4)], 0.95) == Summary(0.4, None, None, None, 1, "none")


def scored(right: np.ndarray, resamples: int = 200, fold: int | None = None) -> Measured:
    """A run from the shares that are right in its clips (clip), with its interval and resamples."""
    n = len(right)
    values = draws(n, resamples) @ right / n
    low, high = around(right.mean(), values, 0.95, n)[1:]
    return Measured(right.mean(), low, high, Drawn(values, f"fold {fold}", n), fold)


def test_variance_components_by_explicit_loops():
    rng = np.random.default_rng(4)
    clips = rng.normal(0.5, 0.1, 40)
    runs = [scored(clips + rng.normal(shift, 0.05, 40)) for shift in (0.0, 0.02, -0.03)]
    pairs = [(0, 1), (0, 2), (1, 2)]
    shared = 0.0
    for i, j in pairs:
        one, other = runs[i].draws.values, runs[j].draws.values
        total = 0.0
        for k in range(200):
            total += (one[k] - sum(one) / 200) * (other[k] - sum(other) / 200)
        shared += total / 199 * 40 / 39 / 3
    mean = sum(run.value for run in runs) / 3
    between = sum((run.value - mean) ** 2 for run in runs) / 2
    seeds, units = between / 3, shared
    t = (seeds * reference.t.ppf(0.95, 2) + units * reference.t.ppf(0.95, 39)) / (seeds + units)
    half = t * math.sqrt(seeds + units)
    found = summarise(runs, 0.9)
    assert (found.interval, found.n) == ("both", 3)
    assert (found.mean, found.sd) == pytest.approx((mean, math.sqrt(between)))
    assert (found.low, found.high) == pytest.approx((mean - half, mean + half))


def test_what_runs_share_is_the_covariance_of_their_clips():
    """Of means it has a closed form, which resamples must come near to."""
    rng = np.random.default_rng(5)
    clips = rng.normal(0, 0.2, 50)
    one, other = (clips + rng.normal(0, 0.1, 50) for _ in range(2))
    exact = np.cov(one, other)[0, 1] / 50
    assert shared_variance([scored(one, 20000), scored(other, 20000)]) == pytest.approx(
        exact, rel=0.03
    )
    # Clips that pull two systems apart leave nothing to share.
    assert shared_variance([scored(clips, 100), scored(-clips, 100)]) == 0.0


def test_runs_that_agree_have_the_interval_of_their_clips():
    right = np.random.default_rng(1).random(30)
    alone = summarise([scored(right)], 0.95)
    together = summarise([scored(right)] * 3, 0.95)
    assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    assert (alone.interval, together.interval) == ("clips", "both")


def test_folds_share_no_clips():
    rng = np.random.default_rng(2)
    runs = [scored(rng.random(30), fold=fold) for fold in (1, 1, 2, 2)]
    covariances = [
        np.cov(runs[i].draws.values, runs[i + 1].draws.values)[0, 1] * 30 / 29 for i in (0, 2)
    ]
    assert shared_variance(runs) == pytest.approx(max(0, sum(covariances) / 6))
    apart = [runs[0], runs[2]]
    assert shared_variance(apart) == 0.0
    values = [run.value for run in apart]
    found = summarise(apart, 0.95)
    assert (found.low, found.high) == pytest.approx(t_interval(values, 0.95)[2:])
    assert found.interval == "both"


def test_runs_without_common_resamples_speak_of_their_clips_only():
    rng = np.random.default_rng(2)
    first, second = (scored(rng.random(30)) for _ in range(2))
    other = replace(second, draws=replace(second.draws, clips="other clips"))
    single = replace(second, draws=replace(second.draws, units=1))
    expected = t_interval([first.value, second.value], 0.95)
    for odd in (Measured(second.value), other):
        found = summarise([first, odd], 0.95)
        assert found.interval == "runs"
        assert (found.low, found.high) == pytest.approx(expected[2:])
    # A set that is a single unit tells nothing of other units.
    assert summarise([replace(first, draws=single.draws), single], 0.95).interval == "runs"


@pytest.mark.parametrize(("seeds", "spread"), [(2, 0.04), (3, 0.0), (3, 0.04), (5, 0.02)])
def test_intervals_over_runs_and_clips_hold_the_truth_as_often_as_they_say(seeds, spread):
    rng = np.random.default_rng(3)
    drawn = draws(40, 200)
    held, times = 0, 600
    for _ in range(times):
        clips = rng.normal(0.5, 0.15, 40)
        runs = clips + rng.normal(0, spread, (seeds, 1)) + rng.normal(0, 0.08, (seeds, 40))
        values = runs @ drawn.T / 40
        found = summarise(
            [Measured(r.mean(), draws=Drawn(v, "", 40)) for r, v in zip(runs, values, strict=True)],
            0.95,
        )
        held += found.low <= 0.5 <= found.high
    assert 0.925 <= held / times <= 0.995


def test_an_interval_ends_where_scores_do():
    wide = of_scores(summarise([Measured(0.1), Measured(0.9)], 0.95))
    assert (wide.low, wide.high) == (0.0, 1.0)
    assert of_scores(summarise([Measured(0.98, 0.95, 1.01)], 0.95)).high == 1.0
    assert of_scores(summarise([Measured(0.02, -0.03, 0.1)], 0.95)).low == 0.0


def test_a_nan_among_the_runs_is_not_averaged_away():
    summary = summarise([Measured(0.4), Measured(math.nan)], 0.95)
    assert not summary.finite
    assert summary.n == 2


def test_no_run_is_no_summary():
    assert summarise([], 0.95) is None


def ours(mean: float, low: float | None = None, high: float | None = None) -> Summary:
    return Summary(mean, None, low, high, 3, "runs" if low is not None else "none")


CASES = [
    # ours, published, its spread, obstacles → verdict
    (ours(0.40, 0.38, 0.42), 0.39, None, [], stats.REPRODUCED),
    (ours(0.40, 0.38, 0.42), 0.38, None, [], stats.REPRODUCED),
    (ours(0.40, 0.38, 0.42), 0.42, 0.001, [], stats.REPRODUCED),
    (ours(0.40, 0.38, 0.42), 0.43, 0.03, [], stats.WITHIN_SPREAD),
    (ours(0.40, 0.38, 0.42), 0.43, 0.02, [], stats.NOT_REPRODUCED),
    (ours(0.40, 0.38, 0.42), 0.43, None, [], stats.NOT_REPRODUCED),
    (ours(0.40, 0.38, 0.42), 0.30, None, [], stats.NOT_REPRODUCED),
    # Wider than the margin: it holds the number, and would many; what it leaves out it decides.
    (ours(0.40, 0.371, 0.429), 0.41, None, [], stats.REPRODUCED),
    (ours(0.40, 0.369, 0.431), 0.41, None, [], stats.INCONCLUSIVE),
    (ours(0.40, 0.369, 0.431), 0.40, 0.002, [], stats.INCONCLUSIVE),
    (ours(0.40, 0.369, 0.431), 0.41, 0.04, [], stats.REPRODUCED),
    (ours(0.40, 0.369, 0.431), 0.44, None, [], stats.NOT_REPRODUCED),
    (ours(0.04, 0.0, 0.09), 0.05, None, [], stats.INCONCLUSIVE),
    # No interval at all.
    (ours(0.40), 0.40, None, [], stats.INCONCLUSIVE),
    (ours(0.40), 0.43, 0.02, [], stats.INCONCLUSIVE),
    (ours(0.40), 0.41, 0.02, [], stats.WITHIN_SPREAD),
    (ours(0.40, 0.38, 0.42), 0.40, None, ["miniature"], stats.NOT_COMPARABLE),
    (ours(math.nan), 0.40, 0.1, [], stats.NOT_COMPARABLE),
    (ours(0.40, 0.38, 0.42), None, None, ["miniature"], stats.NO_PUBLISHED_NUMBER),
    (None, 0.40, None, [], stats.NOT_RUN),
    (None, None, None, ["miniature"], stats.NOT_RUN),
]


@pytest.mark.parametrize(("summary", "published", "spread", "obstacles", "expected"), CASES)
def test_verdicts(summary, published, spread, obstacles, expected):
    assert verdict(summary, published, spread, obstacles=obstacles) == expected


def test_the_cases_show_every_verdict():
    assert {case[-1] for case in CASES} == set(stats.VERDICTS)


def one(value: float, low: float, high: float) -> list[Measured]:
    return [Measured(value, low, high)]


def runs(*values: float) -> list[Measured]:
    return [Measured(value, value - 0.02, value + 0.02) for value in values]


SCORE_SETS = [
    # scores of the runs, published ± spread, (found, expected) clips → verdict, partial data?
    (runs(0.341, 0.349, 0.345), 0.350, None, (1168, 1168), stats.REPRODUCED, False),
    (runs(0.341, 0.349, 0.345), 0.359, None, (1168, 1168), stats.NOT_REPRODUCED, False),
    (runs(0.341, 0.349, 0.345), 0.359, 0.015, (1168, 1168), stats.WITHIN_SPREAD, False),
    # Two runs, 12.7 standard errors: nothing within 0.05 can be told from 0.345, so nothing is.
    (runs(0.341, 0.349), 0.390, None, (1168, 1168), stats.INCONCLUSIVE, False),
    # One run: the bootstrap decides, and it is narrower.
    (one(0.345, 0.325, 0.366), 0.390, None, (1168, 1168), stats.NOT_REPRODUCED, False),
    (one(0.345, 0.325, 0.366), 0.326, None, (1168, 1168), stats.REPRODUCED, False),
    # Some videos are gone: 95.03 % and 94.95 % of them are there.
    (one(0.345, 0.325, 0.366), 0.350, None, (1110, 1168), stats.REPRODUCED, True),
    (one(0.345, 0.325, 0.366), 0.350, None, (1109, 1168), stats.NOT_COMPARABLE, False),
    (runs(0.341, math.nan, 0.345), 0.345, 0.1, (1168, 1168), stats.NOT_COMPARABLE, False),
    ([], 0.345, 0.1, (1168, 1168), stats.NOT_RUN, False),
]


@pytest.mark.parametrize(
    ("scores", "published", "spread", "clips", "expected", "aside"), SCORE_SETS
)
def test_ten_known_score_sets(scores, published, spread, clips, expected, aside):
    coverage = stats.coverage(*clips)
    obstacles = ["clips are missing"] if coverage == "short" else []
    summary = summarise(scores, 0.95)
    assert verdict(summary, published, spread, obstacles=obstacles) == expected
    assert (coverage == "partial") is aside


def test_the_tolerance_is_written_down(root):
    text = " ".join((root / "docs" / "results.md").read_text().split())
    assert f"at least {stats.ENOUGH:.0%} of the expected clips".replace("%", " %") in text


def test_the_margin_is_written_down(root):
    text = (root / "docs" / "results.md").read_text()
    assert f"a margin of {stats.MARGIN}" in " ".join(text.split())


def test_the_rule_is_written_down_with_every_verdict(root):
    text = (root / "docs" / "results.md").read_text()
    for word in stats.VERDICTS:
        assert f"**{word}**" in text


@pytest.mark.parametrize(
    ("ours", "published", "word"),
    [
        (0.334468560216, "0.334", "recomputed"),
        (0.334468560216, "0.3345", "recomputed"),
        (0.334468560216, "0.3344", "not recomputed"),
        (0.334468560216, "0.353", "not recomputed"),  # the teacher's, within the interval
        (0.3345, "0.334", "recomputed"),  # either way of rounding a half
        (0.3345, "0.335", "recomputed"),
        (0.33450001, "0.334", "not recomputed"),
        (0.3, "0.30", "recomputed"),
        (0.304, "0.3", "recomputed"),
        (0.304, "0.30", "recomputed"),
        (0.306, "0.30", "not recomputed"),
        (0.6, "1", "recomputed"),  # what is printed without decimals says no more
        (None, "0.334", "not run"),
        (0.334, " ", "no published number"),
        (math.nan, "0.334", "not comparable"),
    ],
)
def test_detections_are_recomputed_at_the_printed_precision(ours, published, word):
    assert recomputed(ours, published, "detections") == word


@pytest.mark.parametrize(
    ("ours", "word"),
    [
        (0.337, "recomputed"),
        (0.331, "recomputed"),
        (0.3371, "not recomputed"),
        (0.3309, "not recomputed"),
    ],
)
def test_checkpoints_are_recomputed_within_a_fixed_distance(ours, word):
    assert recomputed(ours, "0.334", "checkpoint") == word


def test_another_version_of_a_package_explains_a_number_it_gives_of_the_same_detections():
    versions = [Versions("0.528", "0.533")]
    other = "recomputed, other version"
    assert recomputed(0.528100025564, "0.533", "detections", versions) == other
    assert recomputed(0.528100025564, "0.53", "detections", versions) == "recomputed"
    # Neither of another value of ours, nor of another published one.
    assert recomputed(0.4, "0.533", "detections", versions) == "not recomputed"
    assert recomputed(0.528100025564, "0.553", "detections", versions) == "not recomputed"
    assert recomputed(0.533, "0.533", "detections", versions) == "recomputed"


def test_a_published_cell_that_is_no_number_is_an_error():
    with pytest.raises(SedreproError, match=r"'33\.4 %' is not a number"):
        recomputed(0.334, "33.4 %", "detections")
