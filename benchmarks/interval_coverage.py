"""How often intervals hold the truth: worlds that are known, measured again and again.

python benchmarks/interval_coverage.py [TIMES] [SEED]

Each time clips (and trainings) are drawn anew, and the project's own code makes the interval. The
truth is the mean over all times: the score to be expected on other sets of as many clips.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from machine import table
from scipy.special import ndtr, ndtri

from sedrepro.metrics.bootstrap import Drawing, Resampled, around, draws
from sedrepro.metrics.f1 import F1Counts, macro_f1
from sedrepro.metrics.ranking import Rankings
from sedrepro.metrics.resamples import Drawn
from sedrepro.metrics.segments import Shares, share
from sedrepro.reporting.stats import Measured, Summary, summarise

CONFIDENCE, RESAMPLES = 0.95, 200
HEADING = ("score", "interval draws", "trainings", "their spread", "holds the truth", "half width")
RATES = np.array([0.4, 0.2, 0.1, 0.1, 0.08, 0.06, 0.05, 0.05, 0.03, 0.02])
"""How often each of ten classes occurs: about as uneven as DESED's."""

Measure = Callable[[np.random.Generator], list[Measured]]
"""The runs of one world, drawn anew."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("times", nargs="?", type=int, default=600, help="worlds per line")
    parser.add_argument("seed", nargs="?", type=int, default=20)
    asked = parser.parse_args()
    start, rows = time.process_time(), []
    for label, measure in worlds():
        rng = np.random.default_rng(asked.seed)
        rows.append((*label, *coverage(measure, asked.times, rng)))
    table(HEADING, rows)
    rng = np.random.default_rng(asked.seed)
    rows = [
        (label, *rivals(sample, statistic, asked.times, rng)) for label, sample, statistic in SCORES
    ]
    table(("one training", *RIVALS), rows)
    took = time.process_time() - start
    print(
        f"{asked.times} worlds per line, seed {asked.seed}, {RESAMPLES} resamples, "
        f"{took:.0f} s of CPU"
    )


def coverage(measure: Measure, times: int, rng: np.random.Generator) -> tuple[str, str]:
    """The share of intervals that hold the truth, with its standard error; the usual half width."""
    found: list[Summary] = [summarise(measure(rng), CONFIDENCE) for _ in range(times)]
    low, mean, high = (
        np.array([getattr(one, k) for one in found]) for k in ("low", "mean", "high")
    )
    covered = np.mean((low <= mean.mean()) & (mean.mean() <= high))
    error = np.sqrt(covered * (1 - covered) / times)
    return f"{covered:.1%} ± {error:.1%}", f"{np.median(high - low) / 2:.3f}"


def worlds() -> Iterator[tuple[tuple[str, ...], Measure]]:
    """Label and measure, line by line of the table."""
    yield ("seconds right", "400 clips", "1", ""), seconds(400)
    yield ("seconds right", "16 recordings", "1", ""), seconds(16)
    yield ("macro F1", "1,000 clips", "1", ""), f1(1000)
    triples = np.arange(2000) % 309
    yield ("micro AP", "309 triples", "1", ""), ranked(triples, triples)
    yield ("micro AP", "their 2,000 mixtures", "1", ""), ranked(triples, range(2000))
    for runs in (2, 3, 5):
        for spread in (0.0, 0.5, 1.0, 2.0):
            label = ("seconds right", "400 clips", str(runs), f"{spread:g} × that of clips")
            yield label, seconds(400, runs, spread)
    for runs in (3, 5):
        label = ("macro F1", "400 clips", str(runs), "1 × that of clips")
        yield label, f1(400, runs, 1.0)


def measured(drawing: Drawing, counts: Any, statistic: Callable[[Any], float]) -> Measured:
    """One run as the report reads it."""
    interval = drawing.interval(counts, statistic)
    assert isinstance(interval, Resampled)
    return Measured(*interval, Drawn(interval.values, "", drawing.n_units))


def seconds(clips: int, runs: int = 1, spread: float = 0.0) -> Measure:
    """Ten seconds per clip; some clips are harder, for all runs or for one."""
    drawing = Drawing(range(clips), RESAMPLES, CONFIDENCE)
    of = np.full(clips, 10.0)

    def measure(rng: np.random.Generator) -> list[Measured]:
        hard, shift = rng.normal(0, 1, clips), rng.normal(0, spread * 1.1 / np.sqrt(clips), runs)
        found = []
        for run in range(runs):
            logit = 0.8 + hard + shift[run] + rng.normal(0, 0.5, clips)
            right = rng.binomial(10, 1 / (1 + np.exp(-logit))).astype(float)
            found.append(measured(drawing, Shares(right, of), share))
        return found

    return measure


def f1(clips: int, runs: int = 1, spread: float = 0.0) -> Measure:
    """Ten classes of uneven frequency, found more often in easy clips."""
    drawing = Drawing(range(clips), RESAMPLES, CONFIDENCE)

    def measure(rng: np.random.Generator) -> list[Measured]:
        true = rng.random((clips, len(RATES))) < RATES * (0.5 + rng.random((clips, 1)))
        easy, found = rng.normal(0.4, 1, (clips, 1)), []
        for shift in rng.normal(0, spread * 3 / np.sqrt(clips), runs):
            hit = rng.random(true.shape) < 1 / (1 + np.exp(-easy - shift))
            wrong = rng.random(true.shape) < 0.03
            parts = (true & hit, ~true & wrong, true & ~hit)
            counts = F1Counts(*(part.astype(float) for part in parts))
            found.append(measured(drawing, counts, macro_f1))
        return found

    return measure


def ranked(mixed: np.ndarray, units: Any, classes: int = 4) -> Measure:
    """Scores of mixtures; those of one triple have its events and most of its difficulty."""
    drawing = Drawing(list(units), RESAMPLES, CONFIDENCE)
    triples = mixed.max() + 1

    def measure(rng: np.random.Generator) -> list[Measured]:
        tags = (rng.random((triples, classes)) < 0.3)[mixed]
        logit = 1.5 * tags + rng.normal(0, 1, (triples, classes))[mixed]
        rankings = Rankings(logit + rng.normal(0, 0.5, logit.shape), tags)
        values = np.array([rankings.micro_ap(weights) for weights in drawing.weights])
        interval = drawing.around(rankings.micro_ap(), values)
        return [Measured(*interval, Drawn(values, "", drawing.n_units))]

    return measure


RIVALS = ("percentile", "moved to the value", "basic", "BCa", "standard, as here")


def rivals(
    sample: Callable[[np.random.Generator], np.ndarray],
    statistic: Callable[[np.ndarray], np.ndarray],
    times: int,
    rng: np.random.Generator,
) -> list[str]:
    """How often the intervals one could have chosen hold the truth, from the same resamples."""
    n = len(sample(rng))
    weights, one_less = draws(n, RESAMPLES), 1 - np.eye(n)
    values, ends = [], []
    for _ in range(times):
        clips = sample(rng)
        value = float(statistic(np.ones((1, n)) @ clips)[0])
        resampled, left_out = statistic(weights @ clips), statistic(one_less @ clips)
        low, middle, high = np.quantile(resampled, [0.025, 0.5, 0.975])
        standard = around(value, resampled, CONFIDENCE, n)
        values.append(value)
        ends.append(
            [
                (low, high),
                (value + low - middle, value + high - middle),
                (2 * value - high, 2 * value - low),
                bias_corrected(value, resampled, left_out),
                (standard.low, standard.high),
            ]
        )
    low, high = np.moveaxis(np.array(ends, dtype=float), -1, 0)
    truth = np.mean(values)
    return [f"{share:.1%}" for share in ((low <= truth) & (truth <= high)).mean(axis=0)]


def bias_corrected(value: float, resampled: np.ndarray, left_out: np.ndarray) -> np.ndarray:
    """The ends of Efron's (1987) BCa interval; `left_out`: the statistic without each clip."""
    below = np.mean(resampled < value) + np.mean(resampled == value) / 2
    shift = ndtri(np.clip(below, 0.5 / RESAMPLES, 1 - 0.5 / RESAMPLES))
    off = left_out.mean() - left_out
    bend = (off**3).sum() / (6 * (off**2).sum() ** 1.5 + 1e-30)
    normal = shift + ndtri([0.025, 0.975])
    return np.quantile(resampled, ndtr(shift + normal / (1 - bend * normal)))


def _seconds(rng: np.random.Generator, clips: int) -> np.ndarray:
    """Right seconds of ten and 10 (clip, 2)."""
    right = rng.binomial(10, rng.beta(7, 3, size=clips))
    return np.stack([right, np.full(clips, 10)], axis=1).astype(float)


def _events(rng: np.random.Generator) -> np.ndarray:
    """Found and missed events of each class in 300 clips (clip, 2 × class)."""
    true = rng.random((300, len(RATES))) < RATES * (0.5 + rng.random((300, 1)))
    hit = rng.random(true.shape) < rng.beta(6, 4, size=(300, 1))
    return np.concatenate([true & hit, true & ~hit], axis=1).astype(float)


def _uneven(total: np.ndarray) -> np.ndarray:
    """The mean of the classes' recalls minus their deviation: as PSDS, it punishes unevenness."""
    found, missed = np.split(total, 2, axis=1)
    recall = found / np.maximum(found + missed, 1)
    return recall.mean(axis=1) - recall.std(axis=1)


SCORES = (
    ("seconds right, 16 recordings", lambda rng: _seconds(rng, 16), lambda t: t[:, 0] / t[:, 1]),
    ("seconds right, 400 clips", lambda rng: _seconds(rng, 400), lambda t: t[:, 0] / t[:, 1]),
    ("recall minus unevenness, 300 clips", _events, _uneven),
)


if __name__ == "__main__":
    main()
