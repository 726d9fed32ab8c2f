"""Scores of held-out sets: in memory to choose checkpoints, on disk for evaluation."""

from __future__ import annotations

import contextlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py
import numpy as np
import torch

from .. import tables
from ..errors import SedreproError
from ..papers.contract import Method
from ..settings import Layout, Plan
from ..store import creating
from .data import EvalSet
from .stopping import Stop

Scores = dict[str, np.ndarray]


@torch.no_grad()
def score(method: Method, model: str, eval_set: EvalSet, stop: Stop | None = None) -> Scores:
    """A model's named scores of every clip of a set, in the set's order."""
    method.networks.eval()
    found: dict[str, list[np.ndarray]] = defaultdict(list)
    for inputs in eval_set.batches(method.settings.training.score_batch, method.device):
        for name, values in method.scores(model, inputs).items():
            found[name].append(values.float().cpu().numpy())
        if stop:
            stop.check(method.plan.run, "while scoring")
    scores = {name: np.concatenate(parts) for name, parts in found.items()}
    for name, values in scores.items():
        if len(values) != len(eval_set):
            raise SedreproError(
                f"{method.plan.run}: {model} gave {len(values)} rows of {name!r} for "
                f"{len(eval_set)} clips"
            )
    return scores


class ScoreFile:
    """`scores.h5`: per set the clips, per model its named scores."""

    def __init__(self, file: h5py.File, plan: Plan, key: str) -> None:
        self._file = file
        self._models: dict[str, None] = {}
        file.attrs["classes"] = json.dumps(plan.classes)
        file.attrs["hop"] = plan.grid.seconds
        file.attrs["run_key"] = key

    def add(self, eval_set: EvalSet, model: str, scores: Scores) -> None:
        group = self._file.require_group(eval_set.spec.name)
        if "clips" not in group:
            group["clips"] = np.array(eval_set.data.names, dtype=h5py.string_dtype())
            group["seconds"] = eval_set.data.seconds
        # Groups that HDF5 makes along a path hold the time of day: equal scores are equal files.
        home = group.create_group(model)
        for name, values in scores.items():
            home[name] = values.astype(np.float32)
        self._models[model] = None
        self._file.attrs["models"] = json.dumps(list(self._models))


@contextlib.contextmanager
def score_file(path: Path, plan: Plan, key: str) -> Iterator[ScoreFile]:
    """Write `scores.h5`; it appears when it is whole."""
    with creating(path) as (file, _):
        yield ScoreFile(file, plan, key)


def write_examples(
    path: Path, method: Method, eval_set: EvalSet | None, layout: Layout, count: int
) -> None:
    """`examples.h5`: the input and the method's maps of a few clips that show many classes."""
    with creating(path) as (file, _):
        if eval_set is None or not len(eval_set) or not count:
            return
        plan = method.plan
        events = tables.read_events(layout.table(eval_set.spec.subset, "events"), plan.classes)
        places = varied(
            eval_set.data.names, events[["clip", "label"]].itertuples(index=False), count
        )
        front_end = eval_set.spec.inputs[0]
        file.attrs["set"] = eval_set.spec.name
        file.attrs["front_end"] = front_end
        file.attrs["hop"] = plan.grid.seconds
        method.networks.eval()
        inputs = eval_set.read(places, method.device)
        with torch.no_grad():
            maps = {name: m.float().cpu().numpy() for name, m in method.explain(inputs).items()}
        shown = maps.pop("input", None)
        shown = inputs[front_end].cpu().numpy() if shown is None else shown
        file.attrs["order"] = json.dumps([eval_set.data.names[place] for place in places])
        for index, place in enumerate(places):
            group = file.create_group(eval_set.data.names[place])
            group["input"] = shown[index].astype(np.float16)
            for name, values in maps.items():
                group[name] = values[index]


def varied(names: list[str], labels: Iterable[tuple[str, str]], count: int) -> list[int]:
    """Places of `count` clips chosen one by one for the classes not yet shown; ties by name.

    When every class has been shown, it begins anew.
    """
    have: dict[str, set[str]] = {name: set() for name in names}
    for clip, label in labels:
        if clip in have:
            have[clip].add(label)
    shown: set[str] = set()
    chosen: list[str] = []
    for _ in range(min(count, len(names))):
        rest = [name for name in names if name not in chosen]
        if not any(have[name] - shown for name in rest):
            shown = set()
        best = min(rest, key=lambda name: (-len(have[name] - shown), len(have[name]), name))
        chosen.append(best)
        shown |= have[best]
    return [names.index(name) for name in chosen]
