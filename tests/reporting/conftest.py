"""One made-up result set for all tests of reporting; tests that change it take a copy."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import fabricate

PAPER = "lgc_sed"


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> SimpleNamespace:
    """Two seeds of every row of the miniature."""
    folder = tmp_path_factory.mktemp("made")
    project = fabricate.project_of()
    layout = fabricate.fabricate(folder, project)
    return SimpleNamespace(folder=folder, project=project, layout=layout, root=fabricate.ROOT)


@pytest.fixture
def copy(made, tmp_path) -> SimpleNamespace:
    """The same, to break; without what other tests have made of it meanwhile."""
    no_tables = shutil.ignore_patterns("tables", "figures")
    shutil.copytree(made.folder, tmp_path, dirs_exist_ok=True, ignore=no_tables)
    layout = fabricate.layout_of(tmp_path, made.project)
    return SimpleNamespace(folder=tmp_path, project=made.project, layout=layout, root=made.root)


@pytest.fixture
def empty(made, tmp_path) -> SimpleNamespace:
    """Nothing on disk at all."""
    layout = fabricate.layout_of(tmp_path, made.project)
    return SimpleNamespace(folder=tmp_path, project=made.project, layout=layout, root=made.root)
