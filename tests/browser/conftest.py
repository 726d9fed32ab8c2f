"""Chromium, and pages for it to open: one with everything, one with nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "reporting"))

import fabricate  # noqa: E402

from .devtools import Browser  # noqa: E402

AXE = "axe-core@4.14.1"


@pytest.fixture(scope="session")
def output(root) -> Path:
    """Screenshots and the print, for people to look at; Git ignores the folder."""
    return root / "results" / "browser"


@pytest.fixture(scope="session")
def program() -> str:
    """Debian's Chromium; installed if we may."""
    if not (found := shutil.which("chromium")):
        if os.geteuid() != 0 or not shutil.which("apt-get"):
            pytest.skip("no chromium, and installing it needs root and apt")
        for words in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
            done = subprocess.run(["apt-get", "-q", *words], capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"chromium cannot be installed: {done.stderr.strip()[-200:]}")
        found = shutil.which("chromium")
    return str(found)


@pytest.fixture(scope="session")
def browser(program, tmp_path_factory) -> Iterator[Browser]:
    started = Browser(program, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory) -> str:
    """The rules of axe-core, from the registry of packages."""
    if not shutil.which("npm"):
        pytest.skip("axe-core is fetched by npm, which is not here")
    folder = tmp_path_factory.mktemp("axe")
    words = ["npm", "pack", "--silent", AXE]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=120)
    if done.returncode:
        pytest.skip(f"npm cannot fetch {AXE}: {done.stderr.strip()[-200:]}")
    with tarfile.open(next(folder.glob("*.tgz"))) as packed:
        script = packed.extractfile("package/axe.min.js")
        assert script is not None
        return script.read().decode()


@pytest.fixture(scope="session")
def everything(tmp_path_factory) -> SimpleNamespace:
    """Every paper, every headline row, two seeds; made up, at the size of the real networks."""
    project = fabricate.everything()
    layout = fabricate.fabricate(tmp_path_factory.mktemp("everything"), project)
    page = fabricate.report(project, layout)
    return SimpleNamespace(project=project, layout=layout, page=page, root=fabricate.ROOT)


@pytest.fixture(scope="session")
def nothing(tmp_path_factory) -> Path:
    """Not one run."""
    project = fabricate.everything()
    folder = tmp_path_factory.mktemp("nothing")
    return fabricate.report(project, fabricate.layout_of(folder, project))
