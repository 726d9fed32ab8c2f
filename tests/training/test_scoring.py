"""Scores of a held-out set as they are stored, and which clips become examples."""

import json
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
import toys

from sedrepro.errors import SedreproError
from sedrepro.settings import Layout
from sedrepro.training.data import EvalSet
from sedrepro.training.scoring import score, score_file, varied, write_examples

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


def test_a_class_that_many_examples_show_waits_and_all_begin_anew():
    names = ["a", "b", "c", "d"]
    labels = [("a", "Cat"), ("b", "Cat"), ("c", "Cat"), ("c", "Dog"), ("d", "Dog"), ("x", "Bell")]
    # c shows both; then all begin anew, and of those with one class the first name comes first.
    assert varied(names, labels, 4) == [2, 0, 3, 1]
    assert varied(names, labels, 9) == [2, 0, 3, 1]


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Layout:
    top = tmp_path_factory.mktemp("scoring")
    layout = Layout(data=str(top / "data"), results=str(top / "results"))
    toys.fabricate(layout)
    return layout


def method(toy: str = "spectra") -> toys.Toy:
    return toys.TOYS[toy][1](
        toys.plan(toy), steps_per_epoch=1, device=torch.device("cpu"), amp=False
    )


def held_out(layout: Layout) -> EvalSet:
    return EvalSet(toys.held_out("mel")[0], layout)


def test_scores_are_those_of_each_clip_by_a_network_that_does_not_learn(layout):
    made, eval_set = method(), held_out(layout)
    made.networks.train()
    checked = []
    stop = SimpleNamespace(check=lambda *told: checked.append(told))
    found = score(made, "student", eval_set, stop)
    assert checked == [(made.plan.run, "while scoring")] * 2  # 7 clips, 5 at a time
    assert not any(network.training for network in made.networks.modules())
    for place in range(7):
        alone = made.scores("student", eval_set.read([place], torch.device("cpu")))
        for name, values in alone.items():
            np.testing.assert_allclose(found[name][place], values[0].detach(), atol=1e-6)
    assert {name: len(values) for name, values in score(made, "student", eval_set).items()} == {
        "frame": 7,
        "clip": 7,
    }


def test_scores_of_too_few_clips_are_an_error(layout, monkeypatch):
    made = method()
    monkeypatch.setattr(made, "scores", lambda model, inputs: {"frame": torch.zeros(1, 20, 3)})
    with pytest.raises(SedreproError, match="student gave 2 rows of 'frame' for 7 clips"):
        score(made, "student", held_out(layout))


def test_examples_hold_the_input_and_the_maps_of_a_few_clips(layout, tmp_path, monkeypatch):
    made, eval_set, path = method(), held_out(layout), tmp_path / "examples.h5"
    made.networks.train()
    write_examples(path, made, eval_set, layout, 3)
    with h5py.File(path) as file:
        about = dict(file.attrs)
        order = json.loads(about["order"])
        assert (about["set"], about["front_end"], about["hop"]) == ("validation", "mel", toys.HOP)
        # Each clip has one of three classes, one after the other.
        assert order == ["validation0", "validation1", "validation2"]
        for clip in order:
            inputs = eval_set.read([eval_set.data.names.index(clip)], torch.device("cpu"))
            np.testing.assert_array_equal(file[clip]["input"], inputs["mel"][0])
            frame = made.scores("student", inputs)["frame"][0].detach()
            np.testing.assert_allclose(file[clip]["frame"], frame, atol=1e-6)
    shown = {"input": torch.ones(2, 4, 4), "frame": torch.zeros(2, 20, 3)}
    monkeypatch.setattr(made, "explain", lambda inputs: dict(shown))
    write_examples(path, made, eval_set, layout, 2)
    with h5py.File(path) as file:
        assert file["validation0/input"].shape == (4, 4)


def test_without_a_set_without_clips_or_without_a_count_there_are_no_examples(layout, tmp_path):
    empty = Layout(data=str(tmp_path / "data"), results=str(tmp_path / "results"))
    toys.fabricate(empty, without=("validation",))
    path = tmp_path / "examples.h5"
    for eval_set, where, count in (
        (None, layout, 3),
        (held_out(empty), empty, 3),
        (held_out(layout), layout, 0),
    ):
        write_examples(path, method(), eval_set, where, count)
        with h5py.File(path) as file:
            assert (len(file), dict(file.attrs).get("order")) == (0, None)
