"""From a run's scores to its numbers: what is read, what is left out, and what is written.

What the families compute is a stand-in's here, so that it takes no time.
"""

from __future__ import annotations

import fcntl
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from world import CLIPS, EXPECTED, HOP, MODELS, MT, SETS, World, layout_in

from sedrepro import chain, papers, settings, tables
from sedrepro.clips import Clip
from sedrepro.errors import SedreproError
from sedrepro.evaluation import evaluate, run, write
from sedrepro.evaluation.measures import Measures, Scored
from sedrepro.files import digest, file_digest, read_json
from sedrepro.kept import REPUBLISHED
from sedrepro.metrics.bootstrap import Interval, Resampled
from sedrepro.metrics.resamples import Draws, Resamples
from sedrepro.progress import Progress
from sedrepro.settings import Run, Subset, declared

MEDIAN7 = Run("lgc_sed", "mt_median7", "desed", 42)
VALIDATION, PUBLIC = (Subset("desed", name) for name in SETS)


def share(scored, truth, settings, report) -> Measures:
    """The mean score of all clips, and what every resample might have given."""
    found = Measures()
    mean = float(scored.arrays["frame"].mean())
    drawn = Resampled.of(Interval(mean, mean - 0.1, mean + 0.1), np.full(3, mean))
    found.add("share", "own", drawn)
    if not scored.is_last:
        found.curves["share"] = {"efpr": [0.0], "etpr": [mean]}
    return found


def size(scored, truth, settings, report) -> Measures:
    found = Measures()
    found.add("size", "own", Interval(float(len(truth.events))))
    return found


@pytest.fixture(autouse=True)
def stand_ins(monkeypatch):
    """The two families that sets of DESED may have are cheap ones."""
    for name, made in (("sed", share), ("desed_tags", size)):
        family = replace(
            declared.METRICS[name], measure=f"{__name__}:{made.__name__}", reads=("frame",)
        )
        monkeypatch.setitem(declared.METRICS, name, family)


@pytest.fixture(scope="module")
def project(root):
    decoding = {"event_free": "decoded"}
    table = {"mt_median7": {"from": "mt"}}
    paper = {"rows": "all", "settings": {"decoding": decoding}, "table": table}
    overlay = {"papers": {"lgc_sed": paper}}
    return settings.load(overlay, papers=papers.settings_models(), root=root)


def plan_of(project, run=MT, event_free="decoded"):
    plan = settings.plan(project, run, papers.settings_models()["lgc_sed"])
    decoding = plan.settings.decoding.model_copy(update={"event_free": event_free})
    return replace(plan, settings=plan.settings.model_copy(update={"decoding": decoding}))


@pytest.fixture
def world(tmp_path, project) -> World:
    return World(layout_in(tmp_path), list(plan_of(project).classes))


def value(found, name, model, metric="share"):
    (entry,) = [
        entry
        for entry in found["metrics"]
        if (entry["set"], entry["model"], entry["metric"]) == (name, model, metric)
    ]
    return entry["value"]


def mean(frames: np.ndarray) -> float:
    return pytest.approx(float(frames.mean()), rel=1e-5)


def test_every_set_and_model_is_measured_on_its_scores(world, project):
    draws = Draws()
    found = evaluate(plan_of(project), project, world.layout, draws)
    assert (found["status"], found["reason"], "tuned" in found) == ("done", "", False)
    assert len(found["metrics"]) == len(SETS) * len(MODELS)
    for name in SETS:
        for model in MODELS:
            expected = mean(world.frames[name, model])
            assert value(found, name, model) == expected
            assert draws.values[name, model, "share", "own", ""].tolist() == [expected] * 3
        assert found["curves"][name].keys() == {"student", "teacher"}
        assert draws.units[name] == CLIPS
        assert draws.clips[name] == digest([world.clips[name], world.clips[name]])
    entry = found["metrics"][0]
    assert (entry["n_clips"], entry["n_expected"], entry["unit"]) == (CLIPS, EXPECTED, "clip")


def test_what_every_family_of_a_set_says_is_joined(world, project):
    plan = plan_of(project)
    (scored,) = [Scored("validation", "student", HOP, {"frame": np.ones((1, 2, 3))})]
    ((held_out, truth, _), *_) = run.read(plan, world.layout)
    both = replace(held_out, metrics=("sed", "desed_tags"))
    found = run.measure(scored, truth, both, plan, project.report)
    assert {metric: one.value for (metric, *_), one in found.values.items()} == {
        "share": 1.0,
        "size": 3.0 * (CLIPS - 1),
    }
    assert found.curves == {"share": {"efpr": [0.0], "etpr": [1.0]}}


def test_a_row_that_decodes_another_reads_its_scores(world, project):
    found = evaluate(plan_of(project, MEDIAN7), project, world.layout)
    assert value(found, "validation", "student") == mean(world.frames["validation", "student"])


@pytest.mark.parametrize(("of", "reason"), [(MT, "no data"), (MEDIAN7, f"{MT}: no data")])
def test_what_was_not_run_has_no_numbers(world, project, of, reason):
    world.sign(status="not_run", reason="no data")
    found = evaluate(plan_of(project, of), project, world.layout)
    assert found == {"status": "not_run", "reason": reason, "metrics": [], "curves": {}}


def test_the_pairs_that_are_done_are_told(world, project, monkeypatch):
    seen = []
    monkeypatch.setattr(Progress, "__call__", lambda _, done, *said: seen.append(done))
    evaluate(plan_of(project), project, world.layout)
    pairs = len(SETS) * len(MODELS)
    assert seen == [done / pairs for done in range(pairs)]


@pytest.mark.parametrize(
    ("choice", "clips", "first"), [("decoded", 14, 1), ("duration", 14, 0), ("omitted", 13, None)]
)
def test_the_silent_clip_counts_as_it_is_told(world, project, choice, clips, first):
    """The first of each set."""
    opened = run.read(plan_of(project, MT, choice), world.layout)
    _, truth, scores = next(opened)
    scored = next(scores)
    assert (len(truth.clips), truth.n_expected) == (clips, EXPECTED - (choice == "omitted"))
    assert len(scored.arrays["frame"]) == len(scored.arrays["clip"]) == clips
    silent = world.clips["validation"][0]
    assert (silent in truth.clips) is (first is not None)
    frames = world.frames["validation", "student"]
    assert scored.arrays["frame"][-13:] == pytest.approx(frames[1:])
    if first is not None:
        assert scored.arrays["frame"][0] == pytest.approx(frames[0] * first)


def test_sets_of_no_sound_events_have_no_silent_clips(world, project):
    ((held_out, truth, _), *_) = run.read(plan_of(project), world.layout)
    assert run._without_events(truth, held_out).tolist() == [True] + [False] * (CLIPS - 1)
    tagged = replace(held_out, metrics=("desed_tags",))
    assert not run._without_events(truth, tagged).any()


def empty_audit(world: World, subset: Subset, found: int) -> None:
    audit = pd.DataFrame([[subset.name, EXPECTED, found, "", "official"]], columns=tables.AUDIT)
    tables.write(world.layout.table(subset, "audit"), audit, tables.AUDIT)


def test_a_set_of_which_nothing_could_be_had_is_left_out(world, project):
    world.change(MT, lambda file: file.pop("validation"))
    empty_audit(world, VALIDATION, 0)
    found = evaluate(plan_of(project), project, world.layout)
    assert {entry["set"] for entry in found["metrics"]} == {"public_eval"}
    empty_audit(world, VALIDATION, 1)
    with pytest.raises(SedreproError, match=r"scores.h5 has no set 'validation'; it has public_ev"):
        evaluate(plan_of(project), project, world.layout)


def test_scores_can_be_read_while_others_hold_them(world, project):
    with open(world.layout.run(MT, "scores.h5"), "rb") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)
        assert evaluate(plan_of(project), project, world.layout)["status"] == "done"


def remove_clips(file) -> None:
    del file["validation"]["clips"]
    file["validation"]["clips"] = np.array([], dtype="S1")


def not_a_number(file) -> None:
    file["validation/teacher/frame"][3, 4, 5] = np.inf


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda file: file.attrs.update(classes='["x"]'), "is of other classes than lgc_sed/mt"),
        (remove_clips, "no clip of set 'validation' was scored"),
        (lambda file: file["validation"].pop("teacher"), "no scores of teacher on 'validation'"),
        (not_a_number, "the frame scores of teacher on 'validation' hold NaN or infinity"),
    ],
)
def test_scores_that_cannot_be_measured_are_named(world, project, edit, message):
    world.change(MT, edit)
    with pytest.raises(SedreproError, match=message):
        evaluate(plan_of(project), project, world.layout)


def test_scores_that_the_run_did_not_write_are_refused(world, project):
    path = Path(world.layout.run(MT, "scores.h5"))
    with open(path, "ab") as file:
        file.write(b"more")
    with pytest.raises(SedreproError, match=r"not the scores that the run wrote; `sedrepro forget"):
        evaluate(plan_of(project), project, world.layout)
    path.write_text("no scores")
    world.sign()
    with pytest.raises(SedreproError, match=r"scores.h5: not a whole score file \("):
        evaluate(plan_of(project), project, world.layout)
    path.unlink()
    with pytest.raises(SedreproError, match=r"scores.h5: no such file; the run wrote no scores"):
        evaluate(plan_of(project), project, world.layout)


def test_a_set_without_events_cannot_do_without_its_silent_clips(world, project):
    path = world.layout.table(VALIDATION, "events")
    tables.write(path, world.events["validation"][:0], tables.EVENTS)
    with pytest.raises(SedreproError, match=r"no clip of set 'validation' has an event; decoding"):
        evaluate(plan_of(project, MT, "omitted"), project, world.layout)


def test_scores_that_a_family_needs_are_named(world, project, monkeypatch):
    family = replace(declared.METRICS["sed"], reads=("frame", "melody"))
    monkeypatch.setitem(declared.METRICS, "sed", family)
    with pytest.raises(SedreproError, match=r"read the melody scores of student; it has attention"):
        evaluate(plan_of(project), project, world.layout)


def test_how_many_clips_a_set_should_have(world):
    layout = world.layout
    assert run.expected(VALIDATION, layout) == EXPECTED
    rows = [["validation", np.nan, 3, "", "official"], ["validation", 99, 3, "", "official"]]
    path = layout.table(VALIDATION, "audit")
    tables.write(path, pd.DataFrame(rows, columns=tables.AUDIT), tables.AUDIT)
    assert run.expected(VALIDATION, layout) == 99
    tables.write(path, pd.DataFrame(rows[:1], columns=tables.AUDIT), tables.AUDIT)
    assert run.expected(VALIDATION, layout) is None
    folds = {"a": "held_out", "b": "train", "c": "held_out"}
    listed = tables.clip_table(Clip(name, "", 1.0, fold) for name, fold in folds.items())
    tables.write(layout.table(VALIDATION, "clips"), listed, tables.CLIPS)
    assert run.expected(Subset("desed", "validation", "held_out"), layout) == 2
    assert run.expected(Subset("desed", "validation", "train"), layout) == 1


def written(world, project, plan=None) -> tuple[Path, Path]:
    paths = [Path(world.layout.run(MT, name)) for name in ("metrics.json", "resamples.npz")]
    write(plan or plan_of(project), project, world.layout, *paths)
    return tuple(paths)


def test_numbers_are_written_with_their_key_their_settings_and_what_every_resample_gave(
    world, project
):
    metrics, resamples = written(world, project)
    told, plan = read_json(metrics), plan_of(project)
    found = evaluate(plan, project, world.layout)
    assert {name: told[name] for name in found} == found
    assert told["content"] == digest(found)
    assert told["settings"] == json.loads(json.dumps(plan.describe_measuring(project.report)))
    scores = file_digest(world.layout.run(MT, "scores.h5"))
    parents = {
        "run": {"key": "a run", "scores": scores},
        "truth": world.layout.digests([VALIDATION, PUBLIC]),
    }
    assert told["parents"] == parents
    described = plan.describe_measuring(project.report)
    assert told["key"] == chain.link("metrics", described, parents)["key"]
    kept = Resamples(resamples)
    assert kept.key == told["key"]
    drawn = kept.draws(("validation", "student", "share", "own", ""))
    assert drawn.values == mean(world.frames["validation", "student"])
    assert drawn.units == CLIPS


def test_the_same_numbers_are_only_published_again(world, project, capsys, monkeypatch):
    metrics, resamples = written(world, project)
    before = metrics.read_text()
    for path in (metrics, resamples):
        path.unlink()
    monkeypatch.setattr(run, "evaluate", None)  # cannot be asked
    written(world, project)
    key = json.loads(before)["key"]
    assert capsys.readouterr().out == f"{REPUBLISHED}: key {key}\n"
    assert metrics.read_text() == before
    assert resamples.exists()
    monkeypatch.undo()


def test_other_settings_are_other_numbers(world, project):
    before = read_json(written(world, project)[0])["key"]
    after = read_json(written(world, project, plan_of(project, MT, "omitted"))[0])["key"]
    assert before != after


def test_a_run_of_another_schema_is_not_measured(world, project):
    world.sign(schema=0)
    with pytest.raises(
        SedreproError, match=rf"it has schema 0 .*; `sedrepro forget {MT}`, then st"
    ):
        written(world, project)


def test_changed_clip_tables_are_not_measured_on(world, project):
    key = world.layout.tables_key(PUBLIC)
    path = world.layout.table(PUBLIC, "clips")
    chain.seal(key, "tables", [path])
    written(world, project)
    with open(path, "a") as file:
        file.write("\n")
    with pytest.raises(SedreproError, match=r"clips.tsv: was changed after it was written"):
        written(world, project)


def test_a_run_that_was_never_finished_is_named(world, project):
    Path(world.layout.run(MT, "run.json")).unlink()
    with pytest.raises(SedreproError, match=r"no run\.json; the run was never finished"):
        evaluate(plan_of(project), project, world.layout)
