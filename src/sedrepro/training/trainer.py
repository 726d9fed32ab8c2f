"""The one trainer, for every paper: steps, averages, validation, checkpoints, resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor

from .. import progress
from ..errors import SedreproError
from ..files import open_atomic
from ..inference.devices import random_state, restore_random_state
from ..inference.networks import load_networks
from ..networks.weights import load_checkpoint
from ..papers.contract import MEASURE, Batch, Epoch, Method, Term
from ..progress import duration
from ..settings import Layout
from .data import EvalSet, Loader
from .record import Cost, write_table
from .scoring import score
from .selection import Judge, is_finite
from .state import State
from .stopping import Stop

Judges = dict[str, tuple[EvalSet, Judge]]
KEPT = (
    "epoch",
    "position",
    "step",
    "sums",
    "weights",
    "history",
    "timing",
    "best",
    "best_test",
)


class Trainer:
    """Trains a method to the end of its schedule, from wherever its state says it was."""

    def __init__(
        self,
        method: Method,
        loader: Loader,
        eval_sets: list[EvalSet],
        layout: Layout,
        *,
        state: State,
        stop: Stop,
        board: Callable[[Mapping[str, Any]], None] | None = None,
    ) -> None:
        self.method = method
        self.loader = loader
        self.stop = stop
        self.state = state
        self.board = board
        self.plan = method.plan
        self.options = method.settings.training
        self.judges = {
            h.spec.name: (h, Judge(h, self.plan, layout)) for h in eval_sets if h.spec.selects
        }
        self.tests: Judges = {}
        if "best_test" in self.options.keep:
            self.tests = self._tests(eval_sets, layout)
        self.optimiser = method.optimiser()
        self.base_rates = [group["lr"] for group in self.optimiser.param_groups]
        self.epoch = self.position = self.step = 0
        self.sums: dict[str, Tensor] = {}
        self.weights: dict[str, float] = {}
        self.history: list[dict[str, Any]] = []
        self.timing: list[dict[str, Any]] = []
        self.best: dict[str, Any] | None = None
        self.best_test: dict[str, Any] | None = None
        self.pending: tuple[int, int, Tensor] | None = None
        if not method.full_rate_first:
            self._set_rates()
        saved = self._load()
        self.cost = Cost(method.device, saved)

    def run(self) -> None:
        """All remaining epochs."""
        while self.epoch < self.options.epochs:
            began = time.monotonic()
            for batch in self.loader.epoch(self.epoch, self.position):
                self._step(batch)
                self._report()
                if self.stop:
                    self.save()
                    self.stop.check(self.plan.run, f"at epoch {self.epoch}, batch {self.position}")
            self._end_epoch(time.monotonic() - began)
            if self.epoch % self.options.checkpoint_every == 0 or self.stop:
                self.save()
                self.stop.check(self.plan.run, f"after epoch {self.epoch - 1}")
        progress.current()(1.0, "trained; scoring", force=True)

    def _report(self, *, force: bool = False) -> None:
        progress.current()(self._done(), f"epoch {self._epoch_of()}", force=force)

    def _done(self) -> float:
        """The share of the schedule that is behind us."""
        return (self.epoch + self.position / self.loader.steps) / self.options.epochs

    def _epoch_of(self) -> str:
        return f"{min(self.epoch + 1, self.options.epochs)} of {self.options.epochs}"

    def _step(self, batch: Batch) -> None:
        self.step += 1
        self.method.networks.train()
        if self.method.compiling == "graphs":
            torch.compiler.cudagraph_mark_step_begin()  # what the last step's graphs gave is used
        terms = self.method.losses(batch, self.step)
        total = reduce(add, [term.weight * term.value for term in terms.values()])
        self._check_finite((self.epoch, self.position, total.detach()))
        if self.method.average_before_step:
            self._average()
        self.optimiser.zero_grad(set_to_none=True)
        total.backward()
        if self.options.clip_norm is not None:
            trained = [p for g in self.optimiser.param_groups for p in g["params"]]
            torch.nn.utils.clip_grad_norm_(trained, self.options.clip_norm)
        self.optimiser.step()
        if not self.method.average_before_step:
            self._average()
        self._set_rates()
        for name, term in {**terms, "total": Term(1.0, total)}.items():
            value = term.value.detach().double()
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value
            self.weights[name] = float(term.weight)
        self.position += 1

    def _set_rates(self) -> None:
        factor = self.method.rate(self.step)
        for group, base in zip(self.optimiser.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor

    @torch.no_grad()
    def _average(self) -> None:
        for follower, leader in self.method.averaged().items():
            decay = self.method.decay(self.step)
            followers: list[Tensor] = list(self.method.networks[follower].parameters())
            leaders: list[Tensor] = list(self.method.networks[leader].parameters())
            torch._foreach_mul_(followers, decay)
            torch._foreach_add_(followers, leaders, alpha=1 - decay)

    def _check_finite(self, latest: tuple[int, int, Tensor] | None) -> None:
        """Look at a loss one step late, so that a GPU is never waited for."""
        if self.pending is not None:
            epoch, position, total = self.pending
            if not torch.isfinite(total):
                raise SedreproError(
                    f"{self.plan.run}: the loss is {total.item()} at epoch {epoch}, "
                    f"batch {position}"
                )
        self.pending = latest

    def _end_epoch(self, seconds: float) -> None:
        self._check_finite(None)
        rates = [group["lr"] for group in self.optimiser.param_groups]
        row: dict[str, Any] = {"epoch": self.epoch, "step": self.step, "rate": rates[0]}
        for name, value in self.sums.items():
            column = name if name.startswith(MEASURE) else f"loss/{name}"
            row[column] = value.item() / self.loader.steps
        row |= {
            f"weight/{name}": weight
            for name, weight in self.weights.items()
            if name != "total" and not name.startswith(MEASURE)
        }
        last = self.epoch + 1 == self.options.epochs
        metrics = {}
        ended = self.epoch
        if last or (ended + 1) % self.options.validate_every == 0:
            self.method.before_scores(lambda: self.loader.epoch(ended))
            metrics = self._validate(self.judges)
            row |= {f"select/{name}": value for name, value in metrics.items()}
        self.method.on_epoch(Epoch(ended, metrics, lambda: self.loader.epoch(ended)))
        self._set_rates()  # a schedule may have looked at the validation
        score = self.method.select(metrics) if metrics else float(ended)
        if (metrics or not self.judges) and (self.best is None or score > self.best["value"]):
            self.best = {"epoch": ended, "value": score, "networks": self.networks()}
        if metrics and self.tests:
            value_there = self.method.select(self._validate(self.tests))
            if self.best_test is None or value_there > self.best_test["value"]:
                networks = self.networks()
                self.best_test = {"epoch": ended, "value": value_there, "networks": networks}
        if metrics:
            row["select"] = score
        self.history.append(row)
        self.timing.append({"epoch": ended, "seconds": round(seconds, 3)})
        self._tell(row, seconds)
        self.epoch = ended + 1
        self.position = 0
        self.sums = {}
        self.weights = {}

    def _tell(self, row: Mapping[str, Any], seconds: float) -> None:
        """A line for the log, and the history so far with what each epoch took."""
        left = progress.current().left((self.epoch + 1) / self.options.epochs)
        parts = [f"epoch {self._epoch_of()}: loss {row.get('loss/total', math.nan):.4f}"]
        if "select" in row and self.best is not None:
            best = f"best {self.best['value']:.4f} of epoch {self.best['epoch'] + 1}"
            parts.append(f"selection {row['select']:.4f}, {best}")
        parts += [f"rate {row['rate']:.2e}", duration(seconds)]
        parts += [] if left is None else [f"about {duration(left)} left"]
        print(", ".join(parts))
        timed = [{"seconds": one["seconds"]} for one in self.timing]
        rows = [past | took for past, took in zip(self.history, timed, strict=True)]
        rows[-1] = rows[-1] | {"seconds_left": "" if left is None else round(left)}
        write_table(self.state.history, rows, ["epoch", "step"])
        if self.board is not None:
            self.board(self.history[-1] | {"seconds": seconds})

    def _tests(self, eval_sets: list[EvalSet], layout: Layout) -> Judges:
        """The reported set in the place of the one that selects, for the selection on test data."""
        reported = [h for h in eval_sets if h.spec.reports and len(h)]
        return {
            name: (h, Judge(h, self.plan, layout))
            for name, h in zip(self.judges, reported, strict=False)
        }

    def _validate(self, judges: Judges) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, (eval_set, judge) in judges.items():
            for model in self.method.models():
                # Never cut short: the validation's row belongs to one epoch.
                scores = score(self.method, model, eval_set)
                if not is_finite(scores):
                    raise SedreproError(
                        f"{self.plan.run}: scores of {model} on {name} are not finite at epoch "
                        f"{self.epoch}"
                    )
                found |= {f"{name}/{model}/{m}": v for m, v in judge(scores).items()}
        return found

    def networks(self) -> dict[str, Any]:
        """A copy of every network's state on the CPU."""
        states = {name: net.state_dict() for name, net in self.method.networks.items()}
        return {
            name: {key: value.detach().to("cpu", copy=True) for key, value in state.items()}
            for name, state in states.items()
        }

    def save(self) -> None:
        """Write the resumable checkpoint: everything the next step depends on."""
        with open_atomic(self.state.resume) as disk:
            torch.save(
                {
                    "networks": self.networks(),
                    "optimiser": self.optimiser.state_dict(),
                    "method": self.method.state(),
                    "random": random_state(),
                    **{name: getattr(self, name) for name in KEPT},
                    "cost": self.cost.total(),
                },
                disk,
            )

    def _load(self) -> Mapping[str, Any] | None:
        """Take up the state of an earlier start, if there is one; its cost is returned."""
        if not self.state.resume.exists():
            return None
        saved = load_checkpoint(self.state.resume, self.method.device)
        load_networks(self.method, saved["networks"], self.state.resume)
        self.optimiser.load_state_dict(saved["optimiser"])
        self.method.load_state(saved["method"])
        for name in KEPT:
            setattr(self, name, saved[name])
        restore_random_state(saved["random"])
        return saved["cost"]
