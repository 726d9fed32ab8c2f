"""Every fault a download can meet; none may leave a file under its final name that is not whole."""

from __future__ import annotations

import errno
import io
import json
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from loopback import Host, md5, noise, tarred, zipped

from sedrepro import miniature
from sedrepro.cli import fetch
from sedrepro.errors import SedreproError
from sedrepro.settings import Layout
from sedrepro.settings.data import Fetch
from sedrepro.sources import gate, http, registry
from sedrepro.sources.fetch import obtain
from sedrepro.sources.policies import HOUR
from sedrepro.sources.session import Session

BODY = noise(3_000_000)
DOWNLOADS = Path("data/full/downloads/thing")
FINAL = DOWNLOADS / "file.bin"
PLACED = Path("data/full/raw/ave/file.bin")
LOCK = Path("data/full/datasets.lock.json")


def one(url: str | list[str], **file) -> dict:
    urls = [url] if isinstance(url, str) else url
    return {"thing": {"files": [{"name": "file.bin", "urls": urls, "place": "file.bin", **file}]}}


def pinned(url: str | list[str], body: bytes = BODY) -> dict:
    return one(url, bytes=len(body), md5=md5(body))


def assert_whole(status: dict, body: bytes = BODY) -> None:
    assert status == {
        "resource": "thing",
        "status": "ok",
        "reason": "",
        "files": 1,
        "bytes": len(body),
    }
    assert FINAL.read_bytes() == PLACED.read_bytes() == body
    assert not list(DOWNLOADS.glob("*.part"))


def assert_nothing_final() -> None:
    assert not FINAL.exists()
    assert not PLACED.exists()


def test_a_file_is_fetched_once(host: Host, project) -> None:
    settings = project(pinned(host.add("a", BODY)))
    assert_whole(obtain("thing", settings))
    assert_whole(obtain("thing", settings))
    assert len(host.pages["a"].requests) == 1


def test_a_truncated_transfer_is_taken_up_where_it_broke(host: Host, project) -> None:
    url = host.add("a", BODY, ("truncate", 1_000_000), ("truncate", 700_000))
    assert_whole(obtain("thing", project(pinned(url))))
    ranges = [request.get("Range") for request in host.pages["a"].requests]
    assert ranges == [None, "bytes=1000000-", "bytes=1700000-"]


def test_progress_does_not_use_up_the_attempts(host: Host, project) -> None:
    url = host.add("a", BODY, *[("truncate", 200_000)] * 8)
    assert_whole(obtain("thing", project(pinned(url))))


def test_a_server_without_ranges_starts_over(host: Host, project) -> None:
    url = host.add("a", BODY, ("truncate", 1_000_000), ranges=False)
    assert_whole(obtain("thing", project(pinned(url))))
    assert len(host.pages["a"].requests) == 2


def test_a_file_changed_between_two_attempts_is_not_patched_together(host: Host, project) -> None:
    url = host.add("a", BODY, ("truncate", 1_000_000), ("status", 503))
    settings = project(one(url), fetch={"attempts": 1})
    with pytest.raises(SedreproError):
        obtain("thing", settings)
    newer = noise(2_000_000, seed=1)
    host.pages["a"].content = newer
    host.pages["a"].etag = '"v2"'
    host.pages["a"].faults.clear()
    assert_whole(obtain("thing", settings), newer)


def test_without_checksum_or_validator_a_part_is_not_trusted(host: Host, project) -> None:
    url = host.add("a", BODY, ("truncate", 1_000_000), etag=None)
    assert_whole(obtain("thing", project(one(url))))
    assert all("Range" not in request for request in host.pages["a"].requests)


@pytest.mark.parametrize("known", [{"md5": "0" * 32}, {"sha256": "0" * 64}])
def test_a_wrong_checksum_is_refused(host: Host, project, known: dict) -> None:
    status = obtain("thing", project(one(host.add("a", BODY), **known)))
    assert status["status"] == "unavailable"
    assert next(iter(known)) in status["reason"]
    assert str(FINAL) in status["reason"]
    assert_nothing_final()
    assert not list(DOWNLOADS.glob("*.part"))


def test_a_wrong_size_is_refused_before_the_download(host: Host, project) -> None:
    status = obtain("thing", project(one(host.add("a", BODY), bytes=17)))
    assert status["status"] == "unavailable"
    assert "3000000 bytes instead of 17" in status["reason"]
    assert_nothing_final()


def test_a_spoilt_part_is_discarded_and_fetched_from_scratch(host: Host, project) -> None:
    settings = project(pinned(host.add("a", BODY)))
    DOWNLOADS.mkdir(parents=True)
    (DOWNLOADS / "file.bin.part").write_bytes(b"x" * 1_000_000)
    assert_whole(obtain("thing", settings))


def test_the_next_mirror_is_tried(host: Host, project) -> None:
    urls = [host.url("nowhere"), host.add("wrong", BODY[:-1]), host.add("b", BODY)]
    assert_whole(obtain("thing", project(pinned(urls))))


def test_a_part_begun_at_one_mirror_is_finished_at_another(host: Host, project) -> None:
    broken = host.add("a", BODY, ("truncate", 1_000_000), *[("status", 500)] * 3)
    assert_whole(obtain("thing", project(pinned([broken, host.add("b", BODY)]))))
    assert host.pages["b"].requests[0]["Range"] == "bytes=1000000-"


def test_gone_from_every_mirror_is_a_status(host: Host, project) -> None:
    status = obtain("thing", project(pinned([host.url("x"), host.url("y")])))
    assert status["status"] == "unavailable"
    assert status["reason"].count("HTTP 404") == 2


@pytest.mark.parametrize("code", [500, 503])
def test_a_busy_server_is_asked_again(host: Host, project, code: int) -> None:
    url = host.add("a", BODY, ("status", code), ("status", code))
    assert_whole(obtain("thing", project(pinned(url))))


def test_the_pause_grows_and_heeds_the_server(host: Host, tmp_path: Path) -> None:
    url = host.add("a", b"x", *[("status", 503)] * 3, ("status", 503, {"Retry-After": "40"}))
    pauses: list[float] = []
    clock = gate.Clock()
    clock.sleep = pauses.append
    session = Session(Fetch(wait=2.0), tmp_path, clock)
    part = tmp_path / "x.part"
    http.download([url], part, session, size=1, pinned=False, verify=lambda _: None)
    assert part.read_bytes() == b"x"
    for pause, (low, high) in zip(pauses, [(1, 2), (2, 4), (4, 8), (40, 40)], strict=True):
        assert low <= pause <= high


def test_an_ever_busy_server_fails_the_job(host: Host, project) -> None:
    url = host.add("a", BODY, *[("status", 503)] * 99)
    with pytest.raises(SedreproError, match="HTTP 503"):
        obtain("thing", project(pinned(url)))
    assert len(host.pages["a"].requests) == 3
    assert_nothing_final()


def test_redirects_are_followed(host: Host, project) -> None:
    host.add("b", BODY)
    assert_whole(obtain("thing", project(pinned(host.add("a", b"", ("redirect", "b"))))))


def test_a_stalled_server_is_left_and_asked_for_the_rest(host: Host, project) -> None:
    url = host.add("a", BODY, ("stall", 1_000_000))
    assert_whole(obtain("thing", project(pinned(url), fetch={"timeout": 0.3})))
    assert host.pages["a"].requests[1]["Range"] == "bytes=1000000-"


def test_a_transfer_cut_off_without_a_known_length_is_noticed(host: Host, project) -> None:
    url = host.add("a", BODY, ("chunked", 1_000_000), ("chunked", 500_000))
    assert_whole(obtain("thing", project(one(url))))


def test_an_error_page_is_not_data(host: Host, project) -> None:
    with pytest.raises(SedreproError, match="web page"):
        obtain("thing", project(one(host.add("a", b"<!DOCTYPE html><p>Sorry</p>"))))
    assert_nothing_final()


@pytest.mark.parametrize("known", [{}, {"md5": md5(BODY)}, {"md5": md5(BODY), "bytes": len(BODY)}])
def test_a_host_that_sends_a_page_for_a_while_has_the_file_later(
    host: Host, project, known: dict
) -> None:
    url = host.add("a", BODY, *[("page",)] * 5)
    assert_whole(obtain("thing", project(one(url, **known), fetch={"hold_out": 72.0})))


@pytest.mark.parametrize("known", [{"md5": md5(BODY)}, {"bytes": len(BODY)}])
def test_what_is_wrong_is_looked_at_once_more_an_hour_later(
    host: Host, project, clock, known: dict
) -> None:
    url = host.add("a", BODY, ("other", b"another file"))
    begun = clock.now()
    assert_whole(obtain("thing", project(one(url, **known), fetch={"hold_out": 72.0})))
    assert HOUR <= clock.now() - begun < 1.1 * HOUR


def test_an_archive_cut_off_without_a_known_length_is_fetched_anew(host: Host, project) -> None:
    body = zipped({"audio/1.wav": noise(50_000)})
    file = {"name": "a.zip", "urls": [host.add("a", body, ("closed", 20_000))], "unpack": "."}
    status = obtain("thing", project({"thing": {"files": [file]}}, fetch={"hold_out": 72.0}))
    assert (status["status"], status["files"]) == ("ok", 1)


def test_without_network_each_file_gets_a_line_of_help(project) -> None:
    files = [
        {"name": "a.bin", "urls": ["http://127.0.0.1:9/a.bin"], "md5": "1" * 32},
        {"name": "b.bin", "urls": ["http://127.0.0.1:9/b.bin"]},
    ]
    with pytest.raises(SedreproError) as caught:
        obtain("thing", project({"thing": {"files": files}}))
    _, first, second = str(caught.value).splitlines()
    for line, name, known in ((first, "a.bin", "md5 " + "1" * 32), (second, "b.bin", "unknown")):
        assert f"http://127.0.0.1:9/{name}" in line
        assert f"{DOWNLOADS}/{name}" in line
        assert known in line


def test_a_host_that_is_closed_to_this_machine_counts_as_absent_where_that_is_said(
    host: Host, project
) -> None:
    resources = one("http://127.0.0.1:9/x")
    with pytest.raises(SedreproError, match="try again"):
        obtain("thing", project(resources))
    status = obtain("thing", project(resources, fetch={"unreachable": "absent"}))
    assert status["status"] == "unavailable"
    assert "put it by hand" in status["reason"]
    # A server that is there and fails for the moment is another matter.
    resources = one(host.add("busy", BODY, *[("status", 503)] * 3))
    with pytest.raises(SedreproError, match="HTTP 503"):
        obtain("thing", project(resources, fetch={"unreachable": "absent"}))


def test_a_full_disk_is_noticed_before_the_download(host: Host, project, monkeypatch) -> None:
    settings = project(pinned(host.add("a", BODY)))
    usage = type("Usage", (), {"free": 10_000_000})
    monkeypatch.setattr(http.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SedreproError, match=r"0\.0 GB are needed and 0\.0 GB are free"):
        obtain("thing", settings)
    assert_nothing_final()


def test_a_disk_that_fills_up_is_one_clear_line_and_keeps_the_part(host, project, monkeypatch):
    settings = project(pinned(host.add("a", BODY)))

    class Filling(io.FileIO):
        def write(self, data) -> int:
            room = 1_000_000 - self.tell()
            if room <= 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data[:room])

    with monkeypatch.context() as patch:
        patch.setattr(http, "open", lambda path, mode, **_: Filling(path, "w"), raising=False)
        with pytest.raises(SedreproError, match="the disk is full"):
            obtain("thing", settings)
    assert_nothing_final()
    assert (DOWNLOADS / "file.bin.part").stat().st_size == 1_000_000
    assert_whole(obtain("thing", settings))
    assert host.pages["a"].requests[-1]["Range"] == "bytes=1000000-"


def test_connections_to_a_host_are_bounded(host: Host, project) -> None:
    bodies = [noise(1000, number) for number in range(8)]
    files = [
        {"name": f"{n}", "urls": [host.add(f"{n}", body, ("slow", 0.05))], "md5": md5(body)}
        for n, body in enumerate(bodies)
    ]
    settings = project({"thing": {"files": files}}, fetch={"connections": 2})
    assert obtain("thing", settings)["files"] == 8
    assert host.most_open == 2


def run(code: str, *arguments: str) -> subprocess.Popen:
    program = (
        "import sys\n"
        "from sedrepro.settings import Project\n"
        "from dataclasses import replace\n"
        "from sedrepro.sources import policies\n"
        "from sedrepro.sources.fetch import obtain\n"
        "here = replace(policies.OTHER, name='here', hosts=('127.0.0.1',))\n"
        "policies.POLICIES += (here,)\n"
        "fast = {'wait': 0.0, 'timeout': 5.0, 'attempts': 3}\n"
        "project = Project.model_validate({'data': {'fetch': fast}})\n" + code
    )
    return subprocess.Popen([sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE)


def test_two_processes_wanting_the_same_file_fetch_it_once(host: Host, project) -> None:
    project(pinned(host.add("a", BODY)))
    both = [run("print(obtain('thing', project)['status'])") for _ in range(2)]
    assert [process.communicate()[0].strip() for process in both] == [b"ok", b"ok"]
    assert FINAL.read_bytes() == BODY
    assert len(host.pages["a"].requests) == 1


def test_sigkill_in_the_middle_loses_what_was_in_flight(host: Host, project) -> None:
    settings = project(pinned(host.add("a", BODY, ("stall", 2_000_000))))
    process = run("obtain('thing', project)")
    part_of(2_000_000)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert_nothing_final()
    assert_whole(obtain("thing", settings))
    assert host.pages["a"].requests[-1]["Range"] == "bytes=2000000-"


def part_of(size: int) -> None:
    """Wait until so much has arrived."""
    part = DOWNLOADS / "file.bin.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size == size):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_ctrl_c_ends_a_fetch_by_hand_at_once_and_keeps_what_arrived(host: Host, project) -> None:
    settings = project(pinned(host.add("a", BODY, ("stall", 2_000_000))))
    process = run("from sedrepro.cli import fetch\nfetch.by_hand('thing', project)")
    part_of(2_000_000)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=4)[0].decode()  # less than the five seconds of `timeout`
    assert process.returncode == 130
    assert said == "thing: stopped; what arrived is kept, and the same command goes on\n"
    assert not Path(Layout.of(settings).status("thing")).exists()
    assert_nothing_final()
    assert_whole(obtain("thing", settings))
    assert host.pages["a"].requests[-1]["Range"] == "bytes=2000000-"


def test_a_fetch_by_hand_ends_when_its_time_is_up(host: Host, project) -> None:
    project(pinned(host.add("a", BODY, ("stall", 2_000_000))))
    process = run(
        "import time\nfrom sedrepro.cli import fetch\n"
        "fetch.by_hand('thing', project, time.time() + 1)"
    )
    said = process.communicate(timeout=20)[0].decode()
    assert process.returncode == 0
    assert "thing: its time is up; what arrived is kept" in said
    assert_nothing_final()


def test_a_time_of_day_is_the_next_one() -> None:
    evening = datetime(2026, 3, 1, 22, 30)
    assert fetch.moment("07:00", evening) == datetime(2026, 3, 2, 7, 0).timestamp()
    assert fetch.moment("23:15", evening) == datetime(2026, 3, 1, 23, 15).timestamp()
    for wrong in ("7", "24:00", "seven"):
        with pytest.raises(SedreproError, match="expected a time of day"):
            fetch.moment(wrong, evening)


def test_sigkill_while_unpacking_is_repaired(host: Host, project) -> None:
    files = {f"top/{n}.wav": noise(1000, n) for n in range(20)}
    body = zipped(files)
    spec = {"name": "a.zip", "urls": [host.add("a", body)], "md5": md5(body), "unpack": "."}
    settings = project({"thing": {"files": [spec]}})
    process = run(
        "import os, signal\n"
        "from sedrepro.sources import unpack\n"
        "real, count = os.replace, []\n"
        "def dying(a, b):\n"
        "    if '.unpacking' in str(a): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    real(a, b)\n"
        "unpack.os.replace = dying\n"
        "obtain('thing', project)\n"
    )
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    raw = Path("data/full/raw/ave")
    assert not (raw / "top").exists()
    assert obtain("thing", settings)["files"] == 20
    assert {p.name: p.read_bytes() for p in (raw / "top").iterdir()} == {
        Path(name).name: content for name, content in files.items()
    }
    assert not [p for p in raw.parent.rglob("*unpacking*")]
    assert len(host.pages["a"].requests) == 1


def test_a_file_placed_by_hand_counts_and_triggers(host: Host, project) -> None:
    settings = project(one([], md5=md5(BODY)))
    missing = obtain("thing", settings)
    assert missing["status"] == "unavailable"
    assert f"put it by hand at {FINAL} (md5 {md5(BODY)})" in missing["reason"]
    resource = registry.load()["thing"]
    assert registry.placed("thing", resource, settings.data_folder) == []
    FINAL.write_bytes(BODY)
    assert registry.placed("thing", resource, settings.data_folder) == [str(FINAL)]
    assert_whole(obtain("thing", settings))
    assert registry.placed("thing", resource, settings.data_folder) == [str(FINAL)]


def test_what_was_downloaded_is_not_an_input(host: Host, project) -> None:
    settings = project(pinned(host.add("a", BODY)))
    obtain("thing", settings)
    assert registry.placed("thing", registry.load()["thing"], settings.data_folder) == []


def test_a_wrong_file_placed_by_hand_is_set_aside(host: Host, project) -> None:
    settings = project(pinned(host.add("a", BODY)))
    for content in (b"first", b"second"):
        DOWNLOADS.mkdir(parents=True, exist_ok=True)
        FINAL.write_bytes(content)
        assert_whole(obtain("thing", settings))
    assert (DOWNLOADS / "file.bin.wrong").read_bytes() == b"first"
    assert (DOWNLOADS / "file.bin.wrong-1").read_bytes() == b"second"
    assert len(host.pages["a"].requests) == 2


def test_the_hosts_own_record_is_enforced_and_frozen(host: Host, project) -> None:
    entry = {"key": "file.bin", "size": len(BODY), "checksum": f"md5:{md5(BODY)}"}
    record = host.add("record", json.dumps({"files": [entry]}).encode())
    resources = one(host.add("a", BODY))
    resources["thing"]["record"] = record
    settings = project(resources)
    assert_whole(obtain("thing", settings))
    frozen = json.loads(LOCK.read_text())["thing/file.bin"]
    assert (frozen["bytes"], frozen["md5"]) == (len(BODY), md5(BODY))
    assert frozen["checked_against"] == "host's record"
    # The host changes its file: what was frozen holds, and the record is not asked again.
    FINAL.unlink()
    PLACED.unlink()
    host.pages["a"].content = noise(len(BODY), seed=2)
    status = obtain("thing", settings)
    assert status["status"] == "unavailable"
    assert "(lock file)" in status["reason"]
    assert len(host.pages["record"].requests) == 1
    assert_nothing_final()


@pytest.mark.parametrize("faults", [[("status", 403)], [("status", 503)] * 6, [("page",)]])
def test_a_record_that_is_late_is_waited_for(host: Host, project, faults: list) -> None:
    """A busy host's silence is not "nobody vouches for it": what is served is another file."""
    entry = {"key": "file.bin", "size": len(BODY), "checksum": f"md5:{md5(BODY)}"}
    resources = one(host.add("a", b"x" * len(BODY)))
    record = host.add("record", json.dumps({"files": [entry]}).encode(), *faults)
    resources["thing"]["record"] = record
    with pytest.raises(SedreproError):
        obtain("thing", project(resources))
    host.pages["record"].faults = list(faults)
    status = obtain("thing", project(resources, fetch={"hold_out": 72.0}))
    assert status["status"] == "unavailable"
    assert "host's record" in status["reason"]


def test_a_file_the_record_disowns_is_refused(host: Host, project) -> None:
    entry = {"key": "file.bin", "size": len(BODY), "checksum": f"md5:{'0' * 32}"}
    resources = one(host.add("a", BODY))
    resources["thing"]["record"] = host.add("record", json.dumps({"files": [entry]}).encode())
    status = obtain("thing", project(resources))
    assert status["status"] == "unavailable"
    assert "host's record" in status["reason"]
    assert not LOCK.exists()


def test_without_record_or_checksum_the_first_copy_is_frozen_as_such(host: Host, project) -> None:
    resources = one(host.add("a", BODY))
    resources["thing"]["record"] = host.url("no-record")
    assert_whole(obtain("thing", project(resources)))
    assert json.loads(LOCK.read_text())["thing/file.bin"]["checked_against"] == "nobody"


def archive(host: Host, body: bytes, **more) -> dict:
    spec = {"name": "a.tgz", "urls": [host.add("a", body)], "unpack": ".", **more}
    return {"thing": {"files": [spec]}}


def test_an_archive_is_unpacked_in_place_and_needed_no_longer(host: Host, project) -> None:
    body = tarred({"outer/audio/1.wav": b"one", "outer/metadata/m.tsv": b"two"})
    settings = project(archive(host, body, anchor=["audio"]))
    first = obtain("thing", settings)
    raw = Path("data/full/raw/ave")
    assert (raw / "audio/1.wav").read_bytes() == b"one"
    assert (raw / "metadata/m.tsv").read_bytes() == b"two"
    assert (first["files"], first["bytes"]) == (2, 6)
    (DOWNLOADS / "a.tgz").unlink()
    assert obtain("thing", settings) == first
    assert len(host.pages["a"].requests) == 1


def test_a_file_lost_from_the_raw_tree_is_unpacked_again(host: Host, project) -> None:
    settings = project(archive(host, tarred({"audio/1.wav": b"one", "audio/2.wav": b"two"})))
    obtain("thing", settings)
    lost = Path("data/full/raw/ave/audio/2.wav")
    lost.unlink()
    assert obtain("thing", settings)["files"] == 2
    assert lost.read_bytes() == b"two"
    assert len(host.pages["a"].requests) == 1


def test_a_damaged_archive_is_set_aside(host: Host, project) -> None:
    body = tarred({"audio/1.wav": noise(50_000)})
    status = obtain("thing", project(archive(host, body[:-1000])))
    assert status["status"] == "unavailable"
    assert "damaged or truncated" in status["reason"]
    assert (DOWNLOADS / "a.tgz.wrong").exists()
    assert not (DOWNLOADS / "a.tgz").exists()
    assert not list(Path("data/full/raw").rglob("*.wav"))
    assert not LOCK.exists()


def test_a_resource_with_one_file_gone_is_partial(host: Host, project) -> None:
    files = [
        {"name": "a", "urls": [host.add("a", b"abc")]},
        {"name": "b", "urls": [host.url("gone")]},
    ]
    status = obtain("thing", project({"thing": {"files": files, "help": "ask the authors"}}))
    assert (status["status"], status["files"], status["bytes"]) == ("partial", 1, 3)
    assert status["reason"].endswith("ask the authors")


def test_a_local_tree_may_lie_in_the_home_folder(project, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine").mkdir()
    settings = project(one("http://127.0.0.1:9/x"), ave={"local": "~/mine"})
    assert obtain("thing", settings)["status"] == "ok"


def test_a_local_tree_is_used_as_it_is(project, tmp_path: Path) -> None:
    own = tmp_path / "mine"
    settings = project(one("http://127.0.0.1:9/x"), ave={"local": str(own)})
    with pytest.raises(SedreproError, match="no such folder"):
        obtain("thing", settings)
    own.mkdir()
    status = obtain("thing", settings)
    assert (status["status"], status["reason"]) == ("ok", f"local copy at {own}")


def test_the_miniature_renders_instead(project, monkeypatch) -> None:
    asked = []
    monkeypatch.setattr(
        miniature, "render", lambda name, _: asked.append(name) or {"files": 3, "bytes": 30}
    )
    status = miniature.obtain("thing", project(one("http://127.0.0.1:9/x"), origin="render"))
    assert asked == ["thing"]
    assert (status["status"], status["files"], status["bytes"]) == ("ok", 3, 30)


def test_an_unknown_resource_is_one_clear_line(project) -> None:
    with pytest.raises(SedreproError, match="'other' is no resource; resources are thing"):
        obtain("other", project(one([])))
