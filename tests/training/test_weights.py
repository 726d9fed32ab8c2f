"""Runs that need weights nobody has: they say so, and the audit names the rows."""

from __future__ import annotations

import toys

from sedrepro import tables
from sedrepro.files import read_json, write_json
from sedrepro.papers import settings_models
from sedrepro.pipeline.audit import audit
from sedrepro.settings import HeldOut, Layout, Project, load
from sedrepro.sources import weights
from sedrepro.training.run import run_link, train

REASON = "there is no address a program may use today"


def absent(layout: Layout, resource: str = "beats") -> None:
    status = {"resource": resource, "status": "unavailable", "reason": REASON, "files": 0}
    write_json(layout.status(resource), {**status, "bytes": 0})


def test_a_run_without_its_weights_is_not_run(tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    monkeypatch.setattr(toys.SpectraSettings, "weights", lambda self: ["beats"])
    project = Project.model_validate({"scale": "mini", "data": {"folder": str(tmp_path)}})
    layout = Layout(project.data_folder, str(tmp_path / "results"))
    toys.fabricate(layout)
    absent(layout)
    plan = toys.plan("spectra")
    train(plan, project, layout)
    described = read_json(layout.run(plan.run, "run.json"))
    assert described["status"] == "not_run"
    assert described["reason"] == f"weights beats: {REASON}"


def test_the_weights_are_in_the_key(tmp_path, root, monkeypatch):
    layout = Layout(str(tmp_path), str(tmp_path / "results"))
    toys.fabricate(layout)
    plan = toys.plan("spectra")
    file = tmp_path / "weights.pt"
    file.write_bytes(b"one")
    keys = [run_link(plan, {}, layout)["key"], run_link(plan, {}, layout, {"beats": file})["key"]]
    file.write_bytes(b"two")
    keys.append(run_link(plan, {}, layout, {"beats": file})["key"])
    assert len(set(keys)) == 3


def test_compiled_runs_have_keys_of_their_own(tmp_path):
    layout = Layout(str(tmp_path), str(tmp_path / "results"))
    toys.fabricate(layout)
    plan = toys.plan("spectra")
    links = [run_link(plan, {}, layout, compiled=how) for how in (False, True, "graphs")]
    assert len({link["key"] for link in links}) == 3
    assert links[0]["key"] == run_link(plan, {}, layout)["key"]
    assert [link["numerics"].get("compile") for link in links] == [None, True, "graphs"]


def test_where_a_subset_is_cut_is_in_the_key(tmp_path, monkeypatch):
    """A setting of the data alone: no store and no event changes with it."""
    layout = Layout(str(tmp_path), str(tmp_path / "results"))
    toys.fabricate(layout)
    weak = toys.desed("weak", "held_out")
    monkeypatch.setattr(
        toys.SpectraSettings, "held_out", lambda self: [HeldOut("weak", weak, ("mel",))]
    )
    plan, path = toys.plan("spectra"), layout.table(weak, "clips")
    table, keys = tables.read_clip_table(path), set()
    for count in (2, 3):
        table["fold"] = ["held_out"] * count + ["train"] * (len(table) - count)
        tables.write(path, table, tables.CLIPS)
        keys.add(run_link(plan, {}, layout)["key"])
    table["path"] = "elsewhere.wav"
    tables.write(path, table, tables.CLIPS)
    keys.add(run_link(plan, {}, layout)["key"])
    assert len(keys) == 2


def test_the_audit_names_weights_that_should_lie_in_a_folder_of_ones_own(tmp_path, root):
    overlay = {
        "run": ["mtda_hsed"],
        "data": {"folder": str(tmp_path), "weights": {"local": str(tmp_path / "own")}},
    }
    project = load(overlay, papers=settings_models(), root=root)
    verdicts = {v.row: v for v in audit(project, settings_models()).verdicts}
    assert verdicts["baseline"].state == "not at all"
    assert "BEATs_iter3_plus_AS2M.pt does not exist" in verdicts["baseline"].why


def test_the_audit_says_which_rows_cannot_run(tmp_path, root, monkeypatch):
    monkeypatch.chdir(root)
    overlay = {"run": ["mtda_hsed"], "data": {"folder": str(tmp_path)}}
    project = load(overlay, papers=settings_models(), root=root)
    absent(Layout.of(project))
    verdicts = {v.row: v for v in audit(project, settings_models()).verdicts}
    for row in ("baseline", "m3a", "mtda_hsed"):
        assert verdicts[row].state == "not at all"
        assert verdicts[row].why == f"weights beats: {REASON}"
    assert verdicts["atst_sed"].state == "not known yet"
    assert weights.path("beats", project).name == "BEATs_iter3_plus_AS2M.pt"
