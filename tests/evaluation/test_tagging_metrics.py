"""The tagging family against scikit-learn and frame-by-frame counting."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sedrepro.evaluation.measures import Scored, Truth
from sedrepro.evaluation.tagging import _precision, _recall, frame_truth, measure
from sedrepro.metrics.bootstrap import draws
from sedrepro.metrics.f1 import F1Counts
from sedrepro.settings import Data, PaperSettings
from sedrepro.settings.blocks import Decoding
from sedrepro.settings.project import Report

CLASSES = ["Bark", "Gong", "Meow", "Bus"]
HOP, FRAMES, CLIPS = 0.032, 50, 30
GATE, THRESHOLD = 0.3, 0.25


class Settings(PaperSettings):
    decoding: Decoding = Decoding(threshold=THRESHOLD, gate=GATE, median=3)

    def streams(self):
        return []

    def held_out(self):
        return []

    def grid(self, front_ends):
        raise NotImplementedError

    def classes(self, data: Data):
        return CLASSES


@pytest.fixture(scope="module")
def truth() -> Truth:
    """The class Bus never occurs."""
    rng = np.random.default_rng(0)
    rows = [
        (f"{clip:05d}", CLASSES[k], onset, round(onset + rng.uniform(0.1, 0.5), 3), 1.0)
        for clip in range(CLIPS)
        for k, onset in zip(rng.choice(3, 2, replace=False), (0.1, 0.8), strict=True)
    ]
    events = pd.DataFrame(rows, columns=["clip", "label", "onset", "offset", "confidence"])
    clips = [f"{clip:05d}" for clip in range(CLIPS)]
    return Truth(clips, np.full(CLIPS, 1.6), CLASSES, events, CLIPS)


@pytest.fixture(scope="module")
def scored(truth) -> Scored:
    rng = np.random.default_rng(1)
    clip = rng.random((CLIPS, 4)) * 0.7 + 0.3 * truth.tags
    frame = rng.random((CLIPS, FRAMES, 4))
    return Scored("held_out", "network", HOP, {"clip": clip, "frame": frame})


@pytest.fixture(scope="module")
def found(scored, truth):
    return measure(scored, truth, Settings(), Report(bootstrap=50)).values


def value(found, metric, label=""):
    return found[metric, "sedrepro", label].value


def test_clip_metrics_are_scikit_learns(found, scored, truth):
    scores, tags = scored.arrays["clip"], truth.tags
    assert value(found, "micro_ap") == pytest.approx(
        average_precision_score(tags, scores, average="micro")
    )
    assert value(found, "macro_ap") == pytest.approx(
        average_precision_score(tags[:, :3], scores[:, :3])
    )
    assert value(found, "macro_auc") == pytest.approx(roc_auc_score(tags[:, :3], scores[:, :3]))
    assert value(found, "ap", "Gong") == pytest.approx(
        average_precision_score(tags[:, 1], scores[:, 1])
    )


def test_class_without_a_clip_is_counted_not_scored(found):
    assert value(found, "classes_ranked") == 3
    assert ("ap", "sedrepro", "Bus") not in found


def test_chance_is_what_constant_scores_reach(found, truth):
    constant = Scored("held_out", "network", HOP, {"clip": np.ones((CLIPS, 4))})
    chance = measure(constant, truth, Settings(), Report(bootstrap=0)).values
    assert value(found, "micro_ap_chance") == pytest.approx(value(chance, "micro_ap"))
    assert value(chance, "micro_ap") == pytest.approx(2 / 4)


def test_intervals_hold_their_value(found):
    for metric in ("micro_ap", "macro_ap", "macro_auc", "frame_f1"):
        interval = found[metric, "sedrepro", ""]
        assert interval.low < interval.value < interval.high
    assert found["frame_ap", "sedrepro", ""].low is None


def test_true_frames_include_both_ends():
    events = pd.DataFrame(
        [("a", "Gong", 0.5, 2.5, 1.0)], columns=["clip", "label", "onset", "offset", "confidence"]
    )
    truth = Truth(["a", "b"], np.array([10.0, 10.0]), CLASSES, events, 2)
    true = frame_truth(truth, 311, 0.032)
    assert np.flatnonzero(true[0, :, 1]).tolist() == list(range(15, 79))  # 15.625 to 78.125
    assert true.sum() == 64


def test_an_event_on_the_border_of_two_frames_is_in_the_later_one():
    """In floating point 0.3 / 0.1 is a little less than 3, and 0.6 / 0.1 than 6."""
    events = pd.DataFrame(
        [("a", "Gong", 0.3, 0.6, 1.0)], columns=["clip", "label", "onset", "offset", "confidence"]
    )
    truth = Truth(["a"], np.array([1.0]), CLASSES, events, 1)
    true = frame_truth(truth, 10, 0.1)
    assert np.flatnonzero(true[0, :, 1]).tolist() == [3, 4, 5, 6]


def test_frame_metrics_by_explicit_counting(found, scored, truth):
    f1, precision, recall, aps, aucs = [], [], [], [], []
    for k in range(3):
        tp = fp = fn = 0
        flat_scores, flat_true = [], []
        passes = scored.arrays["clip"][:, k] > GATE
        gated = scored.arrays["frame"][..., k] * passes[:, None]
        for number, clip in enumerate(truth.clips):
            rows = truth.events[
                (truth.events["clip"] == clip) & (truth.events["label"] == CLASSES[k])
            ]
            for frame in range(FRAMES):
                is_true = any(
                    math.floor(row.onset / HOP + 1e-9)
                    <= frame
                    <= math.floor(row.offset / HOP + 1e-9)
                    for row in rows.itertuples()
                )
                # The border is mirrored, its last value twice.
                near = [min(max(at, 0), FRAMES - 1) for at in (frame - 1, frame, frame + 1)]
                score = sorted(gated[number, near])[1]
                flat_scores.append(score)
                flat_true.append(is_true)
                tp += score > THRESHOLD and is_true
                fp += score > THRESHOLD and not is_true
                fn += score <= THRESHOLD and is_true
        precision.append(tp / (tp + fp))
        recall.append(tp / (tp + fn))
        f1.append(2 * tp / (2 * tp + fp + fn))
        aps.append(average_precision_score(flat_true, flat_scores))
        aucs.append(roc_auc_score(flat_true, flat_scores))
    for metric, values in {
        "frame_f1": f1,
        "frame_precision": precision,
        "frame_recall": recall,
        "frame_ap": aps,
        "frame_auc": aucs,
    }.items():
        assert value(found, metric) == pytest.approx(np.mean(values)), metric


def test_without_frame_scores_there_are_no_frame_metrics(scored, truth):
    only = Scored("held_out", "network", HOP, {"clip": scored.arrays["clip"]})
    found = measure(only, truth, Settings(), Report(bootstrap=0)).values
    assert not [metric for metric, _, _ in found if metric.startswith("frame")]


def test_precision_and_recall_are_means_over_the_classes_that_occur():
    total = F1Counts(
        tp=np.array([1.0, 0.0, 3.0, 0.0, 1.0]),
        fp=np.array([0.0, 0.0, 1.0, 5.0, 1.0]),
        fn=np.array([3.0, 2.0, 0.0, 0.0, 0.0]),
    )
    # The fourth never occurs; the second is never detected.
    assert _precision(total) == pytest.approx((1 + 0 + 3 / 4 + 1 / 2) / 4)
    assert _recall(total) == pytest.approx((1 / 4 + 0 + 1 + 1) / 4)


def test_what_lies_on_the_threshold_or_the_gate_is_not_detected(truth):
    """Only above either."""
    clip = np.ones((CLIPS, 4))
    at = Scored("held_out", "network", HOP, {"clip": clip, "frame": np.full((CLIPS, 50, 4), 0.25)})
    assert value(measure(at, truth, Settings(), Report(bootstrap=0)).values, "frame_f1") == 0
    above = replace(at, arrays={**at.arrays, "frame": np.full((CLIPS, 50, 4), 0.26)})
    assert value(measure(above, truth, Settings(), Report(bootstrap=0)).values, "frame_recall") == 1


def test_tags_without_times_have_no_frame_metrics(scored, truth):
    tags = replace(truth, events=truth.events.assign(onset=np.nan, offset=np.nan))
    found = measure(scored, tags, Settings(), Report(bootstrap=0)).values
    assert not [metric for metric, _, _ in found if metric.startswith("frame")]
    assert value(found, "micro_ap_chance") == pytest.approx(2 / 4)


def test_resamples_are_of_the_clips_that_are_drawn(scored, truth, found):
    """Slowly: list each clip as often as it is drawn, and ask scikit-learn."""
    scores, tags = scored.arrays["clip"], truth.tags
    for place, times in enumerate(draws(CLIPS, 50)[:5]):
        listed = np.repeat(np.arange(CLIPS), times)
        aps = [average_precision_score(tags[listed, k], scores[listed, k]) for k in range(3)]
        aucs = [roc_auc_score(tags[listed, k], scores[listed, k]) for k in range(3)]
        for metric, label, expected in (
            ("macro_ap", "", np.mean(aps)),
            ("macro_auc", "", np.mean(aucs)),
            ("ap", "Gong", aps[1]),
        ):
            got = found[metric, "sedrepro", label].values[place]
            assert got == pytest.approx(expected), metric
