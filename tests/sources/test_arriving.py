"""`sedrepro status` and `sedrepro fetch` while clips are arriving."""

from __future__ import annotations

import contextlib
import importlib
import json
import time
from pathlib import Path

import pytest
from loopback import Host

from sedrepro import places, progress
from sedrepro.cli import status
from sedrepro.cli.status import Status, Step
from sedrepro.files import read_json, write_json
from sedrepro.pipeline.jobs import Job
from sedrepro.progress import current, reporting
from sedrepro.sources.arrival import line

main = importlib.import_module("sedrepro.cli.commands")

FOUND = {
    "clips": 14412,
    "there": 900,
    "gone": 30,
    "refused": 0,
    "left": 13482,
    "sharing": 1,
    "per_hour": 291,
    "seconds_left": 161784,
    "time": 1_700_000_000.0,
    "wall": 0.0,
}


def test_a_line_says_how_far_and_how_long() -> None:
    assert line(FOUND) == (
        "900 of 14,412 clips there, 30 gone, 13,482 to come at 291 an hour: about 44.9 h at "
        "YouTube's limit"
    )
    walled = line({**FOUND, "wall": 1800.0, "refused": 2, "sharing": 3})
    assert walled.startswith("900 of 14,412 clips there, 30 gone, 2 refused, 13,482 to come")
    assert "at YouTube's limit, which 3 jobs share; left alone until " in walled
    assert line({**FOUND, "there": 14382, "left": 0}) == ("14,382 of 14,412 clips there, 30 gone")


def test_status_tells_of_what_is_arriving(tmp_path, monkeypatch) -> None:
    """While a fetch runs, and after it was stopped."""
    monkeypatch.chdir(tmp_path)
    log = "data/full/logs/fetch/thing.log"
    job = Job("fetch", "thing", log, "data/full/status/thing.json")
    with contextlib.suppress(KeyboardInterrupt), reporting(log, "fetch thing"):
        current()(0.0645, line(FOUND), left=161784, force=True)
        running = status.step_of(job)
        raise KeyboardInterrupt
    assert (running.word, running.left) == ("running", pytest.approx(161784, abs=60))
    assert running.detail.startswith("6%, 900 of 14,412 clips there")
    stopped = status.step_of(job)
    assert (stopped.word, stopped.log) == ("waiting", log)
    assert stopped.detail.startswith("stopped at 900 of 14,412 clips there")


@pytest.fixture
def checkout(root: Path, tmp_path: Path, monkeypatch) -> Path:
    """An empty checkout, with the real settings, as the working directory."""
    (tmp_path / "config").symlink_to(root / "config")
    places.mark(tmp_path, root)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_command_tells_of_a_stopped_fetch_its_wall_and_a_true_time(checkout, capsys) -> None:
    log = "data/full/logs/fetch/desed_weak.log"
    with contextlib.suppress(KeyboardInterrupt), reporting(log, "fetch desed_weak"):
        current()(0.0645, line(FOUND), left=161784, force=True)
        raise KeyboardInterrupt
    wall = {"name": "YouTube", "begun": time.time(), "seconds": 3600.0, "why": "limit"}
    write_json("data/full/downloads/.hosts/www.youtube.com.wall.json", wall)
    assert main.run(["status", "--config", "run=[lgc_sed]"]) == 0
    told = capsys.readouterr().out
    assert "fetch desed_weak  waiting: stopped at 900 of 14,412 clips there, 30 gone" in told
    assert "YouTube refused and is left alone until " in told
    assert "clips from YouTube: about 2.4 days to come at its limit, which all sets share" in told
    assert main.run(["status", "--json", "--config", "run=[lgc_sed]"]) == 0
    found = json.loads(capsys.readouterr().out)
    clips = 1578 + 14_412 + 1168
    assert found["seconds_of_clips_left"] == pytest.approx(clips * 12 + 3600, abs=60)
    assert list(found["left_alone_until"]) == ["YouTube"]
    left = {job["name"]: job["left"] for job in found["jobs"] if job["stage"] == "fetch"}
    assert left["desed_weak"] == 161784
    # Those that have not begun take what YouTube's limit makes of them, no guess from archives.
    assert left["desed_unlabelled"] == pytest.approx(14_412 * 12)
    assert left["desed_synth"] is None


def test_several_jobs_do_not_make_youtube_faster() -> None:
    steps = [Step("fetch", name, "running", left=9000.0) for name in "ab"]
    assert Status([], steps, {}, 16_000.0).left == 16_000.0


def test_what_has_begun_alone_and_ends_last_tells_the_time_left() -> None:
    steps = [Step("fetch", "a", "running", left=9000.0), Step("fetch", "b", "running", left=60.0)]
    assert Status([], steps).left == 9000.0


def test_one_resource_by_hand(host: Host, project, monkeypatch, capsys) -> None:
    file = {"name": "a", "urls": [host.add("a", b"abc")], "place": "a"}
    settings = project({"thing": {"files": [file]}})
    monkeypatch.setattr(main, "_project", lambda _: settings)
    assert main.run(["fetch", "thing"]) == 0
    assert capsys.readouterr().out == "thing: ok\n"
    assert read_json("data/full/status/thing.json")["files"] == 1
    assert progress.read("data/full/logs/fetch/thing.log")["ended"]
    assert main.run(["fetch", "nothing"]) == 1
    assert "'nothing' is no resource" in capsys.readouterr().err


def test_what_a_resource_comes_after_is_fetched_first(
    host: Host, project, monkeypatch, capsys
) -> None:
    table = {"name": "t", "urls": [host.add("t", b"filename\n")], "place": "t.tsv"}
    clips = {"table": "t.tsv", "folder": "audio"}
    resources = {"tables": {"files": [table]}, "thing": {"clips": clips, "after": ["tables"]}}
    settings = project(resources)
    monkeypatch.setattr(main, "_project", lambda _: settings)
    assert main.run(["fetch", "thing"]) == 0
    assert capsys.readouterr().out.startswith("tables: ok\n")
    assert read_json("data/full/status/tables.json")["status"] == "ok"


def test_what_is_still_arriving_by_hand_is_no_status(host: Host, project, monkeypatch) -> None:
    """Whoever allowed it by hand did not say so of the workflow, which would take it for done."""
    file = {"name": "a", "urls": [host.add("a", b"abc", *[("status", 503)] * 3)], "place": "a"}
    settings = project({"thing": {"files": [file]}}, allow_partial=True)
    monkeypatch.setattr(main, "_project", lambda _: settings)
    assert main.run(["fetch", "thing"]) == 0
    assert not Path("data/full/status/thing.json").exists()
    assert main.run(["fetch", "thing"]) == 0
    assert read_json("data/full/status/thing.json")["status"] == "ok"
