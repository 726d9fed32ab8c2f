"""Ranking metrics against scikit-learn, and resampling against the resampled clips themselves."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from sedrepro.metrics.ranking import Rankings, macro


def drawn(seed: int, *, ties: bool = False):
    rng = np.random.default_rng(seed)
    tags = (rng.random((60, 5)) < 0.2).astype(np.float32)
    scores = rng.random((60, 5)) + 0.5 * tags
    return (np.round(scores, 1) if ties else scores), tags


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_equals_scikit_learn(seed, ties):
    scores, tags = drawn(seed, ties=ties)
    found = Rankings(scores, tags)
    exact = {"rel": 1e-12}
    assert found.micro_ap() == pytest.approx(
        average_precision_score(tags, scores, average="micro"), **exact
    )
    assert macro(found.class_ap()) == pytest.approx(average_precision_score(tags, scores), **exact)
    assert macro(found.class_auc()) == pytest.approx(roc_auc_score(tags, scores), **exact)


def test_class_without_positives_has_no_value_and_no_part_in_the_mean():
    scores, tags = drawn(3)
    tags[:, 2] = 0
    found = Rankings(scores, tags)
    kept = [0, 1, 3, 4]
    assert np.isnan(found.class_ap()[2])
    assert np.isnan(found.class_auc()[2])
    assert macro(found.class_ap()) == pytest.approx(
        average_precision_score(tags[:, kept], scores[:, kept])
    )
    assert macro(found.class_auc()) == pytest.approx(roc_auc_score(tags[:, kept], scores[:, kept]))
    # All pairs still count the class's scores as false ones, as scikit-learn does.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wanted = average_precision_score(tags, scores, average="micro")
    assert found.micro_ap() == pytest.approx(wanted)


def test_class_in_every_clip_has_a_precision_of_one_and_no_auc():
    scores, tags = drawn(4)
    tags[:, 0] = 1
    found = Rankings(scores, tags)
    assert found.class_ap()[0] == 1
    assert np.isnan(found.class_auc()[0])


def test_nothing_true_is_undefined():
    scores, tags = drawn(5)
    found = Rankings(scores, 0 * tags)
    assert np.isnan(found.micro_ap())
    assert np.isnan(macro(found.class_ap()))


@pytest.mark.parametrize("ties", [False, True])
def test_weights_are_repeated_clips(ties):
    scores, tags = drawn(6, ties=ties)
    chosen = np.random.default_rng(1).integers(0, 60, 60)
    weights = np.bincount(chosen, minlength=60)
    found, wanted = Rankings(scores, tags), Rankings(scores[chosen], tags[chosen])
    assert found.micro_ap(weights) == pytest.approx(wanted.micro_ap(), rel=1e-12)
    np.testing.assert_allclose(found.class_ap(weights), wanted.class_ap())
    np.testing.assert_allclose(found.class_auc(weights), wanted.class_auc())


def test_the_mean_runs_over_the_last_axis_and_one_value_is_its_own():
    values = np.array([[[0.5, np.nan], [0.25, 0.75]], [[np.nan] * 2, [1.0, 0.0]]])
    np.testing.assert_array_equal(macro(values), [[0.5, 0.5], [np.nan, 0.5]])


def test_no_clips_have_no_value():
    found = Rankings(np.zeros((0, 2)), np.zeros((0, 2)))
    assert np.isnan([found.micro_ap(), *found.class_ap(), *found.class_auc()]).all()
    assert Rankings(np.zeros((3, 2)), np.ones((3, 2))).n_clips == 3


def test_clips_that_are_not_drawn_have_no_part():
    scores, tags = np.array([[0.75], [0.5], [0.25]]), np.array([[0], [1], [0]])
    found = Rankings(scores, tags)
    assert found.micro_ap(np.array([0, 1, 2])) == 1
    assert found.micro_ap(np.array([1, 1, 1])) == 0.5
    assert np.isnan(found.micro_ap(np.array([1, 0, 1])))
    assert found.class_auc(np.array([1, 1, 1])).tolist() == [0.5]
    assert np.isnan(found.class_auc(np.array([0, 1, 0]))).all()


@pytest.mark.parametrize(
    ("tags", "precision", "auc"),
    [
        ([0, 0, 1], 1 / 3, 0.0),
        ([1, 0, 0], 1.0, 1.0),
        ([0, 1, 1], (1 / 2 + 2 / 3) / 2, 0.0),
        ([1, 1, 0], 1.0, 1.0),
        ([1, 0, 1], (1 + 2 / 3) / 2, 0.5),
    ],
)
def test_three_clips_by_hand(tags, precision, auc):
    found = Rankings(np.array([[0.75], [0.5], [0.25]]), np.array(tags)[:, None])
    assert found.micro_ap() == pytest.approx(precision)
    assert found.class_ap() == pytest.approx([precision])
    assert found.class_auc() == pytest.approx([auc])
