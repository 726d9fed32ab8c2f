"""`sedrepro doctor`: green where all is well, and each fault one line that says what to do."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yt_dlp
from loopback import Host
from simulated import Time, Tube

from sedrepro import places
from sedrepro.cli import doctor, main
from sedrepro.cli.doctor import Doctor, Line
from sedrepro.files import write_json
from sedrepro.settings import Project
from sedrepro.sources import policies, registry, ytdlp

PAPER = {"title": "", "authors": "", "venue": "", "url": "", "corpora": [], "headline": []}
PAPER |= {"conditions": {"c": {}}, "table": {}}
DEVICE = Doctor.device
CLOSED = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which yt-dlp and deno run, and torch need not be imported."""
    monkeypatch.setattr(doctor, "_said", lambda command: "2.0")
    monkeypatch.setattr(ytdlp, "runtime", lambda _: "deno")
    monkeypatch.setattr(Doctor, "device", lambda _: Line("device", "fine", "a step works"))


@pytest.fixture
def tube(monkeypatch: pytest.MonkeyPatch, clock: Time) -> Tube:
    made = Tube(clock)
    monkeypatch.setattr(yt_dlp, "YoutubeDL", made.downloader())
    return made


@pytest.fixture
def ask(project, host: Host):
    """`ask(**data)`: the lines of a checkup, by what was looked at."""

    def make(address: str = "", conda: bool = False, **data) -> dict[str, Line]:
        host.add("small", b"x")
        host.add("large", b"y" * 5000)
        files = [
            {"name": "large", "urls": [host.url("large")], "place": "large", "bytes": 5000},
            {"name": "small", "urls": [address or host.url("small")], "place": "s", "bytes": 1},
        ]
        clips = {"table": "t.tsv", "folder": "a"}
        resources = {"archive": {"files": files}, "clips": {"clips": clips, "subsets": {"s": 4}}}
        data["fetch"] = {"contact": "me@here", **data.get("fetch", {})}
        made = project(resources, **data)
        settings = Project.model_validate({"papers": {"p": PAPER}, "data": made.data})
        found = Doctor(settings, registry.load("."), conda).lines()
        assert not [line for line in found if "\n" in str(line)]
        return {line.what: line for line in found}

    return make


def wrong(found: dict[str, Line]) -> list[str]:
    return [name for name, line in found.items() if line.state == "wrong"]


def test_all_is_well(ask, host: Host, tube: Tube) -> None:
    found = ask()
    assert {line.state for line in found.values()} == {"fine"}
    served = policies.host_of(host.url(""))
    assert list(found) == [served, "yt-dlp", "YouTube", "contact", "device", "disk", "clock"]
    (request,) = host.pages["small"].requests
    assert "(me@here)" in request["User-Agent"]
    assert host.pages["large"].requests == []
    assert len(tube.asked) == 1
    assert doctor.text(list(found.values())).endswith("ready")


@pytest.mark.parametrize(
    ("word", "remedy"),
    [
        ("bot", "data.fetch.cookies"),
        ("offline", "mend the network"),
        ("closed", "data.fetch.yt_dlp"),
    ],
)
def test_youtube_does_not_give(ask, tube: Tube, word: str, remedy: str) -> None:
    tube.troubles = [(0.0, 1e12, word)]
    found = ask()
    assert wrong(found) == ["YouTube"]
    assert remedy in found["YouTube"].do


def test_a_video_that_is_gone_is_an_answer(ask, tube: Tube) -> None:
    tube.fates = {doctor.SAMPLE: "removed"}
    assert wrong(ask()) == []


def test_what_refused_a_fetch_is_not_asked(ask, tube: Tube, clock: Time) -> None:
    wall = {"begun": clock.now(), "seconds": 3600.0, "why": "limit"}
    write_json(f"data/full/downloads/.hosts/{ytdlp.HOST}.wall.json", wall)
    assert "left alone" in ask()["YouTube"].found
    assert tube.asked == []


def test_a_host_that_is_closed_or_lacks_a_file(ask, host: Host, tube: Tube) -> None:
    found = ask(f"{CLOSED}/small")
    assert wrong(found) == ["127.0.0.1:9"]
    assert "unreachable" in found["127.0.0.1:9"].found
    assert "data.<corpus>.local" in found["127.0.0.1:9"].do
    (gone,) = wrong(lost := ask(host.url("nothing")))
    assert "HTTP 404" in lost[gone].found
    assert "no longer there" in lost[gone].do
    host.add("refused", b"x", ("status", 403))
    (refused,) = wrong(closed := ask(host.url("refused")))
    assert "HTTP 403" in closed[refused].found
    assert "another network" in closed[refused].do


def test_programs_that_are_missing(ask, tube: Tube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    found = ask(conda=True, desed={"synthetic": "mix"})
    assert wrong(found) == ["sox", "conda"]
    assert "apt-get install sox" in found["sox"].do
    monkeypatch.setattr(ytdlp, "runtime", lambda _: None)
    assert "JavaScript" in ask()["yt-dlp"].found
    monkeypatch.setattr(doctor, "_said", lambda _: "")
    assert "data.fetch.yt_dlp" in ask()["yt-dlp"].do
    monkeypatch.setattr(ytdlp, "runtime", lambda _: "deno")
    monkeypatch.setattr(doctor, "_said", lambda _: "2020.01.01")
    assert ask()["yt-dlp"].state == "note"


def test_a_disk_that_is_too_small(ask, tube: Tube, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    found = ask()
    assert wrong(found) == ["disk"]
    assert "data.folder" in found["disk"].do


def test_a_clock_that_is_wrong(project, monkeypatch: pytest.MonkeyPatch) -> None:
    project({"x": {"files": [{"name": "a", "place": "a"}]}})
    made = Doctor(Project(), registry.load("."))
    assert made.clock().state == "note"
    made._note_time(time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() - 7200)))
    assert made.clock().state == "wrong"
    assert "120 min" in made.clock().found


def test_what_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "LIMITS", {"": 0.05})
    checks = {"slow": lambda: time.sleep(5), "quick": lambda: Line("quick", "fine", "here")}
    slow, quick = doctor.run_all(checks)
    assert (slow.state, quick.state) == ("wrong", "fine")
    assert "no answer within 0.05 s" in slow.found
    assert "HTTPS_PROXY" in slow.do
    hung = doctor.run_all({"device": checks["slow"]})
    assert "device: cpu" in hung[0].do


def test_a_step_of_training_is_a_number() -> None:
    torch = pytest.importorskip("torch")
    assert 0 < doctor._step(torch.device("cpu")) < 10


def test_the_command(root: Path, tmp_path: Path, monkeypatch, capsys) -> None:
    """In the miniature nothing is fetched, so no host is asked."""
    (tmp_path / "config").symlink_to(root / "config")
    places.mark(tmp_path, root)
    monkeypatch.chdir(tmp_path)
    command = ["doctor", "--configfile", "config/mini.yaml"]
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ready"
    monkeypatch.setattr(Doctor, "disk", lambda _: Line("disk", "wrong", "full", "make room"))
    assert main(command) == 1
    assert "disk: full; make room" in capsys.readouterr().out


def test_a_check_that_fails_is_a_line_that_says_why() -> None:
    def broken() -> Line:
        raise PermissionError(13, "Permission denied", "data")

    def mistaken() -> Line:
        raise KeyError("nothing\nof the kind")

    line, other = doctor.run_all({"disk": broken, "other": mistaken})
    assert (line.state, line.what) == ("wrong", "disk")
    assert "the check itself failed: [Errno 13] Permission denied: 'data'; mend" in str(line)
    assert "the check itself failed: KeyError: " in str(other)
    assert "\n" not in str(other)
    assert "no answer" not in str(other)


def test_a_folder_that_cannot_be_written_is_named(ask, tube: Tube, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where the data should go")
    found = ask(folder=str(tmp_path / "file" / "data"))
    assert wrong(found) == ["YouTube", "disk"]
    assert f"nothing can be written into {tmp_path / 'file'} (Not a directory)" in str(
        found["disk"]
    )
    assert found["disk"].do == found["YouTube"].do
    assert "data.folder" in found["disk"].do
    assert tube.asked == []


def test_a_device_that_fails_says_what_to_do(monkeypatch: pytest.MonkeyPatch, project) -> None:
    pytest.importorskip("torch")

    def fail(_: object) -> float:
        raise RuntimeError("CUDA error: out of memory\nmore")

    project({"x": {"files": [{"name": "a", "place": "a"}]}})
    made = Doctor(Project(device="cpu"), registry.load("."))
    monkeypatch.setattr(doctor, "_step", fail)
    line = DEVICE(made)
    assert (line.state, line.found) == ("wrong", "CUDA error: out of memory")
    assert "device: cpu" in line.do
    monkeypatch.setattr(doctor, "_step", lambda _: float("nan"))
    assert "device: cpu" in DEVICE(made).do
