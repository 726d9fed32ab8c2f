"""What jobs are given of the settings: nothing else can be read, nothing is lost on the way."""

from __future__ import annotations

import json
import operator
import pickle
from pathlib import Path
from types import SimpleNamespace

import pytest

from sedrepro import papers, settings
from sedrepro.pipeline.flow import Flow
from sedrepro.settings import Layout, Run, tasks
from sedrepro.settings.given import RUNTIME_VARIABLE, pick, restore, runtime
from sedrepro.sources import registry
from sedrepro.sources.fetch import Fetching


@pytest.fixture(scope="module")
def project(root):
    overlay = {"data": {"folder": "/data", "desed": {"classes": ["Cat", "Dog"]}}}
    return settings.load(overlay, papers=papers.settings_models(), root=root)


def through_params(task):
    """The task as a script gets it."""
    plain = json.loads(json.dumps(task.describe()))
    return type(task).of(SimpleNamespace(params=SimpleNamespace(task=plain)))


def test_a_job_reads_what_it_was_given(project):
    given = restore(json.loads(json.dumps(pick(project, "data.desed", "front_ends.mel128"))))
    assert given.data.desed == project.data.desed
    assert given.front_ends == {"mel128": project.front_ends["mel128"]}
    assert Layout.of(given).data == Layout.of(project).data
    given = restore(pick(project, "data.desed", results=True))
    assert Layout.of(given) == Layout.of(project)
    assert pickle.loads(pickle.dumps(given)).data.desed.classes == ["Cat", "Dog"]


@pytest.mark.parametrize("name", ["amp", "seeds", "report.bootstrap", "papers"])
def test_a_job_cannot_read_what_it_was_not_given(project, name):
    given = restore(pick(project, "data.desed"))
    with pytest.raises(AttributeError, match=name.split(".")[-1]):
        operator.attrgetter(name)(given)
    with pytest.raises(AttributeError):
        _ = given.data.maestro
    with pytest.raises(AttributeError):
        _ = restore(pick(project, "data.desed.local")).data.desed.classes


def test_a_job_that_makes_data_cannot_touch_results(project):
    given = restore(pick(project, "data.desed"))
    record = Path(Layout.of(given).run(Run("lgc_sed", "mt", "desed", 42), "run.json"))
    with pytest.raises(NotADirectoryError):
        record.parent.mkdir(parents=True)
    with pytest.raises(NotADirectoryError):
        record.read_text()


def test_another_result_set_is_no_reason_to_make_data_again(root):
    models = papers.settings_models()
    ours, theirs = (
        Flow(settings.load({"name": name}, papers=models, root=root), root)
        for name in ("ours", "theirs")
    )
    resource, subset = SimpleNamespace(resource="desed_weak"), ("desed", "weak")
    shard = SimpleNamespace(subset="synth_train", shard="0")
    store = SimpleNamespace(corpus="desed", subset="weak", front_end="mel128")
    assert ours.fetch_task(resource) == theirs.fetch_task(resource)
    assert ours.adapt_task(*subset) == theirs.adapt_task(*subset)
    assert ours.mix_task(shard) == theirs.mix_task(shard)
    assert ours.store_task(store) == theirs.store_task(store)


def test_a_mixture_is_no_reason_to_describe_real_recordings_again(root):
    models = papers.settings_models()
    desed = [{"synthetic": "mix", "soundscapes": {"seed": seed}} for seed in (1, 2)]
    ours, theirs = (
        Flow(settings.load({"data": {"desed": one}}, papers=models, root=root), root)
        for one in desed
    )
    for name in ("weak", "unlabelled", "strong_real", "validation", "public_eval"):
        assert ours.adapt_task("desed", name) == theirs.adapt_task("desed", name)
    for name in tasks.SYNTHETIC:
        assert ours.adapt_task("desed", name) != theirs.adapt_task("desed", name)


def test_how_a_job_works_travels_in_its_environment(project, monkeypatch):
    changed = project.model_copy(update={"device": "cpu", "device_store_gb": 1.5})
    monkeypatch.setenv(RUNTIME_VARIABLE, runtime(changed))
    given = restore(pick(project, "amp"))
    assert (given.device, given.device_store_gb) == ("cpu", 1.5)
    assert given.data.fetch == project.data.fetch
    assert pick(changed, "amp") == pick(project, "amp")  # no reason to make anything again


def test_every_papers_tables_can_be_printed_from_a_task(project):
    for paper in project.papers:
        task = through_params(tasks.ReportTask.plan(project, [paper]))
        assert task.project.papers[paper] == project.papers[paper]
        for run in settings.runs(project, paper):
            model = papers.settings_models()[paper]
            planned = settings.plan(task.project, run, model)
            assert planned.describe() == settings.plan(project, run, model).describe()


def test_every_resource_can_be_fetched_from_a_task(project, root):
    flow, known = Flow(project, root), registry.load(root)
    for name in known.resources:
        plain = flow.fetch_task(SimpleNamespace(resource=name))
        task = tasks.FetchTask.model_validate(json.loads(json.dumps(plain)))
        assert registry.local(task.project.data, known[name].corpus) is None
        assert Fetching(name, known, task.project).settings == project.data.fetch


def test_what_was_still_arriving_is_fetched_on_when_it_no_longer_may(root):
    given = []
    for allowed in (True, False):
        overlay = {"data": {"allow_partial": allowed}}
        flow = Flow(settings.load(overlay, papers=papers.settings_models(), root=root), root)
        given.append(flow.fetch_task(SimpleNamespace(resource="desed_weak")))
    partial, whole = (tasks.FetchTask.model_validate(plain).project for plain in given)
    assert partial.data.allow_partial
    assert not whole.data.allow_partial
    assert given[0] != given[1]  # so Snakemake runs the fetch again


def test_a_decoding_is_in_no_training(root):
    plain = {"lgc_sed": {"settings": {"decoding": {"median": 9, "threshold": 0.4}}}}
    found = []
    for overlay in ({}, {"papers": plain}):
        project = settings.load(overlay, papers=papers.settings_models(), root=root)
        run = Run("lgc_sed", "lgc", "desed", 42)
        plan = settings.plan(project, run, papers.settings_models()["lgc_sed"])
        train = tasks.TrainTask.plan(project, plan).describe()
        found.append((train, tasks.EvaluateTask.plan(project, plan).describe()))
    (train, evaluate), (train_changed, evaluate_changed) = found
    assert train == train_changed
    assert evaluate != evaluate_changed


def test_a_version_that_draws_other_masks_asks_for_every_training_again(project, monkeypatch):
    plan = settings.plan(
        project, Run("lgc_sed", "lgc", "desed", 42), papers.settings_models()["lgc_sed"]
    )
    now = tasks.TrainTask.plan(project, plan).describe()
    monkeypatch.setattr(tasks, "DROPOUT", "another")
    assert tasks.TrainTask.plan(project, plan).describe() == {**now, "dropout": "another"}


def test_what_mixtures_are_made_of_is_an_input_of_what_resamples_them(project, root):
    flow = Flow(project, root)
    wildcards = SimpleNamespace(paper="weak_mtl", row="2apae", variant="snr20.fold4", seed="42")
    assert flow.recipe("snr20") in flow.evaluate_inputs(wildcards)
