"""Somebody else's system: how its scores are decoded, and what is recorded of it."""

from __future__ import annotations

import fcntl
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from world import CLIPS, EXPECTED, MT, World, layout_in

from sedrepro import chain, papers, settings, tables
from sedrepro.errors import SedreproError
from sedrepro.evaluation import external, sed
from sedrepro.evaluation.external import External, of_checkpoint, of_scores, record_external
from sedrepro.evaluation.measures import Measures, Scored, Truth
from sedrepro.evaluation.released import Known
from sedrepro.files import digest, file_digest, read_json
from sedrepro.metrics.bootstrap import Interval, Resampled
from sedrepro.metrics.resamples import Resamples
from sedrepro.settings import HeldOut, Subset, declared
from sedrepro.settings.project import Report

VALIDATION = HeldOut("validation", Subset("desed", "validation"), (), ("sed",))


@pytest.fixture(scope="module")
def plan(root):
    decoding = {"event_free": "decoded", "operating_points": 2}
    overlay = {"papers": {"lgc_sed": {"settings": {"decoding": decoding}}}}
    project = settings.load(overlay, papers=papers.settings_models(), root=root)
    return settings.plan(project, MT, papers.settings_models()["lgc_sed"])


def system(plan, files=None, **more) -> External:
    return External("theirs", plan, VALIDATION, files or {}, **more)


@pytest.mark.parametrize("name", ["theirs", "A.b-c_1", "7"])
def test_names_make_folders(plan, name):
    found = External(name, plan, VALIDATION, {}).folder(SimpleNamespace(results="there"))
    assert str(found) == f"there/runs/external/lgc_sed/{name}/validation"


@pytest.mark.parametrize("name", ["", "a b", "-a", ".a", "a/b"])
def test_names_that_make_none_are_refused(plan, name):
    with pytest.raises(SedreproError, match="a name has letters, digits, `_`"):
        External(name, plan, VALIDATION, {})


def test_scores_are_decoded_as_they_are_unless_they_are_to_be_smoothed(plan):
    own = plan.settings.decoding.model_copy(update={"scores": "local"})
    plan = replace(plan, settings=plan.settings.model_copy(update={"decoding": own}))
    assert system(plan).decoding == own.model_copy(update={"scores": "frame", "median": 1})
    assert system(plan, smooth=True).decoding == own.model_copy(update={"scores": "frame"})
    assert system(plan, network={"model": "student"}).decoding == own


CLASSES = ["Cat", "Dog"]
REPORT = Report(bootstrap=0)


def known() -> Known:
    rows = [("a", "Cat", 0.4, 1.2, 1.0), ("b", "Dog", 0.5, 1.5, 1.0)]
    events = pd.DataFrame(rows, columns=tables.EVENTS)
    return Known(Truth(["a", "b"], np.full(2, 2.0), CLASSES, events, 2), "durations.tsv")


def laid(folder: Path, hop: float = 0.1) -> np.ndarray:
    """Frames of two clips, one table each."""
    rng = np.random.default_rng(2)
    frames = rng.random((2, 20, 2)).round(3) * 0.55
    frames[0, 4:12, 0] = frames[1, 5:15, 1] = 0.95
    for clip, values in zip("ab", frames, strict=True):
        table = pd.DataFrame(values, columns=CLASSES)
        table.insert(0, "onset", np.arange(20) * hop)
        table.insert(1, "offset", np.arange(1, 21) * hop)
        table.to_csv(folder / f"{clip}.tsv", sep="\t", index=False)
    return frames


def on_frames_of(plan, seconds: float):
    return SimpleNamespace(settings=plan.settings, grid=SimpleNamespace(seconds=seconds))


@pytest.mark.parametrize("smooth", [False, True])
def test_scores_are_measured_as_they_are_decoded(plan, tmp_path, smooth):
    frames = laid(tmp_path)
    theirs = system(on_frames_of(plan, 0.1), {"scores": tmp_path}, smooth=smooth)
    found = of_scores(theirs, known(), REPORT)
    decoding = plan.settings.decoding.model_copy(update={} if smooth else {"median": 1})
    scored = Scored("validation", "external", 0.1, {"frame": frames.astype(np.float32)})
    settings = SimpleNamespace(decoding=decoding)
    assert found.values == sed.measure(scored, known().truth, settings, REPORT).values
    assert found.values["segment_f1", "sed_eval", ""].value > 0


@pytest.mark.parametrize(("hop", "may_be"), [(0.10009, True), (0.10011, False), (0.0998, False)])
def test_frames_of_another_length_cannot_be_smoothed(plan, tmp_path, hop, may_be):
    laid(tmp_path)
    theirs = system(on_frames_of(plan, hop), {"scores": tmp_path}, smooth=True)
    if may_be:
        of_scores(theirs, known(), REPORT)
    else:
        with pytest.raises(SedreproError, match=r"frames of 0\.1 s cannot be smoothed by median"):
            of_scores(theirs, known(), REPORT)
    of_scores(replace(theirs, smooth=False), known(), REPORT)


def clips(scored, truth, settings, report) -> Measures:
    """A family of its own: the clips and the model's scores of them."""
    found = Measures()
    found.add("clips", scored.model, Interval(float(scored.arrays["frame"].mean())))
    return found


def test_a_checkpoint_is_measured_on_the_scores_in_its_folder(plan, tmp_path, monkeypatch):
    family = replace(declared.METRICS["sed"], measure=f"{__name__}:clips", reads=("frame",))
    monkeypatch.setitem(declared.METRICS, "sed", family)
    world = World(layout_in(tmp_path), list(plan.classes))
    theirs = system(plan, network={"model": "teacher"})
    path = theirs.folder(world.layout) / "scores.h5"
    path.parent.mkdir(parents=True)
    with h5py.File(world.layout.run(MT, "scores.h5")) as made, h5py.File(path, "w") as file:
        file.attrs.update(made.attrs)
        file.attrs["models"] = json.dumps(["teacher"])
        made.copy("validation", file)
    with open(path, "rb") as busy:
        fcntl.flock(busy, fcntl.LOCK_EX)  # others may read them meanwhile
        given, found = of_checkpoint(theirs, world.layout, REPORT)
    assert (len(given.truth.clips), given.truth.n_expected) == (CLIPS, EXPECTED)
    assert given.source == world.layout.table(VALIDATION.subset, "clips")
    mean = float(world.frames["validation", "teacher"].mean())
    assert found.values["clips", "teacher", ""].value == pytest.approx(mean, rel=1e-5)


def recorded(plan, folder: Path, report=REPORT, **more):
    """What is written of a system with one value."""
    files = {"scores": folder / "given.tsv"}
    files["scores"].write_text("scores")
    theirs = system(plan, files, **more)
    layout = layout_in(folder)
    found = Measures()
    found.add("psds1", "ours", Resampled.of(Interval(0.5, 0.4, 0.6), np.array([0.4, 0.6])))
    found.curves["psds1"] = {"efpr": [0.0], "etpr": [0.5]}
    if theirs.network:
        path = theirs.folder(layout) / "scores.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("scores of a network")
    made = record_external(theirs, known(), found, report, layout)
    assert made == theirs.folder(layout)
    return theirs, made, read_json(made / "run.json"), read_json(made / "metrics.json")


def test_what_is_recorded_is_a_run_with_its_numbers(plan, tmp_path):
    theirs, folder, run, metrics = recorded(plan, tmp_path)
    given = {"scores": file_digest(tmp_path / "given.tsv")}
    decoding = theirs.decoding.model_dump(mode="json")
    told = {"paper": "lgc_sed", "set": "validation", "classes": CLASSES, "decoding": decoding}
    about = {"status": "done", "reason": "", "row": "external", "name": "theirs", "content": {}}
    assert run == {
        **chain.link("run", told, {"files": given}),
        **about,
        **told,
        "model": "external",
        "paths": {"scores": str(tmp_path / "given.tsv")},
    }
    truth = known().truth
    csv = truth.events.to_csv(index=False)
    of_clips = digest([truth.clips, truth.seconds.tolist(), csv])
    measured = {**told, "bootstrap": 0, "confidence": REPORT.confidence}
    parents = {"run": {"key": run["key"]}, "truth": of_clips}
    link = chain.link("metrics", measured, parents)
    assert {name: metrics[name] for name in link} == link
    found = {name: metrics[name] for name in ("status", "reason", "metrics", "curves")}
    assert metrics["content"] == digest(found)
    assert found["curves"] == {"validation": {"external": {"psds1": {"efpr": [0], "etpr": [0.5]}}}}
    (entry,) = found["metrics"]
    assert (entry["set"], entry["model"], entry["value"]) == ("validation", "external", 0.5)
    kept = Resamples(folder / "resamples.npz")
    drawn = kept.draws(("validation", "external", "psds1", "ours", ""))
    assert drawn.values == pytest.approx([0.4, 0.6])
    assert (kept.key, drawn.units) == (metrics["key"], 2)
    assert drawn.clips == digest([truth.clips, truth.units])


def test_of_a_checkpoint_its_network_and_scores_are_recorded_too(plan, tmp_path):
    network = {"model": "teacher", "stores": {}}
    _, folder, run, _ = recorded(plan, tmp_path, network=network)
    assert run["network"] == network
    assert run["content"] == {"scores.h5": file_digest(folder / "scores.h5")}
    assert run["decoding"] == plan.settings.decoding.model_dump(mode="json")
    assert run["key"] != recorded(plan, tmp_path)[2]["key"]


def test_numbers_of_another_confidence_have_another_key(plan, tmp_path):
    one = recorded(plan, tmp_path)[3]["key"]
    for other in (Report(bootstrap=0, confidence=0.5), Report(bootstrap=5)):
        assert recorded(plan, tmp_path, other)[3]["key"] != one
    drawn = Report(bootstrap=0, examples=1)
    assert recorded(plan, tmp_path, drawn)[3]["key"] == one


def test_what_a_network_read_is_told(plan):
    told = external.of_network(plan, "student", {"mel128": "a key"})
    training = plan.describe_training()
    assert told.pop("stores") == {"mel128": "a key"}
    assert told.pop("model") == "student"
    assert told == {name: training[name] for name in ("row", "settings", "front_ends", "method")}
