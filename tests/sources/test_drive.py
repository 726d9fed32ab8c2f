"""Google Drive, tested at the boundary to gdown with its own exceptions and recorded pages."""

from __future__ import annotations

import contextlib
from pathlib import Path

import gdown
import pytest
import requests
from gdown.download import get_url_from_gdrive_confirmation
from gdown.exceptions import DownloadError, FileURLRetrievalError
from loopback import Host, md5, noise

from sedrepro.errors import SedreproError
from sedrepro.sources import http
from sedrepro.sources.fetch import obtain
from sedrepro.sources.policies import DAY

BODY = noise(100_000)
FINAL = Path("data/full/downloads/thing/file.h5")
QUOTA = (
    '<p class="uc-error-subcaption">Too many users have viewed or downloaded this file recently. '
    "Please try accessing the file again later.</p>"
)


def quota() -> Exception:
    """What gdown makes of Drive's quota page."""
    with pytest.raises(FileURLRetrievalError) as caught:
        get_url_from_gdrive_confirmation(QUOTA)
    return caught.value


def answered(code: int) -> Exception:
    response = requests.Response()
    response.status_code = code
    return requests.exceptions.HTTPError(str(code), response=response)


class Drive:
    """In gdown's place: raises or delivers, answer by answer; keeps parts as gdown does."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self, *, id: str, output: str, resume: bool, **_: object) -> str:
        assert (id, resume) == ("abc", True)
        if Path(output).exists():
            return output
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        part = Path(f"{output}12345678.part")
        if isinstance(answer, tuple):
            content, answer = answer
            part.write_bytes(content)
        if isinstance(answer, Exception):
            raise answer
        part.unlink(missing_ok=True)
        Path(output).write_bytes(answer)
        return output


@pytest.fixture
def resource(project, monkeypatch):
    def make(drive: Drive, hold_out: float = 0.0, **file):
        monkeypatch.setattr(gdown, "download", drive)
        spec = {"name": "file.h5", "drive": "abc", **file}
        return project({"thing": {"files": [spec]}}, fetch={"hold_out": hold_out})

    return make


def test_a_file_is_fetched_once_and_frozen(resource) -> None:
    drive = Drive(BODY)
    settings = resource(drive)
    assert obtain("thing", settings)["status"] == "ok"
    assert obtain("thing", settings)["status"] == "ok"
    assert drive.asked == 1
    assert FINAL.read_bytes() == BODY
    assert md5(BODY) in Path("data/full/datasets.lock.json").read_text()


def test_broken_connections_are_taken_up(resource) -> None:
    broken = DownloadError("Response body ended early")
    drive = Drive((b"x", broken), (b"xx", requests.exceptions.ReadTimeout("slow")), BODY)
    assert obtain("thing", resource(drive))["status"] == "ok"
    assert drive.asked == 3


def test_a_spent_quota_is_waited_for_till_tomorrow(resource, clock) -> None:
    drive = Drive(quota(), quota(), BODY)
    begun = clock.now()
    assert obtain("thing", resource(drive, hold_out=72.0))["status"] == "ok"
    assert drive.asked == 3
    assert clock.now() - begun == pytest.approx(2 * DAY, rel=0.01)


def test_the_quota_of_one_file_keeps_no_other_from_coming(
    resource, project, monkeypatch, clock
) -> None:
    """Drive counts per file and day; the next start does not ask sooner for the one either."""
    resource(Drive(quota()))
    spent = {"thing": {"files": [{"name": "file.h5", "drive": "abc"}]}}
    with pytest.raises(SedreproError, match="Too many users"):
        obtain("thing", project(spent))
    served = Drive(BODY)
    monkeypatch.setattr(gdown, "download", lambda **asked: served(**{**asked, "id": "abc"}))
    others = {**spent, "other": {"files": [{"name": "other.h5", "drive": "def"}]}}
    begun = clock.now()
    assert obtain("other", project(others))["status"] == "ok"
    assert clock.now() - begun < 60
    with pytest.raises(SedreproError, match="it refused before and is left alone"):
        obtain("thing", project(others))
    assert served.asked == 1


def test_a_quota_that_stays_spent_is_an_error_and_never_an_absence(resource, clock) -> None:
    drive = Drive(quota())
    settings = resource(drive, hold_out=72.0)
    for _ in range(4):
        asked, begun = drive.asked, clock.now()
        with pytest.raises(SedreproError, match="Too many users") as caught:
            obtain("thing", settings)
        assert "https://drive.google.com/uc?id=abc" in str(caught.value)
        assert str(FINAL) in str(caught.value)
        days = (clock.now() - begun) / DAY
        assert drive.asked - asked <= days + 1.01
    drive.answers = [BODY]
    assert obtain("thing", settings)["status"] == "ok"


def test_a_removed_file_is_unavailable_at_once(resource) -> None:
    status = obtain("thing", resource(Drive(answered(404))))
    assert status["status"] == "unavailable"
    assert "HTTP 404" in status["reason"]


def test_no_network_fails(resource) -> None:
    with pytest.raises(SedreproError, match="put it by hand"):
        obtain("thing", resource(Drive(requests.exceptions.ConnectionError("no route"))))


def test_a_page_in_place_of_the_file_is_refused(resource) -> None:
    status = obtain("thing", resource(Drive(b"<!DOCTYPE html><title>Sign in</title>")))
    assert status["status"] == "unavailable"
    assert not FINAL.exists()


def test_a_wrong_checksum_is_refused(resource) -> None:
    assert obtain("thing", resource(Drive(BODY), md5="0" * 32))["status"] == "unavailable"
    assert not FINAL.exists()


def test_a_mirror_stands_in_for_the_quota(resource, host: Host) -> None:
    settings = resource(Drive(quota()), urls=[host.add("a", BODY)], md5=md5(BODY))
    assert obtain("thing", settings)["status"] == "ok"
    assert FINAL.read_bytes() == BODY


def test_the_boundary_is_where_gdown_has_it() -> None:
    """The arguments the fetcher passes exist in the gdown that is installed."""
    import inspect

    known = inspect.signature(gdown.download).parameters
    assert {"id", "output", "quiet", "use_cookies", "resume", "timeout"} <= set(known)


@pytest.mark.parametrize("size", [{"bytes": 900_000_000}, {"about": 900_000_000}])
def test_a_full_disk_is_noticed_before_drive_is_asked(resource, monkeypatch, size) -> None:
    drive = Drive(BODY)
    usage = type("Usage", (), {"free": 500_000_000})
    monkeypatch.setattr(http.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(SedreproError, match=r"0\.9 GB are needed and 0\.5 GB are free"):
        obtain("thing", resource(drive, **size))
    assert drive.asked == 0
    # What an earlier start left counts.
    FINAL.with_name("file.h5.drivex.part").write_bytes(b"")
    with open(FINAL.with_name("file.h5.drivex.part"), "r+b") as part:
        part.truncate(500_000_000)
    with contextlib.suppress(SedreproError):  # these bytes are not the file's
        obtain("thing", resource(drive, **size))
    assert drive.asked == 1
