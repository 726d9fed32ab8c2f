"""A loopback host, and projects whose registry points at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from loopback import Host
from simulated import Time

from sedrepro.settings import Project
from sedrepro.sources import gate, policies


@pytest.fixture
def host() -> Iterator[Host]:
    served = Host()
    yield served
    served.close()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Time:
    """The time of all downloads in this process; only waiting moves it."""
    time = Time()
    monkeypatch.setattr(gate, "Clock", lambda: time)
    return time


@pytest.fixture(autouse=True)
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine is a host with a policy, the one of hosts nothing is known of."""
    here = replace(policies.OTHER, name="127.0.0.1", hosts=("127.0.0.1", "localhost"))
    monkeypatch.setattr(policies, "POLICIES", (*policies.POLICIES, here))


def complete(resource: dict) -> dict:
    """A resource with what the registry demands and these tests do not ask about."""
    shared = {"about": 1, **resource.get("each", {})}
    files = []
    for file in resource.get("files", []):
        goes = {**shared, **file}
        place = {} if "unpack" in goes or "place" in goes else {"place": file["name"]}
        files.append({"about": 1, **place, **file})
    counted = {"subsets": {"some": 1}} if "clips" in resource else {}
    return {**counted, **resource, **({"files": files} if files else {})}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Project]:
    """`project(resources, data=…)`: an empty checkout with this registry, the working directory."""
    monkeypatch.chdir(tmp_path)
    Path("src/sedrepro").mkdir(parents=True)

    def make(resources: dict, **data) -> Project:
        common = {"corpus": "ave", "title": "t", "licence": "none"}
        listed = {name: {**common, **complete(value)} for name, value in resources.items()}
        Path("config").mkdir(exist_ok=True)
        Path("config/datasets.yaml").write_text(yaml.safe_dump({"resources": listed}))
        fast = {"wait": 0.0, "timeout": 2.0, "attempts": 3, "hold_out": 0.0}
        data["fetch"] = {**fast, **data.get("fetch", {})}
        return Project.model_validate({"data": data})

    return make
