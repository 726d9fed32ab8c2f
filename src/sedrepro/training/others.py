"""A checkpoint of anybody on a held-out set: its scores, by the code that scores our runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ..checkpoints import load_checkpoint
from ..errors import SedreproError
from ..inference.devices import choose, prepare
from ..inference.predict import restored
from ..networks.released import fill
from ..papers import method_of
from ..papers.contract import Method
from ..settings import HeldOut, Layout, Plan
from ..store import intact
from .data import EvalSet
from .scoring import score, score_file


@dataclass(frozen=True)
class Checkpoint:
    """A file with weights: of one of our runs, which says what it is, or of others."""

    path: Path
    weights: Callable[[str], Path]
    """Where the pre-trained weights of a resource lie, for networks that build on some."""
    device: str = "auto"

    @cached_property
    def own_method(self) -> Method | None:
        """The method of one of our runs; none for the weights of others."""
        saved = load_checkpoint(self.path, mapped=True)
        if not isinstance(saved, dict) or not {"plan", "networks"} <= set(saved):
            return None
        return restored(self.path, self._device, self.weights)[1]

    def method(self, plan: Plan, model: str) -> Method:
        """The method with the weights in it; those of others go into the plan's network `model`."""
        if self.own_method is not None:
            _check(self.own_method, model, self.path)
            return self.own_method
        prepare(plan.run.seed, self._threads, deterministic=False)
        made = method_of(plan.run.paper, plan.method)
        method = made(plan, steps_per_epoch=1, device=self._device, amp=False)
        _check(method, model, plan.run)
        method.load_weights({name: self.weights(name) for name in plan.settings.weights()})
        fill(method.networks[model], model, self.path, plan.run.row)
        return method

    def score(
        self, method: Method, model: str, held_out: HeldOut, layout: Layout, target: Path, name: str
    ) -> dict[str, str]:
        """Write the scores of a set to `target`, for a model called `name`.

        Returns the content keys of the stores that were read.
        """
        stores = {
            front_end: _store(method.plan, held_out, layout, front_end)
            for front_end in held_out.inputs
        }
        clips = EvalSet(held_out, layout)
        if not len(clips):
            path = layout.table(held_out.subset, "clips")
            raise SedreproError(f"{path}: no clip of set {held_out.name!r} is here")

        def batches() -> Iterator[Any]:
            return clips.batches(method.settings.training.score_batch, method.device)

        if self.own_method is None:
            method.prepare(batches)
        with score_file(target, method.plan, "") as scores:
            scores.add(clips, name, score(method, model, clips))
        return stores

    @cached_property
    def _device(self) -> Any:
        import torch

        wanted = self.device == "cuda" or (self.device == "auto" and torch.cuda.is_available())
        return choose(self.device, int(wanted))

    @property
    def _threads(self) -> int:
        import torch

        return torch.get_num_threads()


def _check(method: Method, model: str, where: object) -> None:
    if model not in method.models():
        models = ", ".join(method.models())
        raise SedreproError(f"{where}: has no model {model!r}; models are {models}")


def _store(plan: Plan, held_out: HeldOut, layout: Layout, front_end: str) -> str:
    """The content key of a store, which must be of the front end that the network was made for."""
    path = layout.store(held_out.subset, front_end)
    if not Path(path).exists():
        raise SedreproError(f"{path}: not made yet; `snakemake {path}` makes it")
    store = intact(path)
    if store.attributes["front_end"] != plan.front_ends[front_end].model_dump(mode="json"):
        raise SedreproError(f"{path}: is of other settings of {front_end} than the network reads")
    return store.content_key
