import json
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from world import CLIPS, EXPECTED, HOP, MODELS, MT, SETS, World, layout_in

from sedrepro import papers, settings, tables
from sedrepro.clips import Clip
from sedrepro.errors import SedreproError
from sedrepro.evaluation import evaluate, write
from sedrepro.evaluation.measures import Measures
from sedrepro.evaluation.run import read
from sedrepro.metrics.bootstrap import Interval, around, draws
from sedrepro.metrics.decode import detect, median_filter
from sedrepro.metrics.f1 import (
    class_f1,
    clip_counts,
    collar_counts,
    intersection_f1,
    macro_f1,
)
from sedrepro.metrics.packages import sed_scores_eval_psds
from sedrepro.metrics.psds import SCENARIOS, area
from sedrepro.metrics.resamples import Draws, Resamples
from sedrepro.progress import Progress
from sedrepro.settings import HeldOut, Run, Subset, declared
from sedrepro.settings.tasks import EvaluateTask

pytestmark = pytest.mark.slow

MEDIAN7 = Run("lgc_sed", "mt_median7", "desed", 42)


@pytest.fixture(scope="module")
def project(root):
    """Few operating points: psds_eval takes its time for each."""
    decoding = {"operating_points": 3, "event_free": "decoded"}
    table = {"mt_median7": {"from": "mt"}}
    paper = {"rows": "all", "settings": {"decoding": decoding}, "table": table}
    overlay = {"report": {"bootstrap": 20}, "papers": {"lgc_sed": paper}}
    return settings.load(overlay, papers=papers.settings_models(), root=root)


@pytest.fixture(scope="module")
def plan_of(project):
    return lambda run: settings.plan(project, run, papers.settings_models()[run.paper])


@pytest.fixture
def world(tmp_path, plan_of):
    return World(layout_in(tmp_path), list(plan_of(MT).classes))


@pytest.fixture(scope="module")
def result(tmp_path_factory, plan_of, project):
    """What evaluating an unspoilt world gives."""
    world = World(layout_in(tmp_path_factory.mktemp("world")), list(plan_of(MT).classes))
    return evaluate(plan_of(MT), project, world.layout)


def test_the_share_that_is_done_rises(world, plan_of, project, monkeypatch):
    """`sedrepro status` tells by it how long an evaluation still takes."""
    seen = []
    monkeypatch.setattr(Progress, "__call__", lambda _, done, *said: seen.append(done))
    monkeypatch.setattr(declared, "resolve", lambda _: lambda *_: Measures())
    evaluate(plan_of(MT), project, world.layout)
    pairs = len(SETS) * len(MODELS)
    assert seen == [done / pairs for done in range(pairs)]


def values(result, **keys):
    keys = {"label": "", **keys}
    return [e for e in result["metrics"] if all(e[k] == v for k, v in keys.items())]


def value(result, **keys):
    (entry,) = values(result, **keys)
    return entry["value"]


def test_every_set_and_model_with_every_implementation(result):
    assert result["status"] == "done"
    full = {
        ("psds1", "psds_eval"),
        ("psds1", "sed_scores_eval"),
        ("psds1", "sedrepro"),
        ("psds2", "psds_eval"),
        ("psds2", "sed_scores_eval"),
        ("psds2", "sedrepro"),
        ("intersection_f1", "psds_eval"),
        ("intersection_f1", "sedrepro (strict)"),
        ("event_f1", "sed_eval"),
        ("event_f1", "sedrepro"),
        ("event_f1_micro", "sed_eval"),
        ("event_f1_micro", "sedrepro"),
        ("segment_f1", "sed_eval"),
        ("segment_f1", "sedrepro"),
        ("weak_f1", "sedrepro"),
        ("segment_f1_micro", "sed_eval"),
        ("segment_f1_micro", "sedrepro"),
    }
    own = {key for key in full if key[1].startswith("sedrepro")}
    for name in SETS:
        for model in MODELS:
            entries = values(result, set=name, model=model)
            kinds = [(e["metric"], e["implementation"]) for e in entries]
            assert len(kinds) == len(set(kinds))
            assert set(kinds) == (own if model == "student@last" else full)
            for entry in entries:
                assert entry["n_clips"] == CLIPS
                assert entry["n_expected"] == EXPECTED
                assert entry["ci_low"] <= entry["value"] <= entry["ci_high"]
                assert 0 < entry["value"] < 1
    json.dumps(result, allow_nan=False)


def test_values_are_those_of_the_scored_clips_and_the_runs_decoding(result, world, plan_of):
    plan = plan_of(MT)
    windows = plan.settings.decoding.windows(plan.classes)
    assert len(set(windows)) > 1  # one per class
    truth, frame = world.truth("public_eval"), world.frames["public_eval", "teacher"]
    keys = {"set": "public_eval", "model": "teacher"}
    strict = intersection_f1(scores=frame, truth=truth, hop=HOP, windows=windows)
    assert value(result, implementation="sedrepro (strict)", **keys) == pytest.approx(strict)
    detected = detect(median_filter(frame, windows), 0.5, hop=HOP, seconds=truth.seconds)
    event = collar_counts(detected, truth).total()
    assert value(result, metric="event_f1", implementation="sed_eval", **keys) == pytest.approx(
        macro_f1(event)
    )
    by_class = {
        e["label"]: e["value"]
        for e in result["metrics"]
        if e["label"]
        if e["set"] == "public_eval" and e["model"] == "teacher"
    }
    expected = dict(zip(truth.classes, class_f1(event), strict=True))
    assert by_class == pytest.approx({k: v for k, v in expected.items() if not np.isnan(v)})
    tags = tables.clip_targets(world.events["public_eval"], truth.clips, truth.classes)
    weak = macro_f1(clip_counts(frame.max(axis=1), tags).total())
    assert value(result, metric="weak_f1", **keys) == pytest.approx(weak)


def test_implementations_of_one_metric_agree_as_far_as_they_should(result, world, plan_of):
    windows = plan_of(MT).settings.decoding.windows(world.classes)
    scores = median_filter(world.frames["validation", "student"], windows)
    f1s = ("event_f1", "event_f1_micro", "segment_f1", "segment_f1_micro")
    for metric in ("psds1", "psds2", *f1s):
        keys = {"metric": metric, "set": "validation", "model": "student"}
        own = value(result, implementation="sedrepro", **keys)
        package = "psds_eval" if metric.startswith("psds") else "sed_eval"
        assert value(result, implementation=package, **keys) == pytest.approx(own, abs=1e-9)
        if metric.startswith("psds"):
            every = sed_scores_eval_psds(
                scores, world.truth("validation"), SCENARIOS[metric], hop=HOP
            )
            assert value(result, implementation="sed_scores_eval", **keys) == pytest.approx(every)
            assert every != pytest.approx(own, abs=1e-6)


def test_curves_enclose_the_score(result):
    assert set(result["curves"]["validation"]) == {"student", "teacher"}
    for metric in ("psds1", "psds2"):
        curve = result["curves"]["validation"]["teacher"][metric]
        assert 2 <= len(curve["efpr"]) == len(curve["etpr"]) <= 200
        assert curve["efpr"][-1] == 100
        score = value(
            result, metric=metric, implementation="sedrepro", set="validation", model="teacher"
        )
        enclosed = area(np.array(curve["efpr"]), np.array(curve["etpr"]), 100.0)
        assert enclosed == pytest.approx(score, abs=0.01)


def test_a_reevaluated_row_decodes_the_scores_of_its_source(result, world, plan_of, project):
    again = evaluate(plan_of(MEDIAN7), project, world.layout)
    truth, frame = world.truth("validation"), world.frames["validation", "student"]
    expected = intersection_f1(scores=frame, truth=truth, hop=HOP, windows=[7] * 10)
    keys = {"implementation": "sedrepro (strict)", "set": "validation", "model": "student"}
    assert value(again, **keys) == pytest.approx(expected)
    assert value(again, **keys) != value(result, **keys)


def test_clips_without_events_can_be_left_out_of_everything(result, world, plan_of, project):
    """As if the silent clip, the first of each set, had not been scored at all."""
    plan = plan_of(MT)
    parity = with_event_free(plan, "omitted")
    found = evaluate(parity, project, world.layout)
    assert {(e["n_clips"], e["n_expected"]) for e in found["metrics"]} == {
        (CLIPS - 1, EXPECTED - 1)
    }

    def drop(file):
        for name in SETS:
            for where in [file[name], *(file[name][model] for model in MODELS)]:
                for key in [key for key, value in where.items() if isinstance(value, h5py.Dataset)]:
                    values = where[key][1:]
                    del where[key]
                    where[key] = values

    world.change(MT, drop)
    unscored = evaluate(plan, project, world.layout)
    kept = [{**e, "n_expected": None} for e in found["metrics"]]
    assert kept == [{**e, "n_expected": None} for e in unscored["metrics"]]
    assert found["curves"] == unscored["curves"]
    keys = {"metric": "psds1", "implementation": "psds_eval", "set": "validation"}
    assert value(found, model="student", **keys) != value(result, model="student", **keys)


def with_event_free(plan, choice):
    decoding = plan.settings.decoding.model_copy(update={"event_free": choice})
    return replace(plan, settings=plan.settings.model_copy(update={"decoding": decoding}))


def test_clips_without_events_can_count_by_their_duration_alone(world, plan_of, project):
    """As if their network had said nothing: the false alarms are gone, the hours are not."""
    plan, report = plan_of(MT), project.report.model_copy(update={"bootstrap": 0})
    project = project.model_copy(update={"report": report})

    def say(probability):
        def edit(file):
            for name in SETS:
                for model in MODELS:
                    file[name][model]["frame"][0] = probability
                    file[name][model]["clip"][0] = probability

        world.change(MT, edit)

    say(0.95)
    found = {
        choice: evaluate(with_event_free(plan, choice), project, world.layout)
        for choice in ("decoded", "duration", "omitted")
    }
    say(0)
    assert found["duration"] == evaluate(with_event_free(plan, "decoded"), project, world.layout)
    clips = {name: {e["n_clips"] for e in one["metrics"]} for name, one in found.items()}
    assert clips == {"decoded": {CLIPS}, "duration": {CLIPS}, "omitted": {CLIPS - 1}}
    for own in ("psds_eval", "sedrepro"):
        keys = {"set": "validation", "model": "student", "metric": "psds1", "implementation": own}
        decoded, duration, omitted = (value(one, **keys) for one in found.values())
        assert decoded < duration  # without false alarms in the silent clip
        assert omitted < duration  # as many false alarms in fewer hours


def test_a_set_without_any_event_cannot_do_without_its_silent_clips(world, plan_of, project):
    tables.write(
        world.layout.table(Subset("desed", "validation"), "events"),
        world.events["validation"][:0],
        tables.EVENTS,
    )
    plan = plan_of(MT)
    parity = with_event_free(plan, "omitted")
    with pytest.raises(SedreproError, match=r"no clip of set 'validation' has an event"):
        evaluate(parity, project, world.layout)


@pytest.mark.parametrize(("run", "reason"), [(MT, "no data"), (MEDIAN7, f"{MT}: no data")])
def test_a_run_that_could_not_run_says_why(world, plan_of, project, run, reason):
    world.sign(status="not_run", reason="no data")
    result = evaluate(plan_of(run), project, world.layout)
    assert result == {"status": "not_run", "reason": reason, "metrics": [], "curves": {}}


def test_a_damaged_record_of_a_run_is_an_error(world, plan_of, project):
    path = Path(world.layout.run(MT, "run.json"))
    path.write_text(path.read_text()[:-20])
    with pytest.raises(SedreproError, match=r"run\.json: cannot be read .*; delete it and start"):
        evaluate(plan_of(MT), project, world.layout)


def test_scores_that_are_no_numbers_are_an_error(world, plan_of, project):
    def spoil(file):
        file["public_eval/teacher/frame"][3, 4, 5] = np.nan

    world.change(MT, spoil)
    with pytest.raises(
        SedreproError, match=r"lgc_sed/mt/.*frame scores of teacher on 'public_eval'"
    ):
        evaluate(plan_of(MT), project, world.layout)


def test_scores_of_another_class_list_are_an_error(world, plan_of, project):
    def spoil(file):
        file.attrs["classes"] = json.dumps(["x"])

    world.change(MT, spoil)
    with pytest.raises(SedreproError, match="other classes"):
        evaluate(plan_of(MT), project, world.layout)


def test_a_set_that_was_not_scored_is_an_error(world, plan_of, project):
    world.change(MT, lambda file: file.pop("public_eval"))
    with pytest.raises(SedreproError, match="no set 'public_eval'; it has validation"):
        evaluate(plan_of(MT), project, world.layout)


def test_a_set_without_clips_is_left_out(world, plan_of, project):
    world.change(MT, lambda file: file.pop("public_eval"))
    audit = Path(world.layout.table(Subset("desed", "public_eval"), "audit"))
    audit.write_text("subset\texpected\tfound\tnote\torigin\npublic_eval\t17\t0\tgone\tofficial\n")
    metrics = evaluate(plan_of(MT), project, world.layout)["metrics"]
    assert {entry["set"] for entry in metrics} == {"validation"}


def test_events_after_what_is_heard_are_counted_beside_every_score(world, plan_of):
    heard = 3.0

    def shorten(file):
        seconds = file["validation"]["seconds"]
        seconds[...] = np.minimum(seconds[:], heard)

    world.change(MT, shorten)
    measured = Measures({("psds1", "psds_eval", ""): Interval(0.5)})
    told = {}
    for held_out, truth, _ in read(plan_of(MT), world.layout):
        (entry,) = measured.entries(held_out.name, "student", truth)
        told[held_out.name] = entry["n_cut"], entry["n_events"]
    counts = {}
    for name, clips in world.clips.items():
        events = world.events[name]
        events = events[events["clip"].isin(clips)]
        late = events["offset"] > heard + HOP if name == "validation" else events["offset"] < 0
        counts[name] = int(late.sum()), len(events)
    assert told == counts
    assert told["validation"][0] > 0


def test_tags_without_times_give_the_weak_score_only(world, plan_of, project):
    for name in SETS:
        weak = world.events[name].assign(onset=np.nan, offset=np.nan)
        tables.write(world.layout.table(Subset("desed", name), "events"), weak, tables.EVENTS)
    result = evaluate(plan_of(MT), project, world.layout)
    assert {e["metric"] for e in result["metrics"]} == {"weak_f1"}
    assert len(result["metrics"]) == len(SETS) * len(MODELS)


def test_without_bootstrap_there_are_no_intervals(result, world, plan_of, project):
    report = project.report.model_copy(update={"bootstrap": 0})
    bare = evaluate(plan_of(MT), project.model_copy(update={"report": report}), world.layout)
    assert {e["ci_low"] for e in bare["metrics"]} == {None}
    assert [e["value"] for e in bare["metrics"]] == [e["value"] for e in result["metrics"]]


SEEN = []


def counted(scored, truth, settings, report):
    SEEN.append((scored.model, scored.arrays["attention"].shape, len(truth.events)))
    return Measures()


def test_families_are_looked_up_by_name(world, plan_of, project, monkeypatch):
    plan = plan_of(MT)
    held_out = HeldOut("validation", Subset("desed", "validation", "held_out"), (), ("counted",))
    asked = replace(
        plan, settings=SimpleNamespace(held_out=lambda: [held_out], decoding=plan.settings.decoding)
    )
    family = replace(
        declared.METRICS["sed"], measure=f"{__name__}:counted", reads=("frame", "attention")
    )
    monkeypatch.setitem(declared.METRICS, "counted", family)
    folds = {"a": "held_out", "b": "train", "c": "held_out"}
    clips = tables.clip_table(Clip(name, "", 6.4, fold) for name, fold in folds.items())
    tables.write(world.layout.table(held_out.subset, "clips"), clips, tables.CLIPS)
    SEEN.clear()
    assert evaluate(asked, project, world.layout)["metrics"] == []
    assert [(model, (CLIPS, 10), 3 * (CLIPS - 1)) for model in MODELS] == SEEN

    monkeypatch.setitem(declared.METRICS, "counted", replace(family, reads=("melody",)))
    with pytest.raises(
        SedreproError, match="metrics 'counted' of set 'validation' read the melody scores of"
    ):
        evaluate(asked, project, world.layout)


def half(scored, truth, settings, report):
    found = Measures()
    found.add("share", "own", Interval(0.5))
    return found


def test_what_was_drawn_is_part_of_the_key_of_resamples(world, plan_of, project, monkeypatch):
    """The same clips in other units are other draws: they are no pairs."""
    plan = plan_of(MT)
    family = replace(declared.METRICS["sed"], measure=f"{__name__}:half", reads=())
    monkeypatch.setitem(declared.METRICS, "counted", family)
    kept = {}
    # By their names all clips are rows of one video.
    for unit, n in (("clip", CLIPS), ("video", 1)):
        held_out = HeldOut("validation", Subset("desed", "validation"), (), ("counted",), unit=unit)
        asked = replace(
            plan,
            settings=SimpleNamespace(
                held_out=lambda held_out=held_out: [held_out], decoding=plan.settings.decoding
            ),
        )
        kept[unit] = Draws()
        metrics = evaluate(asked, project, world.layout, kept[unit])["metrics"]
        assert {(entry["unit"], entry["n_units"]) for entry in metrics} == {(unit, n)}
        assert kept[unit].units == {"validation": n}
    assert kept["clip"].clips["validation"] != kept["video"].clips["validation"]


def test_the_script_writes_metrics(world, plan_of, project, root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    world.sign(status="not_run", reason="no data")
    task = EvaluateTask.plan(project, plan_of(MT)).describe()
    task["given"]["folders"] = [world.layout.data, world.layout.results]
    snakemake = SimpleNamespace(
        params=SimpleNamespace(task=task),
        output=SimpleNamespace(metrics="out/metrics.json", resamples="out/resamples.npz"),
        log=["out/log"],
    )
    script = root / "workflow" / "scripts" / "evaluate.py"
    runpy.run_path(str(script), init_globals={"snakemake": snakemake})
    assert json.loads(Path("out/metrics.json").read_text())["reason"] == "no data"
    nothing = Resamples("out/resamples.npz")
    assert nothing.draws(("validation", "teacher", "psds1", "psds_eval", "")) is None


def test_what_is_kept_of_two_rows_gives_the_interval_of_their_difference(
    world, plan_of, project, tmp_path
):
    """As if both were resampled together from their counts."""
    stored = []
    for run in (MT, MEDIAN7):
        write(plan_of(run), project, world.layout, tmp_path / "metrics.json", tmp_path / run.row)
        stored.append(Resamples(tmp_path / run.row))
    truth = world.truth("validation")
    counts = []
    for run in (MT, MEDIAN7):
        windows = plan_of(run).settings.decoding.windows(world.classes)
        scores = median_filter(world.frames["validation", "teacher"], windows)
        counts.append(collar_counts(detect(scores, 0.5, hop=HOP, seconds=truth.seconds), truth))
    weights = draws(len(truth.seconds), 20)
    resampled = [[macro_f1(total) for total in one.resampled(weights)] for one in counts]
    value = macro_f1(counts[0].total()) - macro_f1(counts[1].total())
    together = around(value, np.subtract(*resampled), 0.9, CLIPS)
    key = ("validation", "teacher", "event_f1", "sedrepro", "")
    kept = stored[0].draws(key).minus(stored[1].draws(key))
    found = around(together.value, kept.values, 0.9, kept.units)
    assert found == pytest.approx(together, abs=1e-6)
    assert found.low < found.high


def test_evaluation_never_imports_torch():
    code = (
        "import sys, sedrepro.evaluation; print(sorted({'torch', 'matplotlib'} & set(sys.modules)))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
