"""Which clips become examples."""

from types import SimpleNamespace

import h5py
import numpy as np

from sedrepro.training.scoring import score_file, varied

LABELS = [("a", "Cat"), ("b", "Cat"), ("b", "Dog"), ("c", "Dog"), ("d", "Speech")]


def test_examples_show_every_class_before_one_is_repeated():
    names = ["a", "b", "c", "d", "empty"]
    assert varied(names, LABELS, 2) == [1, 3]
    assert varied(names, LABELS, 3) == [1, 3, 0]


def test_there_are_never_more_examples_than_clips():
    assert varied(["x"], [], 4) == [0]


def test_equal_scores_are_equal_files_at_any_time(tmp_path):
    """Scores are in the key of what is measured of them, so no object may hold the time of day."""
    plan = SimpleNamespace(classes=["Dog"], grid=SimpleNamespace(seconds=0.1))
    eval_set = SimpleNamespace(
        spec=SimpleNamespace(name="validation"),
        data=SimpleNamespace(names=["a", "b"], seconds=np.ones(2)),
    )
    path = tmp_path / "scores.h5"
    with score_file(path, plan, "key") as file:
        for model in ("student", "student@last"):
            file.add(eval_set, model, {"frame": np.zeros((2, 3, 1)), "clip": np.zeros((2, 1))})
    timed = []

    def look(name, found):
        if found.id.get_create_plist().get_obj_track_times():
            timed.append(name)

    with h5py.File(path) as file:
        file.visititems(look)
        assert len(file["validation/student@last"]) == 2
    assert timed == []
