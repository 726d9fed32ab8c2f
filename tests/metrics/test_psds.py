from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sedrepro.metrics.decode import detect, operating_points
from sedrepro.metrics.events import Events, Reference
from sedrepro.metrics.intersection import Criteria, count, found_by_score
from sedrepro.metrics.packages import psds_eval_psds, sed_scores_eval_psds
from sedrepro.metrics.psds import SCENARIOS, Scenario, area, psds, rates, roc

GOLDEN = {"psds1": 0.334468560216, "psds2": 0.528100025564}


def points_of(scores, truth, thresholds, trim=True):
    seconds = truth.seconds if trim else None
    return [lambda t=t: detect(scores, t, hop=0.064, seconds=seconds) for t in thresholds]


def own(points, truth, scenario):
    (counts,) = count(points, truth, [scenario.criteria])
    return psds(counts.total(), scenario)


@pytest.mark.parametrize("name", GOLDEN)
def test_known_values_of_a_real_system(student, name):
    truth, events, _ = student
    points = [lambda e=e: e for e in events]
    assert own(points, truth, SCENARIOS[name]) == pytest.approx(GOLDEN[name], abs=1e-9)


@pytest.mark.parametrize(("name", "expected"), [("psds1", 0.3359), ("psds2", 0.5311)])
def test_known_values_without_detections_in_clips_without_events(student, name, expected):
    """What `decoding.event_free: duration` is for a real system; its hours stay."""
    truth, events, _ = student
    silent = ~np.isin(np.arange(len(truth.clips)), truth.events.clip)
    assert silent.sum() == 15
    assert sum(int(silent[e.clip].sum()) for e in events) == 1717
    points = [lambda e=e: e[~silent[e.clip]] for e in events]
    assert own(points, truth, SCENARIOS[name]) == pytest.approx(expected, abs=5e-5)


@pytest.mark.slow
def test_known_values_by_psds_eval(student):
    truth, events, _ = student
    scores = psds_eval_psds([lambda e=e: e for e in events], truth, list(SCENARIOS.values()))
    assert dict(zip(SCENARIOS, scores, strict=True)) == pytest.approx(GOLDEN, abs=1e-9)


@pytest.mark.filterwarnings("ignore")
def test_our_shortcuts_leave_psds_eval_as_it_is(simulate):
    from psds_eval import PSDSEval

    scores, truth = simulate(11)

    def table(events):
        names = np.array(truth.classes, dtype=object)[events.label]
        columns = {"filename": np.array(truth.clips)[events.clip], "event_label": names}
        return pd.DataFrame(columns | {"onset": events.onset, "offset": events.offset})

    lengths = pd.DataFrame({"filename": truth.clips, "duration": truth.seconds})
    points = points_of(scores, truth, operating_points(4))
    ours = psds_eval_psds(points, truth, list(SCENARIOS.values()))
    for scenario, value in zip(SCENARIOS.values(), ours, strict=True):
        dtc, gtc, cttc = scenario.criteria
        plain = PSDSEval(dtc, gtc, cttc or 0.3, ground_truth=table(truth.events), metadata=lengths)
        for point in points:
            plain.add_operating_point(table(point()))
        theirs = plain.psds(alpha_ct=scenario.alpha_ct, alpha_st=scenario.alpha_st, max_efpr=100)
        assert value == pytest.approx(theirs.value, abs=1e-12)
        assert value > 0


def test_detections_beyond_the_end_of_their_clip_are_no_false_alarms(student):
    truth, events, _ = student
    padded = Reference(truth.clips, np.full(len(truth.clips), 10.0), truth.classes, truth.events)
    scenario = SCENARIOS["psds2"]
    (counts,) = count([lambda e=e: e for e in events], padded, [scenario.criteria])
    # As if they counted: a value other implementations arrive at.
    counted = psds(replace(counts, seconds=truth.seconds).total(), scenario)
    assert counted == pytest.approx(0.528104856317, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("trim", [True, False])
@pytest.mark.parametrize("name", SCENARIOS)
def test_agrees_with_psds_eval(simulate, seed, trim, name):
    scores, truth = simulate(seed)
    points = points_of(scores, truth, operating_points(12), trim)
    (theirs,) = psds_eval_psds(points, truth, [SCENARIOS[name]])
    assert own(points, truth, SCENARIOS[name]) == pytest.approx(theirs, abs=1e-9)
    assert 0 < theirs < 1


@pytest.mark.parametrize("name", SCENARIOS)
def test_agrees_with_sed_scores_eval_at_all_thresholds(simulate, name):
    scores, truth = simulate(7, clips=8)
    scores = scores.round(2)
    # sed_scores_eval detects at score >= threshold; half a step lower that is score > threshold.
    points = points_of(scores, truth, np.arange(-0.005, 1, 0.01))
    theirs = sed_scores_eval_psds(scores, truth, SCENARIOS[name], hop=0.064)
    assert own(points, truth, SCENARIOS[name]) == pytest.approx(theirs, abs=1e-6)


def test_a_system_that_says_nothing_scores_zero(simulate):
    scores, truth = simulate(0)
    points = points_of(np.zeros_like(scores), truth, operating_points(3))
    for scenario in SCENARIOS.values():
        assert own(points, truth, scenario) == 0.0
        assert psds_eval_psds(points, truth, [scenario]) == [0.0]


def test_a_class_without_truth_is_left_out(simulate):
    scores, truth = simulate(2)
    events = truth.events[truth.events.label != 1]
    without = Reference(truth.clips, truth.seconds, truth.classes, events)
    kept = [0, 2, 3]
    relabelled = Events(
        events.clip, np.searchsorted(kept, events.label), events.onset, events.offset
    )
    three = Reference(truth.clips, truth.seconds, [truth.classes[k] for k in kept], relabelled)
    for scenario in SCENARIOS.values():
        expected = own(points_of(scores[:, :, kept], three, operating_points(9)), three, scenario)
        points = points_of(scores, without, operating_points(9))
        assert own(points, without, scenario) == pytest.approx(expected, abs=1e-12)
        theirs = psds_eval_psds(points, without, [scenario])
        assert theirs == pytest.approx([expected], abs=1e-9)


def explicit(detected, truth, criteria):
    """The counts, pair by pair: tp and fp (clip, class), cross (clip, class, class)."""
    shape = len(truth.clips), len(truth.classes)
    tp, fp, cross = np.zeros(shape), np.zeros(shape), np.zeros((*shape, shape[1]))

    def listed(events):
        return list(zip(events.clip, events.label, events.onset, events.offset, strict=True))

    def overlap(a, b):
        return max(0.0, min(a[3], b[3]) - max(a[2], b[2])) if a[0] == b[0] else 0.0

    relevant = []
    for d in listed(detected):
        length = d[3] - d[2]
        clip = (d[0], None, 0.0, truth.seconds[d[0]])
        if overlap(d, clip) <= 0:
            continue
        covered = {k: 0.0 for k in range(shape[1])}
        for g in listed(truth.events):
            covered[g[1]] += overlap(d, g)
        if covered[d[1]] > 0 and covered[d[1]] >= criteria.dtc * length:
            relevant.append(d)
            continue
        fp[d[0], d[1]] += 1
        for k, seconds in covered.items():
            if k != d[1] and seconds > 0 and seconds >= criteria.cttc * length:
                cross[d[0], d[1], k] += 1
    for g in listed(truth.events):
        covered = sum(overlap(d, g) for d in relevant if d[1] == g[1])
        if covered > 0 and covered >= criteria.gtc * (g[3] - g[2]):
            tp[g[0], g[1]] += 1
    return tp, fp, cross


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    "criteria", [Criteria(0.7, 0.7, 0.3), Criteria(0.1, 0.1, 0.3), Criteria(0.5, 0.3, 0.5)]
)
def test_counts_are_those_of_going_through_all_pairs(simulate, seed, criteria):
    scores, truth = simulate(seed)
    thresholds = [0.1, 0.3, 0.6]
    points = points_of(scores, truth, thresholds, trim=False)
    (counts,) = count(points, truth, [criteria])
    for index, point in enumerate(points):
        tp, fp, cross = explicit(point(), truth, criteria)
        np.testing.assert_array_equal(counts.tp[:, index], tp)
        np.testing.assert_array_equal(counts.fp[:, index], fp)
        np.testing.assert_array_equal(counts.cross[:, index], cross)
    assert counts.tp.any()
    assert counts.cross.any()


def test_touching_is_not_overlapping():
    truth = Reference(["a"], np.array([4.0]), ["x", "y"], Events.of([(0, 0, 1, 2), (0, 1, 3, 4)]))
    beside = Events.of([(0, 0, 2, 3)])
    (counts,) = count([lambda: beside], truth, [Criteria(0.0, 0.0, 0.0)])
    assert counts.tp.sum() == 0
    assert counts.fp[0, 0].tolist() == [1, 0]
    assert counts.cross.sum() == 0


def test_rates_are_per_hour_and_per_hour_of_the_other_class():
    truth = Reference(
        ["a", "b"], np.array([10.0, 20.0]), ["x", "y"], Events.of([(0, 0, 0, 4), (1, 1, 5, 10)])
    )
    detected = Events.of([(0, 0, 0, 4), (1, 0, 5, 10), (1, 1, 0, 2)])
    (counts,) = count([lambda: detected], truth, [Criteria(0.5, 0.5, 0.3)])
    tpr, efpr = rates(counts.total(), alpha_ct=0.5)
    assert tpr.tolist() == [[1.0, 0.0]]
    assert efpr.tolist() == [[3600 / 30 + 0.5 * 3600 / 5, 3600 / 30]]


def test_the_curve_is_a_staircase_that_never_falls(simulate):
    scores, truth = simulate(3)
    (counts,) = count(points_of(scores, truth, operating_points(20)), truth, [Criteria(0.5, 0.5)])
    curve = roc(counts.total(), SCENARIOS["psds1"])
    assert curve.efpr[0] == 0
    assert (np.diff(curve.efpr) > 0).all()
    assert (np.diff(curve.tpr, axis=1) >= 0).all()
    spread = curve.tpr.mean(axis=0) - curve.tpr.std(axis=0)
    np.testing.assert_allclose(curve.etpr, np.maximum(0, spread))


def test_the_area_holds_the_value_on_the_left():
    assert area(np.array([0.0, 2.0, 5.0]), np.array([0.1, 0.5, 0.9]), 4.0) == pytest.approx(
        (2 * 0.1 + 2 * 0.5) / 4
    )
    assert area(np.array([0.0, 2.0]), np.array([0.1, 0.5]), 10.0) == pytest.approx(0.42)


def on_a_grid(rng, clips: int, classes: int, latest: int) -> list[tuple]:
    """Disjoint events at halves of a second: shares lie exactly on what is enough."""
    rows = []
    for clip in range(clips):
        for label in range(classes):
            times = np.sort(rng.choice(latest + 1, 2 * rng.integers(0, 4), replace=False)) / 2
            rows += [(clip, label, *pair) for pair in times.reshape(-1, 2)]
    return rows


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "criteria", [Criteria(0.5, 0.5, 0.5), Criteria(0.0, 0.0, 0.0), Criteria(0.25, 1.0, 0.25)]
)
def test_shares_that_are_just_enough_count(seed, criteria):
    """Clips end before some detections begin, or just there; some detections have no length."""
    rng = np.random.default_rng(seed)
    true = Events.of(on_a_grid(rng, 4, 3, 8))
    truth = Reference(list("abcd"), np.full(4, 4.0), list("xyz"), true)
    outside = [(0, 0, 8.0, 9.0), (1, 1, -2.0, -1.0), (1, 2, -1.0, 0.0)]
    without_length = [(2, 0, 2.0, 2.0), (3, 1, 3.0, 2.5)]
    detected = Events.of(on_a_grid(rng, 4, 3, 12) + outside + without_length)
    (counts,) = count([lambda: detected], truth, [criteria])
    tp, fp, cross = explicit(detected, truth, criteria)
    np.testing.assert_array_equal(counts.tp[:, 0], tp)
    np.testing.assert_array_equal(counts.fp[:, 0], fp)
    np.testing.assert_array_equal(counts.cross[:, 0], cross)
    assert counts.tp.any()
    assert counts.cross.any()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("criteria", [Criteria(0.5, 0.5), Criteria(0.0, 0.0), Criteria(0.25, 1.0)])
def test_the_score_an_event_needs_is_the_lowest_threshold_that_finds_it(seed, criteria):
    """Boxes are counted once for all thresholds: the same as one threshold after the other."""
    rng = np.random.default_rng(seed)
    truth = Reference(
        list("abcdef"), np.full(6, 6.0), ["x", "y"], Events.of(on_a_grid(rng, 6, 2, 12))
    )
    made = Events.of(on_a_grid(rng, 6, 2, 16))
    detected = made[made.label == 1]
    score = rng.integers(1, 5, len(detected)) / 8
    needed, alarms = found_by_score(detected, score, truth, criteria, 1)
    assert len(needed) == (truth.events.label == 1).sum()
    for least in (0.125, 0.25, 0.375, 0.5):
        chosen = detected[score >= least]
        (counts,) = count([lambda e=chosen: e], truth, [criteria])
        assert counts.tp[:, 0, 1].sum() == (needed >= least).sum()
        assert counts.fp[:, 0, 1].sum() == (alarms >= least).sum()
    assert np.isfinite(needed).any()


def test_rates_of_a_class_without_truth_and_of_a_curve_without_false_alarms():
    truth = Reference(["a"], np.array([10.0]), ["x", "y", "z"], Events.of([(0, 0, 0, 0.5)]))
    detected = Events.of([(0, 0, 0, 0.5), (0, 1, 0, 0.5), (0, 1, 5, 6)])
    (counts,) = count([lambda: detected], truth, [Criteria(0.5, 0.5, 0.3)])
    tpr, efpr = rates(counts.total(), alpha_ct=0.5)
    np.testing.assert_array_equal(tpr, [[1, np.nan, np.nan]])
    # Of two false alarms one lies on the only other class that is ever true, for 0.5 s in all.
    assert efpr.tolist() == [[0, 2 * 360 + 0.5 * 7200, 0]]
    assert rates(counts.total(), alpha_ct=0.0)[1].tolist() == [[0, 720, 0]]
    curve = roc(counts.total(), SCENARIOS["psds2"])
    assert curve.etpr.tolist() == [1, 1]
    assert psds(counts.total(), SCENARIOS["psds2"]) == 1
    nothing = Reference(["a"], np.array([10.0]), ["x", "y", "z"], Events.of([]))
    (counts,) = count([lambda: detected], nothing, [Criteria(0.5, 0.5)])
    assert np.isnan(psds(counts.total(), SCENARIOS["psds1"]))


def test_unevenness_costs_and_ranges_end_at_e_max():
    truth = Reference(
        ["a"], np.array([3600.0]), ["x", "y"], Events.of([(0, 0, 0, 4), (0, 1, 10, 20)])
    )
    detected = Events.of([(0, 0, 0, 4), (0, 0, 30, 40), (0, 0, 50, 60)])
    (counts,) = count([lambda: detected], truth, [Criteria(0.5, 0.5)])
    for weight, rate in ((0.0, 0.5), (0.5, 0.25), (1.0, 0.0), (1.5, 0.0)):
        scenario = Scenario(Criteria(0.5, 0.5), alpha_ct=0.0, alpha_st=weight, e_max=8.0)
        assert psds(counts.total(), scenario) == pytest.approx(rate * 6 / 8)


@pytest.mark.parametrize(
    ("gtc", "needed"), [(0.25, 0.75), (0.5, 0.75), (0.75, 0.25), (1.0, -np.inf)]
)
def test_an_event_found_in_pieces_needs_the_lowest_of_those_that_are_enough(gtc, needed):
    truth = Reference(["a"], np.array([9.0]), ["x"], Events.of([(0, 0, 0, 4)]))
    pieces = Events.of([(0, 0, 3, 3.5), (0, 0, 0, 2), (0, 0, 2, 3)])
    score = np.array([0.125, 0.75, 0.25])
    for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2]):
        found, false = found_by_score(pieces[order], score[order], truth, Criteria(0.5, gtc), 0)
        assert (found.tolist(), false.tolist()) == ([needed], [])
