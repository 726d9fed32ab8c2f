"""What is kept of every resample, and what two runs' resamples tell of their difference."""

import numpy as np
import pytest

from sedrepro.metrics.resamples import Drawn, Draws, Resamples

ONE = ("public", "student", "psds1", "ours", "")
OTHER = ("weak", "student", "weak_f1", "ours", "Dog")


def test_what_is_written_is_read_again(tmp_path):
    path = tmp_path / "resamples.npz"
    Draws(
        values={ONE: np.array([0.5, 0.25, np.nan]), OTHER: np.array([1.0, 0.0, 0.75])},
        clips={"public": "p", "weak": "w"},
        units={"public": 7, "weak": 5},
        key="of these metrics",
    ).write(path)
    found = Resamples(path)
    assert found.key == "of these metrics"
    for key, values, clips, units in (
        (ONE, [0.5, 0.25, np.nan], "p", 7),
        (OTHER, [1.0, 0.0, 0.75], "w", 5),
    ):
        drawn = found.draws(key)
        np.testing.assert_array_equal(drawn.values, values)
        assert (drawn.clips, drawn.units) == (clips, units)
    assert found.draws(("public", "teacher", "psds1", "ours", "")) is None


def test_without_metrics_there_is_a_file_all_the_same(tmp_path):
    path = tmp_path / "resamples.npz"
    Draws(key="nothing to draw").write(path)
    assert Resamples(path).key == "nothing to draw"
    assert Resamples(path).draws(ONE) is None


def test_an_absent_or_damaged_file_holds_none(tmp_path):
    path = tmp_path / "resamples.npz"
    for found in (Resamples(path), Resamples.none()):
        assert (found.key, found.draws(ONE)) == ("", None)
    Draws(values={ONE: np.zeros(3)}, clips={"public": "p"}, units={"public": 2}, key="k").write(
        path
    )
    path.write_bytes(path.read_bytes()[:-40])
    assert (Resamples(path).key, Resamples(path).draws(ONE)) == ("", None)


def test_only_the_same_draws_are_pairs():
    one = Drawn(np.array([0.75, 0.5]), "clips", 9)
    other = Drawn(np.array([0.25, 0.125]), "clips", 9)
    found = one.minus(other)
    assert (found.values.tolist(), found.clips, found.units) == ([0.5, 0.375], "clips", 9)
    assert one.minus(None) is None
    assert one.minus(Drawn(other.values, "others", 9)) is None
    assert one.minus(Drawn(np.zeros(3), "clips", 9)) is None


def test_covariance_is_that_of_defined_pairs_scaled_for_few_units():
    one = Drawn(np.array([1.0, 2.0, np.nan, 4.0, 9.0]), "clips", 3)
    other = Drawn(np.array([2.0, 3.0, 7.0, 7.0, np.nan]), "clips", 3)
    # (1, 2), (2, 3), (4, 7): the means are 7/3 and 4.
    wanted = sum((a - 7 / 3) * (b - 4) for a, b in ((1, 2), (2, 3), (4, 7))) / 2 * 3 / 2
    assert one.covariance(other) == pytest.approx(wanted)
    pair = Drawn(np.array([np.nan, 5.0, 1.0, 6.0, np.nan]), "clips", 2)
    assert one.covariance(pair) == pytest.approx((2 - 4) * (5 - 6) / 2 * 3 / 2)
    assert pair.covariance(one) == pytest.approx((2 - 4) * (5 - 6) / 2 * 2)
    lonely = Drawn(np.array([np.nan] * 3 + [1.0, np.nan]), "clips", 3)
    assert one.covariance(lonely) is None
    assert Drawn(one.values, "clips", 1).covariance(other) is None
