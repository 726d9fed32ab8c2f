"""Faults that once were there, put back one at a time: the walk stumbles over each.

Each has a short story, which is told in every test run; the random walk finds them too (by hand:
`pytest -m long tests/life/test_causes.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from sedrepro import chain
from sedrepro.evaluation import run as evaluation
from sedrepro.evaluation.measures import Truth
from sedrepro.reporting import links
from sedrepro.reporting.whose import Whose
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
        return chain.read(path.with_name("run.json"))["content"]["scores.h5"]
    return chain.file_digest(path)


@dataclass(frozen=True)
class Cause:
    """A fault, and the shortest life in which it shows."""

    patches: Callable[[], list]
    story: Sequence[tuple[str, dict[str, Any]]]


CONFIDENCE = {"name": "confidence", "other": True}
OTHER_DATA = {"audio": 1, "labels": 1, "dated": True}
FLIPPED = {"how": "flip", "dated": False}
SCORES = {"index": 1} | FLIPPED
"""Of the mean teacher."""
TRUTH = {"index": 18} | FLIPPED
"""The events of the validation set."""
FIRST_RUN = {"index": 0}
AGAIN = ("run", {})
RETRAINED = ("set_the_epochs", {"value": 2})

CAUSES: dict[str, Cause] = {
    "forget leaves the numbers": Cause(
        lambda: [
            mock.patch.object(State, "forget", forget_the_run_alone),
            mock.patch.object(links, "broken", numbers_alone),
        ],
        [("forget", FIRST_RUN)],
    ),
    "a forced and killed job leaves its numbers": Cause(
        lambda: [mock.patch.object(links, "broken", numbers_alone)],
        [("force_and_be_killed", {"stage": "train", "job": 0, "step": 0, "driver": True})],
    ),
    "the confidence is in no key": Cause(
        lambda: [mock.patch.object(Plan, "describe_measuring", without_confidence)],
        [("force", {"stage": "evaluate"}), ("set_the_report", CONFIDENCE), AGAIN],
    ),
    "a swapped tree is not seen": Cause(
        lambda: [
            mock.patch.object(links, "_stamp", _as_sealed),
            mock.patch("sedrepro.pipeline.driver.tree_stamp", _as_sealed),
            mock.patch("sedrepro.mixtures.origins.tree_stamp", _as_sealed),
        ],
        [("force", {"stage": "adapt"}), ("swap_the_data", OTHER_DATA)],
    ),
    "numbers of another run": Cause(
        lambda: [mock.patch.object(links, "_metrics", of_any_run)],
        [("copy_numbers", {"index": 0, "other": 1, "resamples": True, "dated": False})],
    ),
    "damaged scores are read": Cause(
        lambda: [mock.patch.object(evaluation, "file_digest", of_any_scores)],
        [("damage_scores", SCORES), ("set_the_median", {"value": 3}), AGAIN],
    ),
    "changed clip tables are read": Cause(
        lambda: [
            mock.patch.object(chain, "refuse_changed"),
            mock.patch.object(links, "_sealed", return_value=""),
        ],
        [("damage_a_table", TRUTH), ("set_the_median", {"value": 3}), AGAIN],
    ),
    "a decoded row's source is of other settings": Cause(
        lambda: [mock.patch.object(links, "_source", return_value="")],
        [RETRAINED],
    ),
    "own recordings are compared": Cause(
        lambda: [mock.patch.object(Whose, "own", False)],
        [("set_a_published_cell", {"value": "0.6"})],
    ),
    "nobody counts what is cut": Cause(
        lambda: [mock.patch.object(Truth, "cut", (0, 2))],
        [("swap_the_data", OTHER_DATA), AGAIN],
    ),
}


def _as_sealed(*_) -> str:
    return "the same"


@contextmanager
def put_back(cause: str) -> Iterator[None]:
    with ExitStack() as stack:
        for patch in CAUSES[cause].patches():
            stack.enter_context(patch)
        yield


def live(story: Sequence[tuple[str, dict[str, Any]]]) -> None:
    """One life, told."""
    life = test_walk.Life()
    life.begin()
    for name, given in story:
        getattr(life, name)(**given)


@pytest.mark.parametrize("cause", CAUSES)
def test_a_short_life_shows_a_fault_that_is_put_back(cause):
    with test_walk.living(put_back(cause)), pytest.raises(test_walk.Fault):
        live(CAUSES[cause].story)


def test_without_a_fault_these_lives_show_none():
    with test_walk.living():
        for cause in CAUSES.values():
            live(cause.story)


@pytest.mark.long  # half a minute each
@pytest.mark.parametrize("cause", CAUSES)
def test_the_walk_stumbles_over_a_fault_that_is_put_back(cause, record_property):
    with pytest.raises(test_walk.Fault):
        test_walk.walk(MOST, put_back(cause))
    record_property("counted", test_walk.Life.found.splitlines()[-1])
