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


@pytest.fixture(scope="session")
def acceptance() -> Path:
    """Real data with known scores; not part of the project."""
    folder = Path(os.environ.get("SEDREPRO_ACCEPTANCE", ROOT.parent / "shared" / "acceptance"))
    if not folder.is_dir():
        pytest.skip(f"no acceptance data: set SEDREPRO_ACCEPTANCE (looked in {folder.name}/)")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes minutes must not be left for the end, when the other worker has nothing to do."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What passed tests counted, by `record_property("counted", ...)`."""
    for report in terminalreporter.getreports("passed"):
        for name, text in getattr(report, "user_properties", []):
            if name == "counted" and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid.rpartition('/')[2]}: {text}")
