"""A run's outputs as tables that others read, number by number."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from world import MT, World, layout_in

from sedrepro import papers, settings, tables
from sedrepro.errors import SedreproError
from sedrepro.evaluation.export import Output, output, write_detections, write_scores
from sedrepro.evaluation.measures import Truth
from sedrepro.evaluation.sed import Frames
from sedrepro.metrics.decode import median_filter
from sedrepro.settings import Decoding, HeldOut, Subset

CLASSES = ["Cat", "Dog"]


def made(trim: bool = True) -> Output:
    """Two clips of four frames of half a second; the second lasts only 1.2 s."""
    scores = np.array(
        [
            [[0.1, 0.9], [0.6, 0.8], [0.6, 1 / 3], [0.1, 0.2]],
            [[0.1, 0.2], [0.1, 0.9], [0.1, 0.9], [0.1, 0.9]],
        ],
        dtype=np.float32,
    )
    seconds = np.array([2.0, 1.2])
    events = pd.DataFrame([], columns=tables.EVENTS)
    truth = Truth(["a", "b"], seconds, CLASSES, events, 2)
    return Output("validation", "student", Frames(scores, 0.5, seconds, trim), truth)


def test_scores_are_a_table_per_clip(tmp_path):
    folder = tmp_path / "scores"
    write_scores(made(), folder)
    assert sorted(path.name for path in folder.iterdir()) == ["a.tsv", "b.tsv"]
    assert (folder / "a.tsv").read_text().splitlines() == [
        "onset\toffset\tCat\tDog",
        "0.0\t0.5\t0.100000001\t0.899999976",
        "0.5\t1.0\t0.600000024\t0.800000012",
        "1.0\t1.5\t0.600000024\t0.333333343",
        "1.5\t2.0\t0.100000001\t0.200000003",
    ]
    brief = pd.read_csv(folder / "b.tsv", sep="\t")
    assert brief["offset"].tolist() == [0.5, 1.0, 1.2]
    assert brief["Dog"].to_numpy(np.float32).tolist() == made().frames.scores[1, :3, 1].tolist()


def test_without_trimming_scores_go_on_after_the_end(tmp_path):
    write_scores(made(trim=False), tmp_path / "scores")
    brief = pd.read_csv(tmp_path / "scores" / "b.tsv", sep="\t")
    assert brief["offset"].tolist() == [0.5, 1.0, 1.5, 2.0]


def test_detections_are_a_table_per_operating_point(tmp_path):
    plan = SimpleNamespace(
        settings=SimpleNamespace(decoding=Decoding(operating_points=2, threshold=0.85))
    )
    folder = tmp_path / "detections"
    path = write_detections(made(), plan, folder)
    assert sorted(one.name for one in folder.glob("*.tsv")) == [
        "predictions_th_0.25.tsv",
        "predictions_th_0.75.tsv",
    ]
    assert path == folder / "at_threshold" / "predictions_th_0.85.tsv"
    assert path.read_text().splitlines() == [
        "event_label\tonset\toffset\tfilename",
        "Dog\t0.0\t0.5\ta.wav",
        "Dog\t0.5\t1.2\tb.wav",
    ]
    assert (folder / "predictions_th_0.25.tsv").read_text().splitlines()[1:] == [
        "Cat\t0.5\t1.5\ta.wav",
        "Dog\t0.0\t1.5\ta.wav",
        "Dog\t0.5\t1.2\tb.wav",
    ]
    assert len((folder / "predictions_th_0.75.tsv").read_text().splitlines()) == 3


PLAN = SimpleNamespace(settings=SimpleNamespace(decoding=Decoding(operating_points=2)))


@pytest.mark.parametrize(
    "write", [write_scores, lambda found, folder: write_detections(found, PLAN, folder)]
)
def test_nothing_is_written_beside_what_is_there(tmp_path, write):
    (tmp_path / "empty").mkdir()
    write(made(), tmp_path / "empty")
    with pytest.raises(SedreproError, match="empty: is there already; name a new folder"):
        write(made(), tmp_path / "empty")
    (tmp_path / "file").write_text("")
    with pytest.raises(SedreproError, match="file: is there already; name a new folder"):
        write(made(), tmp_path / "file")


@pytest.fixture(scope="module")
def plan(root):
    project = settings.load({}, papers=papers.settings_models(), root=root)
    return settings.plan(project, MT, papers.settings_models()["lgc_sed"])


@pytest.fixture(scope="module")
def world(tmp_path_factory, plan) -> World:
    return World(layout_in(tmp_path_factory.mktemp("world")), list(plan.classes))


@pytest.mark.parametrize(("asked", "given"), [(None, "validation"), ("public_eval", "public_eval")])
def test_an_output_is_of_the_set_that_is_asked_for_or_the_first(plan, world, asked, given):
    found = output(plan, world.layout, asked, "teacher")
    assert (found.set, found.model) == (given, "teacher")
    windows = plan.settings.decoding.windows(world.classes)
    frames = median_filter(world.frames[given, "teacher"], windows)
    assert found.frames.scores[-3:] == pytest.approx(frames[-3:])


def with_metrics(plan, *metrics: str):
    """The plan with sets of these metrics."""
    sets = [
        HeldOut(name, Subset("desed", name), (), (metric,))
        for name, metric in zip(("validation", "public_eval"), metrics, strict=True)
    ]
    told = SimpleNamespace(held_out=lambda: sets, decoding=plan.settings.decoding)
    return replace(plan, settings=told)


def test_only_sets_with_events_to_detect_are_given(plan, world):
    found = output(with_metrics(plan, "tags", "sed"), world.layout, None, "student")
    assert found.set == "public_eval"
    none = with_metrics(plan, "tags", "tags")
    for asked in (None, "validation"):
        with pytest.raises(SedreproError, match="was scored on no set with events to detect"):
            output(none, world.layout, asked, "student")
    one = with_metrics(plan, "sed", "tags")
    with pytest.raises(SedreproError, match="was not scored on 'public_eval'; sets are validation"):
        output(one, world.layout, "public_eval", "student")


def test_a_model_that_there_is_not_is_named(plan, world):
    with pytest.raises(SedreproError, match="has no model 'tutor'; models are student, teacher, s"):
        output(plan, world.layout, None, "tutor")


def test_of_a_run_that_was_not_run_there_is_no_output(plan, tmp_path):
    world = World(layout_in(tmp_path), list(plan.classes))
    world.sign(status="not_run", reason="no data")
    with pytest.raises(SedreproError, match="was not run: no data"):
        output(plan, world.layout, None, "student")
    assert not Path(world.layout.run(MT, "metrics.json")).exists()
