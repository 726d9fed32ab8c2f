"""`sedrepro status` and `sedrepro fetch` while clips are arriving."""

from __future__ import annotations

import importlib
from pathlib import Path

from loopback import Host

from sedrepro.files import read_json, write_json
from sedrepro.sources import progress

main = importlib.import_module("sedrepro.cli.commands")

FOUND = {
    "clips": 14412,
    "there": 900,
    "gone": 30,
    "left": 13482,
    "per_hour": 291.4,
    "seconds_left": 161784,
    "time": 1_700_000_000.0,
    "wall": 0.0,
}


def test_a_line_says_how_far_and_how_long() -> None:
    assert progress.line(FOUND) == (
        "900 of 14,412 clips there, 30 gone, 13,482 to come at 291 an hour: about 44.9 h at "
        "YouTube's limit"
    )
    assert "left alone until" in progress.line({**FOUND, "wall": 1800.0})
    assert progress.line({**FOUND, "there": 14382, "left": 0}) == (
        "14,382 of 14,412 clips there, 30 gone"
    )


def test_status_tells_of_what_is_arriving(project) -> None:
    settings = project({"thing": {"files": [{"name": "a"}]}})
    write_json("data/full/downloads/thing/progress.json", FOUND)
    write_json("data/full/downloads/other/progress.json", {**FOUND, "left": 0})
    Path("data/full/downloads/torn").mkdir()
    Path("data/full/downloads/torn/progress.json").write_text("{")
    (line,) = progress.arriving(settings)
    assert line.startswith("fetch thing  arriving: 900 of 14,412")


def test_one_resource_by_hand(host: Host, project, monkeypatch, capsys) -> None:
    file = {"name": "a", "urls": [host.add("a", b"abc")], "place": "a"}
    settings = project({"thing": {"files": [file]}})
    monkeypatch.setattr(main, "_project", lambda _: settings)
    assert main.run(["fetch", "thing"]) == 0
    assert capsys.readouterr().out == "thing: ok\n"
    assert read_json("data/full/status/thing.json")["files"] == 1
    assert main.run(["fetch", "nothing"]) == 1
    assert "'nothing' is no resource" in capsys.readouterr().err


def test_ctrl_c_is_one_line(project, monkeypatch, capsys) -> None:
    def stop(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(main, "_project", stop)
    assert main.run(["fetch", "thing"]) == 130
    assert capsys.readouterr().err == "stopped; what was done is kept\n"
