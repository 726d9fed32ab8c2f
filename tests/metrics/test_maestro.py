"""MAESTRO's segments and mpAUC against loops over the definition, and against the library."""

from __future__ import annotations

from functools import partial
from itertools import product

import numpy as np
import pandas as pd
import pytest

from sedrepro import tables
from sedrepro.metrics import maestro, packages
from sedrepro.metrics.ranking import Ranking
from sedrepro.settings.classes import MAESTRO_CLASSES, MAESTRO_SCORED

CLASSES = ["Speech", *MAESTRO_CLASSES]
HOP = 0.064


def material(
    seed: int = 0, recordings=(("city_center_05", 33.4), ("grocery_store_01", 27.0)), hop=5
):
    """Windows of recordings with random scores, every scored class true somewhere."""
    rng = np.random.default_rng(seed)
    clips, seconds, rows = [], [], []
    for recording, length in recordings:
        starts = [*np.arange(0, length - 10 + 1e-9, hop), None]
        for start in starts:
            begin = len(starts[:-1]) * hop if start is None else start
            end = length if start is None else start + 10
            if begin >= length:
                continue
            clip = f"{recording}-{int(begin * 100):06d}-{int(end * 100):06d}"
            clips.append(clip)
            seconds.append(end - begin)
        for label in MAESTRO_SCORED:
            for onset in rng.uniform(0, length - 2, 2):
                offset = onset + rng.uniform(0.3, 1.9)
                for clip, own in zip(clips, seconds, strict=True):
                    name, start = maestro.window_of(clip)
                    if name == recording and onset < start + own and offset > start:
                        cut = max(0.0, onset - start), min(own, offset - start)
                        rows.append((clip, label, *cut, rng.choice([0.4, 0.6, 0.9])))
    events = pd.DataFrame(rows, columns=tables.EVENTS)
    frames = rng.random((len(clips), 156, len(CLASSES)))
    return frames, {
        "clips": clips,
        "seconds": np.array(seconds),
        "classes": CLASSES,
        "events": events,
    }


def explicit(frames, given, label):
    """Scores and truth of every segment of every recording for one class, by the steps in words."""
    scores, truth = [], []
    recordings = {maestro.window_of(c)[0] for c in given["clips"]}
    column = CLASSES.index(label)
    for recording in sorted(recordings):
        windows = [
            (k, maestro.window_of(c)[1], s)
            for k, (c, s) in enumerate(zip(given["clips"], given["seconds"], strict=True))
            if maestro.window_of(c)[0] == recording
        ]
        duration = max(start + own for _, start, own in windows)
        for second in range(int(np.ceil(duration))):
            found = []
            for k, start, own in windows:
                inside = second - int(start)
                if not 0 <= inside < int(np.ceil(own)):
                    continue
                total = weight = 0.0
                for frame in range(frames.shape[1]):
                    low, high = frame * HOP, (frame + 1) * HOP
                    overlap = min(high, inside + 1) - max(low, inside)
                    if overlap > 0:
                        total += overlap * frames[k, frame, column]
                        weight += overlap
                found.append(total / weight)
            scores.append(np.mean(found) if found else 0.0)
            positive = False
            for event in given["events"].itertuples():
                name, start = maestro.window_of(event.clip)
                if name == recording and event.label == label and event.confidence > 0.5:
                    positive |= start + event.onset < second + 1 and start + event.offset > second
            truth.append(positive)
    return np.array(scores), np.array(truth)


def slow_auc(scores, truth, max_fpr):
    """Over all thresholds; at each rate of false positives the best rate of true ones counts."""
    points = {0.0: 0.0}
    for threshold in np.unique(scores):
        fpr = np.mean(scores[~truth] >= threshold)
        tpr = np.mean(scores[truth] >= threshold)
        points[fpr] = max(points.get(fpr, 0.0), tpr)
    rates = sorted(points)
    area = 0.0
    for left, right in zip(rates, [*rates[1:], 1.0], strict=True):
        area += max(0.0, min(right, max_fpr) - min(left, max_fpr)) * points[left]
    return area / max_fpr


def test_segments_and_auc_are_the_definition():
    frames, given = material()
    heard = maestro.together(frames, HOP, **given)
    assert sorted(heard.classes) == sorted(MAESTRO_SCORED)
    order = np.argsort([heard.recordings[k] for k in heard.owner], kind="stable")
    for ranking, label in zip(heard.rankings(), heard.classes, strict=True):
        scores, truth = explicit(frames, given, label)
        column = heard.classes.index(label)
        np.testing.assert_allclose(heard.scores[order, column], scores, atol=1e-12)
        np.testing.assert_array_equal(heard.truth[order, column], truth)
        for limit in (0.1, 0.37, 1.0):
            assert maestro.partial_auc(ranking, limit) == pytest.approx(
                slow_auc(scores, truth, limit), abs=1e-12
            )


@pytest.mark.parametrize("ties", [False, True])
def test_the_partial_area_with_many_ties(ties):
    rng = np.random.default_rng(3)
    for _ in range(30):
        scores, truth = rng.random(60), rng.random(60) < 0.3
        truth[:2] = [True, False]
        scores = scores.round(1) if ties else scores
        ranking = Ranking(scores, truth, np.zeros(60, int))
        assert maestro.partial_auc(ranking) == pytest.approx(slow_auc(scores, truth, 0.1))


def test_a_perfect_and_a_reversed_ranking():
    truth = np.array([True] * 5 + [False] * 20)
    good, bad = np.arange(25)[::-1].astype(float), np.arange(25).astype(float)
    owner = np.zeros(25, int)
    assert maestro.partial_auc(Ranking(good, truth, owner)) == 1.0
    assert maestro.partial_auc(Ranking(bad, truth, owner)) == 0.0
    assert maestro.best_f1(Ranking(good, truth, owner)) == 1.0
    assert maestro.best_f1(Ranking(bad, truth, owner)) == pytest.approx(2 * 5 / (5 + 25))
    assert np.isnan(maestro.partial_auc(Ranking(good, truth & False, owner)))


def library(heard, max_fpr=maestro.MAX_FPR):
    split = np.flatnonzero(np.diff(heard.owner)) + 1
    pieces = dict(zip(heard.recordings, np.split(heard.scores, split), strict=True))
    seconds = dict(zip(heard.recordings, heard.seconds.tolist(), strict=True))
    return packages.sed_scores_eval_segments(pieces, heard.events, heard.classes, seconds, max_fpr)


def test_short_curves_are_the_librarys(monkeypatch):
    # Its sort is unstable: on some processors even a few ties change their order.
    monkeypatch.setattr(np, "argsort", partial(np.argsort, kind="stable"))
    recordings = (("city_center_05", 23.0), ("metro_station_01", 21.7))
    for seed in range(3):
        heard = _heard(seed, recordings)
        assert len(heard.owner) <= 50
        for limit in (0.1, None):
            area, f1 = library(heard, limit)
            ours = [maestro.partial_auc(r, limit or 1.0) for r in heard.rankings()]
            assert np.mean(ours) == pytest.approx(area, abs=1e-9)
            assert heard.best_f1() == pytest.approx(f1, abs=1e-9)


def test_long_curves_lie_at_most_a_little_above_the_librarys():
    recordings = tuple((f"city_center_{k:02d}", 120.0) for k in (5, 9, 10))
    heard = _heard(1, recordings)
    ours = np.mean([maestro.partial_auc(r) for r in heard.rankings()])
    assert -1e-9 <= ours - library(heard)[0] < 0.02


def _heard(seed, recordings):
    frames, given = material(seed, recordings)
    return maestro.together(frames, HOP, **given)


def test_only_sure_events_of_scored_classes_are_true():
    frames, given = material()
    events = given["events"]
    given["events"] = pd.DataFrame(
        [
            (given["clips"][0], "car", 1.2, 2.1, 0.51),
            (given["clips"][0], "footsteps", 0.0, 1.0, 0.5),
            (given["clips"][0], "coffee machine", 0.0, 1.0, 1.0),
        ],
        columns=tables.EVENTS,
    )
    heard = maestro.together(frames, HOP, **given)
    assert heard.classes == ["car"]
    assert heard.recordings == ["city_center_05"]
    assert np.flatnonzero(heard.truth[:, 0]).tolist() == [1, 2]
    given["events"] = events.iloc[:0]
    assert maestro.together(frames, HOP, **given) is None
    assert maestro.separate(frames, HOP, **given) is None


def test_a_recordings_name_may_have_hyphens():
    assert maestro.window_of("city-center-05-1200-2200") == ("city-center-05", 12.0)


def test_validation_takes_windows_apart_up_to_their_last_event():
    frames, given = material()
    first, second = given["clips"][:2]
    given["events"] = pd.DataFrame(
        [(first, "car", 0.5, 2.5, 0.9), (second, "car", 0.0, 4.0, 0.9)], columns=tables.EVENTS
    )
    heard = maestro.separate(frames, HOP, **given)
    assert heard.recordings == [first, second]
    assert heard.owner.tolist() == [0] * 3 + [1] * 4
    assert heard.truth[:, 0].all()
    means = maestro.per_second(frames, HOP)[:, :, CLASSES.index("car")]
    np.testing.assert_allclose(heard.scores[:, 0], [*means[0, :3], *means[1, :4]])


def test_events_are_joined_where_they_touch_and_end_before_the_second_they_end_at():
    frames, given = material()
    first, second = given["clips"][:2]  # the second one begins 5 s later
    given["events"] = pd.DataFrame(
        [
            (first, "car", 1.0, 2.0, 0.9),
            (first, "car", 2.0, 3.0, 0.9),
            (first, "car", 6.0, 9.0, 0.9),
            (second, "car", 2.0, 3.0, 0.9),
            (second, "car", 5.5, 6.0000001, 0.9),
            (first, "footsteps", 3.0, 4.0, 0.9),
        ],
        columns=tables.EVENTS,
    )
    heard = maestro.together(frames, HOP, **given)
    assert sorted(heard.events["city_center_05"], key=lambda row: (row[2], row[0])) == [
        (1.0, 3.0, "car"),
        (6.0, 9.0, "car"),
        (10.5, 5 + 6.0000001, "car"),
        (3.0, 4.0, "footsteps"),
    ]
    truth = {
        label: np.flatnonzero(heard.truth[:, heard.classes.index(label)]).tolist()
        for label in ("car", "footsteps")
    }
    assert truth == {"car": [1, 2, 6, 7, 8, 10], "footsteps": [3]}
    assert heard.seconds.tolist() == [33.4]
    assert len(heard.scores) == 34


def test_a_last_event_after_the_scores_is_met_by_silence():
    frames, given = material()
    given["events"] = pd.DataFrame(
        [(given["clips"][0], "car", 1.0, 12.0, 0.9)], columns=tables.EVENTS
    )
    heard = maestro.separate(frames[:, :125], HOP, **given)  # of 8 s
    assert heard.truth[:, 0].tolist() == [False] + [True] * 11
    assert (heard.scores[:8] > 0).all()
    assert heard.scores[8:].tolist() == [[0.0]] * 4
    assert heard.seconds.tolist() == [12]


def test_seconds_that_no_window_covers_are_silent():
    frames, given = material(recordings=(("city_center_05", 33.0),), hop=15)
    keep = [0, 1]  # 0 to 10 s and 15 to 25 s
    given |= {
        "clips": [given["clips"][k] for k in keep],
        "seconds": np.array([10.0, 10.0]),
        "events": pd.DataFrame([(given["clips"][1], "car", 0.0, 1.0, 0.9)], columns=tables.EVENTS),
    }
    heard = maestro.together(frames[keep], HOP, **given)
    assert heard.scores[10:15].tolist() == [[0.0]] * 5
    means = maestro.per_second(frames[keep], HOP)[:, :, [CLASSES.index("car")]]
    np.testing.assert_allclose(heard.scores[:10], means[0])
    np.testing.assert_allclose(heard.scores[15:], means[1])


def test_rankings_without_anything_have_no_value():
    nothing = Ranking(np.zeros(0), np.zeros(0), np.zeros(0, int))
    assert np.isnan([maestro.partial_auc(nothing), maestro.best_f1(nothing)]).all()
    all_true = Ranking(np.array([0.5, 0.25]), np.array([True, True]), np.zeros(2, int))
    assert np.isnan(maestro.partial_auc(all_true))
    assert maestro.best_f1(all_true) == 1
    all_false = Ranking(np.array([0.5, 0.25]), np.array([False, False]), np.zeros(2, int))
    assert np.isnan(maestro.best_f1(all_false))


@pytest.mark.parametrize("scores", [[0.75, 0.5, 0.375, 0.25], [0.75, 0.5, 0.5, 0.25]])
def test_every_ranking_of_four_segments(scores):
    scores = np.array(scores)
    for tags in product([False, True], repeat=4):
        truth = np.array(tags)
        ranking = Ranking(scores, truth, np.zeros(4, int))
        if truth.any():
            best = [2 * sum(truth[scores >= t]) / (sum(scores >= t) + sum(truth)) for t in scores]
            assert maestro.best_f1(ranking) == pytest.approx(max(best))
        if truth.any() and not truth.all():
            for limit in (0.1, 0.5, 1.0):
                wanted = slow_auc(scores, truth, limit)
                assert maestro.partial_auc(ranking, limit) == pytest.approx(wanted)


def test_a_recording_may_be_shorter_than_a_second():
    clip = "city_center_05-000000-000050"
    events = pd.DataFrame([(clip, "car", 0.0, 0.25, 0.9)], columns=tables.EVENTS)
    given = {"clips": [clip], "seconds": np.array([0.5]), "classes": CLASSES, "events": events}
    heard = maestro.together(np.full((1, 156, len(CLASSES)), 0.25), HOP, **given)
    assert (heard.seconds.tolist(), heard.truth.tolist()) == ([0.5], [[True]])
    assert heard.scores == pytest.approx(0.25)
