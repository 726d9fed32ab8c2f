"""How long PSDS takes: ours, psds_eval and sed_scores_eval on random score sets.

python benchmarks/metrics.py [CLIPS ...]
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable

import numpy as np

from sedrepro.metrics.bootstrap import Drawing
from sedrepro.metrics.decode import detect, median_filter, operating_points
from sedrepro.metrics.events import Events, Reference, merge
from sedrepro.metrics.f1 import intersection_f1
from sedrepro.metrics.intersection import count
from sedrepro.metrics.packages import psds_eval_psds, sed_scores_eval_psds
from sedrepro.metrics.psds import SCENARIOS, psds

HOP, FRAMES, CLASSES, SECONDS = 0.064, 156, 10, 10.0


def simulate(clips: int) -> tuple[np.ndarray, Reference]:
    """Raw scores (clip, frame, class) with noise and events about as dense as DESED's."""
    rng = np.random.default_rng(clips)
    rows = []
    for clip in range(clips):
        for _ in range(rng.integers(0, 8)):
            onset = rng.uniform(0, 9.5)
            offset = min(SECONDS, onset + 0.2 + rng.exponential(2))
            rows.append((clip, rng.integers(CLASSES), onset, offset))
    events = merge(Events.of(rows))
    truth = Reference(
        [f"clip{n}" for n in range(clips)],
        np.full(clips, SECONDS),
        [f"class{n}" for n in range(CLASSES)],
        events,
    )
    logits = rng.normal(-4, 1.5, (clips, 1, CLASSES)) + rng.normal(0, 1, (clips, FRAMES, CLASSES))
    for clip, label, onset, offset in rows:
        logits[clip, int(onset / HOP) : int(offset / HOP) + 1, label] += rng.uniform(2, 8)
    return (1 / (1 + np.exp(-logits))).astype(np.float32), truth


def cpu() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":")[1].strip() for line in file if line.startswith("model name")]
        return f"{names[0]}, {len(names)} cores"
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def timed(work: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def measure(clips: int) -> None:
    raw, truth = simulate(clips)
    windows = [7] * CLASSES
    took, scores = timed(lambda: median_filter(raw, windows))
    line(clips, "median filter", took)
    took, value = timed(lambda: intersection_f1(scores=raw, truth=truth, hop=HOP, windows=windows))
    line(clips, "intersection F1, ours (filter included)", took, value)
    points = [
        lambda t=t: detect(scores, t, hop=HOP, seconds=truth.seconds) for t in operating_points(50)
    ]
    scenarios = list(SCENARIOS.values())
    took, _ = timed(lambda: psds_eval_psds(points, truth, scenarios))
    line(clips, "50 points decoded, psds1 and psds2, psds_eval", took)
    criteria = [scenario.criteria for scenario in scenarios]
    took, counted = timed(lambda: count(points, truth, criteria))
    line(clips, "50 points decoded and counted, ours, both scenarios", took)
    for (name, scenario), counts in zip(SCENARIOS.items(), counted, strict=True):

        def score(total, scenario=scenario) -> float:
            return psds(total, scenario)

        took, interval = timed(
            lambda c=counts, s=score: Drawing(range(clips), 100, 0.95).interval(c, s)
        )
        line(clips, f"{name} with 100 resamples, ours, from counts", took, interval.value)
        took, value = timed(lambda s=scenario: sed_scores_eval_psds(scores, truth, s, hop=HOP))
        line(clips, f"{name}, sed_scores_eval", took, value)


def line(clips: int, what: str, seconds: float, value: object = None) -> None:
    shown = "" if value is None else f"{value:.6f}"
    print(f"{clips:>6}  {what:<52} {seconds:>9.3f}  {shown:>9}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clips", nargs="*", type=int, default=[200, 1168])
    print(f"{platform.python_implementation()} {platform.python_version()}, {cpu()}")
    print(f"{'clips':>6}  {'':<52} {'CPU s':>9}  {'value':>9}")
    warm_up = simulate(4)
    for scenario in SCENARIOS.values():  # the packages' imports are not their speed
        psds_eval_psds([lambda: detect(warm_up[0], 0.5, hop=HOP)], warm_up[1], [scenario])
        sed_scores_eval_psds(*warm_up, scenario, hop=HOP)
    for clips in parser.parse_args().clips:
        measure(clips)


if __name__ == "__main__":
    main()
