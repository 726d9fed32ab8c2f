"""Faults that once were there, put back one at a time: the walk stumbles over each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest import mock

import pytest

from sedrepro import chain
from sedrepro.evaluation import run as evaluation
from sedrepro.reporting import links
from sedrepro.settings import Plan
from sedrepro.training.state import OUTPUTS, State

from . import test_walk

MOST = 120
"""Walks after which a fault that was put back should have been met."""


def forget_the_run_alone(self: State) -> None:
    """`forget` as it once was: the numbers stay."""
    self._key.unlink(missing_ok=True)
    self.resume.unlink(missing_ok=True)
    self._finished.drop()
    for name in OUTPUTS:
        (self.folder / name).unlink(missing_ok=True)


def numbers_alone(asked, described, measured, layout):
    """Numbers are printed though their run is not there."""
    return "" if measured and not described else links_broken(asked, described, measured, layout)


links_broken = links.broken
metrics_link = links._metrics
describe_measuring = Plan.describe_measuring


def of_any_run(asked, origin, measured, layout):
    """Numbers of whatever run."""
    mine = {"key": origin.get("key"), "scores": origin.get("content", {}).get("scores.h5")}
    parents = {**measured.get("parents", {}), "run": mine}
    return metrics_link(asked, origin, {**measured, "parents": parents}, layout)


def without_confidence(self: Plan, report) -> dict:
    told = describe_measuring(self, report)
    told.pop("confidence")
    return told


def of_any_scores(path: Path) -> str:
    """What a file of scores should have been, whatever it is."""
    path = Path(path)
    if path.name == "scores.h5":
        return evaluation.read_json(path.with_name("run.json"))["content"]["scores.h5"]
    return chain.file_digest(path)


CAUSES: dict[str, Callable[[], list]] = {
    "forget leaves the numbers": lambda: [
        mock.patch.object(State, "forget", forget_the_run_alone),
        mock.patch.object(links, "broken", numbers_alone),
    ],
    "a forced and killed job leaves its numbers": lambda: [
        mock.patch.object(links, "broken", numbers_alone)
    ],
    "the confidence is in no key": lambda: [
        mock.patch.object(Plan, "describe_measuring", without_confidence)
    ],
    "a swapped tree is not seen": lambda: [
        mock.patch.object(links, "_stamp", _as_sealed),
        mock.patch("sedrepro.pipeline.driver.tree_stamp", _as_sealed),
        mock.patch("sedrepro.mixtures.origins.tree_stamp", _as_sealed),
    ],
    "numbers of another run": lambda: [mock.patch.object(links, "_metrics", of_any_run)],
    "damaged scores are read": lambda: [
        mock.patch.object(evaluation, "file_digest", of_any_scores)
    ],
    "changed clip tables are read": lambda: [mock.patch.object(chain, "refuse_changed")],
    "a decoded row's source is of other settings": lambda: [
        mock.patch.object(links, "_source", return_value="")
    ],
}


def _as_sealed(*_) -> str:
    return "the same"


@contextmanager
def put_back(cause: str) -> Iterator[None]:
    with ExitStack() as stack:
        for patch in CAUSES[cause]():
            stack.enter_context(patch)
        yield


@pytest.mark.long  # half a minute each
@pytest.mark.parametrize("cause", CAUSES)
def test_the_walk_stumbles_over_a_fault_that_is_put_back(cause, record_property):
    with put_back(cause), pytest.raises(test_walk.Fault):
        test_walk.walk(MOST)
    record_property("counted", test_walk.Life.found.splitlines()[-1])
