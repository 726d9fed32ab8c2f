import numpy as np
import pytest
from scipy import ndimage

from sedrepro.metrics.decode import (
    detect,
    frame_times,
    gated,
    median_filter,
    operating_points,
    peak_quantiles,
)


@pytest.mark.parametrize("window", [1, 2, 3, 7, 8, 31, 50])
def test_the_filter_is_scipys_per_clip_and_class(window):
    scores = np.random.default_rng(window).random((3, 40, 2), dtype=np.float32)
    filtered = median_filter(scores, [window, 5])
    for clip in range(3):
        for label, size in enumerate((window, 5)):
            expected = ndimage.median_filter(scores[clip, :, label], size=size, mode="reflect")
            np.testing.assert_array_equal(filtered[clip, :, label], expected)


@pytest.mark.parametrize("window", [4, 7])
def test_filtering_and_thresholding_commute(window):
    scores = np.random.default_rng(0).random((4, 30, 3), dtype=np.float32)
    for threshold in operating_points(10).astype(np.float32):
        binary = (scores > threshold).astype(np.uint8)
        after = ndimage.median_filter(binary, size=(1, window, 1)) > 0
        np.testing.assert_array_equal(median_filter(scores, [window] * 3) > threshold, after)


def test_fifty_operating_points_are_those_of_the_recipes():
    np.testing.assert_allclose(operating_points(50), np.arange(1 / 100, 1, 1 / 50))


def explicit(scores, thresholds, hop, seconds):
    """Frame by frame, the way one would say it."""
    events = []
    for clip in range(scores.shape[0]):
        for label in range(scores.shape[2]):
            start = None
            for frame in [*range(scores.shape[1]), None]:
                on = frame is not None and scores[clip, frame, label] > thresholds[label]
                if on and start is None:
                    start = frame
                if not on and start is not None:
                    end = scores.shape[1] if frame is None else frame
                    onset, offset = start * hop, end * hop
                    start = None
                    if seconds is not None:
                        offset = min(offset, seconds[clip])
                        if onset >= seconds[clip]:
                            continue
                    events.append((clip, label, onset, offset))
    return events


@pytest.mark.parametrize("trim", [True, False])
def test_events_are_runs_of_frames_above_the_threshold(simulate, trim):
    scores, truth = simulate(1)
    thresholds = np.array([0.2, 0.5, 0.8, 2.0])
    seconds = truth.seconds if trim else None
    found = detect(scores, thresholds, hop=0.064, seconds=seconds)
    rows = list(zip(found.clip, found.label, found.onset, found.offset, strict=True))
    assert rows == explicit(scores, thresholds, 0.064, seconds)
    assert not (found.label == 3).any()  # no score exceeds 2


def test_a_score_at_the_threshold_is_not_above_it():
    scores = np.array([0.5, 0.5, 0.6], dtype=np.float32).reshape(1, 3, 1)
    found = detect(scores, 0.5, hop=1.0)
    assert found.onset.tolist() == [2.0]
    assert found.offset.tolist() == [3.0]


def test_silence_has_no_events_and_still_has_columns():
    found = detect(np.zeros((2, 5, 3), np.float32), 0.5, hop=0.1, seconds=np.array([0.5, 0.5]))
    assert len(found) == 0
    assert len(found.offset) == 0


def test_peak_quantiles_let_in_clips_one_after_the_other():
    scores = np.random.default_rng(3).random((100, 20, 2), dtype=np.float32) ** 8
    thresholds = peak_quantiles(scores, 10)
    admitted = (scores.max(axis=1) > thresholds[:, None]).sum(axis=1)
    np.testing.assert_allclose(admitted, np.tile(np.arange(5, 100, 10)[:, None], 2), atol=1)


def test_a_gate_lets_through_the_classes_whose_clip_score_is_above_it():
    frames = np.random.default_rng(0).random((2, 5, 3))
    clips = np.array([[0.5, 0.25, 0.75], [0.0, 1.0, 0.5]])
    found = gated(frames, clips, 0.5)
    for clip in range(2):
        for label in range(3):
            passes = clips[clip, label] > 0.5
            assert found[clip, :, label].tolist() == (frames[clip, :, label] * passes).tolist()
    np.testing.assert_array_equal(gated(frames, clips, 0), frames)


def test_frames_have_edges_and_the_last_is_cut_where_the_clip_ends():
    assert frame_times(3, 0.5).tolist() == [0, 0.5, 1, 1.5]
    assert frame_times(3, 0.5, 2.0).tolist() == [0, 0.5, 1, 1.5]
    assert frame_times(3, 0.5, 1.25).tolist() == [0, 0.5, 1, 1.25]
    assert frame_times(3, 0.5, 1.0).tolist() == [0, 0.5, 1]


def test_an_event_that_begins_where_its_clip_ends_is_dropped():
    scores = np.zeros((1, 6, 2), np.float32)
    scores[0, 2:4, 0] = scores[0, 1:5, 1] = 1
    found = detect(scores, [0.5, 0.5], hop=0.5, seconds=np.array([1.0]))
    rows = list(zip(found.label, found.onset, found.offset, strict=True))
    assert rows == [(1, 0.5, 1.0)]
