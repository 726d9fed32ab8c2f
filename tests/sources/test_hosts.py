"""Zenodo, Hugging Face and GitHub as they behave, on a loopback host with their policies."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from loopback import Host, md5, noise
from simulated import Time

from sedrepro import __version__
from sedrepro.errors import SedreproError
from sedrepro.settings.data import Fetch
from sedrepro.sources import gate, policies, registry
from sedrepro.sources.fetch import obtain
from sedrepro.sources.gate import Clock
from sedrepro.sources.policies import HOUR, Policy
from sedrepro.sources.session import Session

BODY = noise(300_000)
FINAL = Path("data/full/downloads/thing/file.bin")


COPY = {"licence": "?", "trust": "the checksum", "layout": "the same bytes"}


def named(name: str) -> Policy:
    return next(policy for policy in policies.POLICIES if policy.name == name)


@pytest.fixture
def behaves(monkeypatch) -> Callable[[str], Policy]:
    """`behaves("Zenodo")`: the loopback host is under this host's policy."""

    def make(name: str) -> Policy:
        policy = replace(named(name), hosts=("127.0.0.1",))
        monkeypatch.setattr(policies, "POLICIES", (policy,))
        return policy

    return make


def one(urls: list[str], **file) -> dict:
    return {"thing": {"files": [{"name": "file.bin", "urls": urls, "place": "file.bin", **file}]}}


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("www.youtube.com", "YouTube"),
        ("zenodo.org", "Zenodo"),
        ("drive.google.com:443", "Google Drive"),
        ("huggingface.co", "Hugging Face"),
        ("raw.githubusercontent.com", "GitHub"),
        ("notzenodo.org", "notzenodo.org"),
    ],
)
def test_each_host_has_its_policy(host: str, name: str) -> None:
    assert policies.of(host).name == name


def test_the_real_registry_asks_hosts_whose_policies_are_known(root: Path) -> None:
    files = [f for r in registry.load(root).resources.values() for f in r.files]
    hosts = {policies.host_of(url) for f in files for url in f.sources}
    assert all(policies.known(host) for host in hosts)


def test_desed_takes_what_the_docs_say() -> None:
    assert policies.YOUTUBE.hours(19_067) == pytest.approx(63.6, abs=0.1)
    assert policies.YOUTUBE.hours(20_628) == pytest.approx(68.8, abs=0.1)


def test_zenodo_is_told_who_asks(host: Host, project, behaves) -> None:
    behaves("Zenodo")
    url = host.add("a", BODY, agents=f"sedrepro/{__version__} (https://")
    assert obtain("thing", project(one([url])))["status"] == "ok"


@pytest.mark.parametrize("code", [403, 429, 500, 502, 503, 504])
def test_zenodo_never_says_of_a_file_that_it_is_gone_but_by_404(
    host: Host, project, behaves, clock: Time, code: int
) -> None:
    behaves("Zenodo")
    url = host.add("a", BODY, *[("status", code)] * 7)
    settings = project(one([url]))
    with pytest.raises(SedreproError, match=f"HTTP {code}"):
        obtain("thing", settings)
    assert obtain("thing", project(one([url]), fetch={"hold_out": 24.0}))["status"] == "ok"


def test_a_refusal_is_followed_by_one_request_when_its_time_is_over(
    host: Host, project, behaves, clock: Time
) -> None:
    policy = behaves("Zenodo")
    refusals = [("status", 403)] * 3
    files = [
        {"name": f"{n}", "urls": [host.add(f"{n}", b"x" * 10, *refusals)], "place": f"{n}"}
        for n in range(8)
    ]
    begun = clock.now()
    settings = project({"thing": {"files": files}}, fetch={"hold_out": 72.0, "connections": 1})
    assert obtain("thing", settings)["files"] == 8
    asked = sum(len(page.requests) for page in host.pages.values())
    assert asked == 8 * 4
    assert clock.now() - begun >= 8 * 3 * policy.wall


def test_the_reset_zenodo_states_is_when_it_is_asked_again(
    host: Host, project, behaves, clock: Time
) -> None:
    behaves("Zenodo")
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 50)}
    url = host.add("a", BODY, ("status", 429, headers))
    begun = clock.now()
    assert obtain("thing", project(one([url]), fetch={"hold_out": 1.0}))["status"] == "ok"
    assert 40 <= clock.now() - begun <= 70


def test_a_refusal_that_says_at_once_is_not_taken_at_its_word(
    host: Host, project, behaves, clock: Time
) -> None:
    behaves("Zenodo")
    url = host.add("a", BODY, *[("status", 429, {"Retry-After": "0"})] * 999)
    with pytest.raises(SedreproError, match="HTTP 429"):
        obtain("thing", project(one([url]), fetch={"hold_out": 0.1}))
    assert len(host.pages["a"].requests) <= 37


def test_a_host_that_always_says_at_once_is_asked_less_and_less(
    host: Host, project, behaves, clock: Time
) -> None:
    """10 s, 20 s, 40 s, ... up to the policy's quarter of an hour; what it gives ends that."""
    behaves("Zenodo")
    refusal = ("status", 429, {"Retry-After": "0"})
    url = host.add("a", BODY, *[refusal] * 999)
    begun = clock.now()
    with pytest.raises(SedreproError, match="HTTP 429"):
        obtain("thing", project(one([url]), fetch={"hold_out": 2.0}))
    assert clock.now() - begun > 1.5 * HOUR
    assert len(host.pages["a"].requests) <= 15
    host.pages["a"].faults = []
    assert obtain("thing", project(one([url]), fetch={"hold_out": 2.0}))["status"] == "ok"
    begun, url = clock.now(), host.add("b", BODY, refusal)
    settings = project({"other": {"files": [{"name": "b", "urls": [url]}]}}, fetch={"hold_out": 2})
    assert obtain("other", settings)["status"] == "ok"
    assert clock.now() - begun < 60


def test_a_budget_that_is_spent_is_not_overdrawn(host: Host, project, behaves, clock: Time) -> None:
    behaves("Zenodo")
    reset = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(int(time.time()) + 600)}
    files = [
        {"name": "a", "urls": [host.add("a", b"a", headers=reset)], "place": "a"},
        {"name": "b", "urls": [host.add("b", b"b")], "place": "b"},
    ]
    settings = project({"thing": {"files": files}}, fetch={"hold_out": 1.0, "connections": 1})
    begun = clock.now()
    assert obtain("thing", settings)["files"] == 2
    assert clock.now() - begun >= 590
    assert [len(page.requests) for page in host.pages.values()] == [1, 1]


def test_a_host_that_forgets_ranges_for_a_while(host: Host, project, behaves) -> None:
    behaves("Zenodo")
    url = host.add("a", BODY, ("truncate", 100_000), ranges=False)
    settings = project(one([url], bytes=len(BODY), md5=md5(BODY)), fetch={"attempts": 1})
    with pytest.raises(SedreproError):
        obtain("thing", settings)
    host.pages["a"].faults = [("truncate", 50_000)]
    with pytest.raises(SedreproError):
        obtain("thing", settings)
    host.pages["a"].ranges = True
    assert obtain("thing", settings)["status"] == "ok"


def test_hugging_face_sends_on_to_its_storage(host: Host, project, behaves) -> None:
    behaves("Hugging Face")
    host.add("storage", BODY, ("truncate", 100_000), etag='"storage"')
    linked = {"X-Linked-Size": str(len(BODY)), "X-Linked-Etag": '"sha"'}
    hops = [("redirect", "storage", linked)] * 2
    url = host.add("resolve", b"", *hops)
    sha256 = hashlib.sha256(BODY).hexdigest()
    assert obtain("thing", project(one([url], sha256=sha256)))["status"] == "ok"
    assert [r.get("Range") for r in host.pages["storage"].requests] == [None, "bytes=100000-"]


def test_the_size_hugging_face_states_ends_a_transfer_without_length(
    host: Host, project, behaves
) -> None:
    behaves("Hugging Face")
    host.add("storage", BODY, ("closed", 100_000))
    linked = {"X-Linked-Size": str(len(BODY))}
    url = host.add("resolve", b"", ("redirect", "storage", linked), ("redirect", "storage", linked))
    assert obtain("thing", project(one([url])))["status"] == "ok"
    assert FINAL.read_bytes() == BODY


def test_a_computer_that_was_asleep_does_not_wait_again(monkeypatch) -> None:
    """The lid is closed for a night, ten minutes after a wait of six hours began."""
    slept: list[float] = []

    def clock_gettime(_: int) -> float:
        return sum(slept) + (8 * HOUR if sum(slept) >= 600 else 0.0)

    faked = SimpleNamespace(sleep=slept.append, clock_gettime=clock_gettime, CLOCK_MONOTONIC=1)
    monkeypatch.setattr(gate, "time", faked)
    Clock().sleep(6 * HOUR)
    assert sum(slept) == 600
    slept.clear()
    Clock().sleep(90.0)
    assert slept == [60.0, 30.0]


def test_a_copy_stands_in_for_what_is_gone(host: Host, project) -> None:
    mirror = {"url": host.add("copy", BODY), **COPY}
    pinned = {"sha256": hashlib.sha256(BODY).hexdigest(), "mirrors": [mirror]}
    resources = one([host.url("nowhere")], **pinned)
    without = obtain("thing", project(resources, fetch={"mirrors": "none"}))
    assert without["status"] == "unavailable"
    assert obtain("thing", project(resources))["status"] == "ok"


def test_a_copy_does_not_stand_in_for_what_is_only_late_unless_that_is_said(
    host: Host, project
) -> None:
    mirror = {"url": host.add("copy", BODY), **COPY}
    mirror["url"] = mirror["url"].replace("127.0.0.1", "localhost")
    pinned = {"sha256": hashlib.sha256(BODY).hexdigest(), "mirrors": [mirror]}
    resources = one([host.add("busy", BODY, *[("status", 403)] * 9)], **pinned)
    with pytest.raises(SedreproError, match="HTTP 403"):
        obtain("thing", project(resources))
    assert obtain("thing", project(resources, fetch={"mirrors": "all"}))["status"] == "ok"


def test_a_wrong_copy_names_both_checksums(host: Host, project) -> None:
    mirror = {"url": host.add("copy", b"other bytes"), **COPY}
    wanted, got = hashlib.sha256(BODY).hexdigest(), hashlib.sha256(b"other bytes").hexdigest()
    status = obtain("thing", project(one([], sha256=wanted, mirrors=[mirror])))
    assert status["status"] == "unavailable"
    assert wanted in status["reason"]
    assert got in status["reason"]


def test_a_person_who_wants_one_connection_gets_one(host: Host, project, behaves, tmp_path) -> None:
    behaves("Zenodo")
    assert Session(Fetch(connections=1), tmp_path).gate("127.0.0.1").places == 1
    assert Session(Fetch(connections=9), tmp_path).gate("127.0.0.1").places == 4


def test_a_policy_tells_how_long_requests_take() -> None:
    assert Policy("x", per_hour=100).hours(250) == 2.5
    assert Policy("x", pause=(30.0, 90.0)).hours(60) == pytest.approx(60 * 60 / HOUR)
