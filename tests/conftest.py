"""Fixtures shared by all tests. Every process has one thread: the machines are small."""

from __future__ import annotations

import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


class Acceptance:
    """Files by their path in a folder; a test that asks for an absent one is skipped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __truediv__(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            pytest.skip(f"no acceptance data {name}: `make test-data`, or set SEDREPRO_ACCEPTANCE")
        return path


@pytest.fixture(scope="session")
def acceptance() -> Acceptance:
    """Real data with known scores; not part of the project."""
    places = [ROOT.parent / "shared" / "acceptance", ROOT / ".test-data"]
    named = os.environ.get("SEDREPRO_ACCEPTANCE")
    if named:
        places.insert(0, Path(named))
    found = [place for place in places if place.is_dir()]
    return Acceptance(found[0] if found else places[-1])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long must not be left for the end, when the other worker has nothing to do; and
    to count its lines takes half as long again."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        if item.get_closest_marker("slow"):
            item.add_marker("no_cover")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What passed tests counted, by `record_property("counted", ...)`."""
    for report in terminalreporter.getreports("passed"):
        for name, text in getattr(report, "user_properties", []):
            if name == "counted" and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid.rpartition('/')[2]}: {text}")
