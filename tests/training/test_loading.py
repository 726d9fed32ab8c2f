"""What a batch holds, and how a checkpoint is judged, compared with explicit loops."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
import toys

from sedrepro import tables
from sedrepro.papers.contract import Batch
from sedrepro.settings import Layout
from sedrepro.store import Store
from sedrepro.training.data import EvalSet, Loader
from sedrepro.training.selection import Judge, judge_maestro, judge_segments

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Layout:
    top = tmp_path_factory.mktemp("loading")
    layout = Layout(data=str(top / "data"), results=str(top / "results"))
    toys.fabricate(layout)
    return layout


def loader(layout: Layout, toy: str = "groups", resident: float = 0.0, **options) -> Loader:
    return Loader(toys.plan(toy, **options), layout, device=CPU, resident_bytes=resident)


@cache
def groups(layout: Layout) -> dict[str, list[tuple[str, str]]]:
    """The subset and name of every clip of each stream of the toy, in stored order."""
    found = {}
    for stream in toys.GroupsSettings().streams():
        found[stream.name] = []
        for subset in stream.subsets:
            table = tables.read_clip_table(layout.table(subset, "clips"))
            table = table[[subset.holds(fold) for fold in table["fold"]]]
            found[stream.name] += [(subset, clip) for clip in table["clip"]]
    return found


@cache
def stored(layout: Layout, subset, clip: str) -> np.ndarray:
    store = Store(layout.store(subset, "mel"))
    return np.asarray(store[list(store.clips).index(clip)], np.float32)


def recognised(layout: Layout, batch: Batch) -> list[tuple[str, tuple[str, str]]]:
    """Stream and clip of each row of a batch, by its values."""
    known = groups(layout)
    found = []
    for name, part in batch.parts.items():
        for row in batch.inputs["mel"][part].numpy():
            (clip,) = {c for c in known[name] if np.array_equal(stored(layout, *c), row)}
            found.append((name, clip))
    return found


def same(one: Batch, other: Batch) -> bool:
    pairs = [(one.inputs["mel"], other.inputs["mel"]), (one.frames, other.frames)]
    return all(torch.equal(a, b) for a, b in [*pairs, (one.clips, other.clips)])


def test_an_epoch_is_as_long_as_the_shortest_stream_that_ends_it(layout):
    sizes = {name: len(clips) for name, clips in groups(layout).items()}
    assert sizes == {"soft": 6, "synth": 14, "strong": 17, "weak": 6, "unlabelled": 10}
    assert loader(layout).steps == 3  # 6 soft and 6 weak clips in twos; unlabelled ones go on
    assert loader(layout, training={"steps_per_epoch": 7}).steps == 7


def test_a_batch_holds_its_groups_in_order_with_the_targets_of_its_clips(layout):
    made = loader(layout)
    assert made.parts == {
        "soft": slice(0, 2),
        "synth": slice(2, 3),
        "strong": slice(3, 4),
        "weak": slice(4, 6),
        "unlabelled": slice(6, 10),
    }
    for batch in made.epoch(0):
        for row, (name, (subset, clip)) in enumerate(recognised(layout, batch)):
            events = tables.read_events(layout.table(subset, "events"), toys.CLASSES)
            events = events[events["clip"] == clip]
            frames = np.zeros((toys.FRAMES, 3), np.float32)
            if name in ("soft", "synth", "strong"):
                frames = tables.frame_targets(events, [clip], toys.CLASSES, toys.FRAMES, toys.HOP)[
                    0
                ]
            labelled = set(events["label"]) if name != "unlabelled" else set()
            assert batch.frames[row].numpy() == pytest.approx(frames)
            assert batch.clips[row].tolist() == [label in labelled for label in toys.CLASSES]


def test_each_clip_comes_once_before_any_comes_again(layout):
    made = loader(layout, training={"steps_per_epoch": 6})
    drawn: dict[str, list[str]] = {}
    for batch in made.epoch(3):
        for name, (_, clip) in recognised(layout, batch):
            drawn.setdefault(name, []).append(clip)
    assert {name: len(clips) for name, clips in drawn.items()} == {
        "soft": 12,
        "synth": 6,
        "strong": 6,
        "weak": 12,
        "unlabelled": 24,
    }
    for name, clips in drawn.items():
        size = len(groups(layout)[name])
        for start in range(0, len(clips), size):
            once = clips[start : start + size]
            assert len(set(once)) == len(once)
    assert drawn["weak"][:6] != drawn["weak"][6:]


def test_a_batch_is_a_function_of_seed_epoch_and_position(layout):
    made = loader(layout)
    whole = list(made.epoch(5))
    assert len(whole) == 3
    for first in range(4):
        rest = list(made.epoch(5, first))
        assert len(rest) == 3 - first
        assert all(map(same, rest, whole[first:]))
    assert not same(whole[0], next(iter(made.epoch(6))))
    assert not same(whole[0], next(iter(loader(layout, seed=4).epoch(5))))


def test_data_that_fit_are_kept_on_the_device_and_give_the_same_batches(layout):
    size = sum(pool.nbytes for pool in loader(layout).pools)
    expected = sum(
        stored(layout, *clip).size * 2 for clips in groups(layout).values() for clip in clips
    )
    assert size == expected
    kept, streamed = loader(layout, resident=size), loader(layout, resident=size - 1)
    assert [bool(pool._resident) for pool in kept.pools] == [True] * 5
    assert [bool(pool._resident) for pool in streamed.pools] == [False] * 5
    assert all(map(same, kept.epoch(0), streamed.epoch(0)))


@pytest.mark.parametrize("resident", [0.0, math.inf])
def test_every_clip_is_shown_once_in_stored_order(layout, resident):
    shown = [
        one for part in loader(layout, resident=resident).clips(4) for one in part["mel"].numpy()
    ]
    known = [clip for clips in groups(layout).values() for clip in clips]
    assert len(shown) == len(known)
    assert all(np.array_equal(a, stored(layout, *c)) for a, c in zip(shown, known, strict=True))


def test_a_stream_without_clips_takes_no_place(tmp_path):
    layout = Layout(data=str(tmp_path / "data"), results=str(tmp_path / "results"))
    toys.fabricate(layout, without=("unlabelled", "strong_real"))
    made = loader(layout)
    assert made.steps == 3
    assert made.parts["unlabelled"] == slice(6, 6)
    batch = next(iter(made.epoch(0)))
    assert len(batch.inputs["mel"]) == 6


def test_a_held_out_set_is_read_in_the_order_of_its_table(layout):
    held_out = toys.GroupsSettings().held_out()[0]
    eval_set = EvalSet(held_out, layout)
    batches = [one["mel"].numpy() for one in eval_set.batches(3, CPU)]
    assert [len(one) for one in batches] == [3, 3, 1]
    rows = np.concatenate(batches)
    assert len(eval_set) == 7
    for clip, row in zip(eval_set.data.names, rows, strict=True):
        assert np.array_equal(stored(layout, held_out.subset, clip), row)
    some = eval_set.read([4, 1], CPU)["mel"].numpy()
    assert np.array_equal(some, rows[[4, 1]])


def test_segments_are_judged_one_by_one(layout):
    """5 segments of 3 classes and background; the events of the toy begin before 0.6 s."""
    held_out = toys.GroupsSettings().held_out()[0]
    judge = Judge(EvalSet(held_out, layout), toys.plan("groups"), layout)
    draw = np.random.default_rng(0).random((7, 5, 4))
    events = pd.read_csv(layout.table(held_out.subset, "events"), sep="\t")
    right = 0
    for clip, name in enumerate(judge.clips):
        for second in range(5):
            true = 3
            for event in events[events["clip"] == name].itertuples():
                if round(event.onset) <= second < round(event.offset):
                    true = toys.CLASSES.index(event.label)
            right += int(np.argmax(draw[clip, second]) == true)
    assert judge_segments(judge, {"frame": draw}) == {"segment_accuracy": pytest.approx(right / 35)}


def test_two_front_ends_of_a_clip_stay_together(layout):
    made = loader(layout, "pairs")
    shapes = {name: tuple(values.shape[1:]) for name, values in next(made.clips()).items()}
    assert shapes == {name: toys.FRONT_ENDS[name].shape for name in ("mel", "picture")}
    stores = {name: Store(layout.store(toys.desed("synth_train"), name)) for name in shapes}
    for batch in made.epoch(1):
        for row in range(4):
            places = {
                name: [
                    place
                    for place in range(len(store))
                    if np.array_equal(store[place], batch.inputs[name][row].numpy())
                ]
                for name, store in stores.items()
            }
            assert places["mel"] == places["picture"]
            assert len(places["mel"]) == 1


def test_windows_without_a_sure_event_earn_nothing(layout):
    """The classes of MAESTRO are none of the toy's, so none of them is ever true."""
    held_out = toys.GroupsSettings().held_out()[0]
    judge = Judge(EvalSet(held_out, layout), toys.plan("groups"), layout)
    assert judge_maestro(judge, {"frame": np.ones((7, 20, 3))}) == {"segment_f1_best": 0.0}


def test_a_checkpoint_is_judged_by_all_that_its_set_declares(layout):
    """Perfect scores, but of the last clip nothing."""
    held_out = toys.GroupsSettings().held_out()[1]
    eval_set, plan = EvalSet(held_out, layout), toys.plan("groups")
    events = tables.read_events(layout.table(held_out.subset, "events"), toys.CLASSES)
    names = eval_set.data.names
    frame = tables.frame_targets(events, names, toys.CLASSES, toys.FRAMES, toys.HOP)
    clip = tables.clip_targets(events, names, toys.CLASSES)
    assert clip.sum(0).tolist() == [3, 3, 3]  # nine clips, one event each
    judge = Judge(eval_set, plan, layout)
    assert judge({"frame": frame, "clip": clip}) == {"intersection_f1": 1, "weak_f1": 1}
    frame[-1], clip[-1] = 0, 0
    missed = pytest.approx((1 + 1 + 2 * 2 / (2 * 2 + 1)) / 3)
    assert judge({"frame": frame, "clip": clip}) == {"intersection_f1": missed, "weak_f1": missed}


@pytest.mark.parametrize("first", range(4))
def test_no_batch_is_prepared_that_no_one_asks_for(layout, monkeypatch, first):
    made, prepared = loader(layout), []
    monkeypatch.setattr(made, "_batch", lambda picks: prepared.append(list(map(len, picks))))
    assert len(list(made.epoch(0, first))) == 3 - first
    assert prepared == [[2, 1, 1, 2, 4]] * (3 - first)
