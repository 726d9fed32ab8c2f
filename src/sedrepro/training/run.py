"""One run, from its stores to its folder: lock, key, train or republish, score, record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .. import chain, tables
from ..clips import portions
from ..errors import SedreproError
from ..files import digest, file_digest, open_atomic, write_json
from ..kept import REPUBLISHED
from ..settings import Layout, Plan, Project, Subset
from ..settings.runs import IDENTITY, MADE_WITH
from ..settings.tasks import DROPOUT
from ..sources import released, weights
from ..store import creating, intact
from .record import code, hardware, packages, write_table
from .state import OUTPUTS, State
from .stopping import Stop, exclusive

EXAMPLES = 8
"""Clips whose input and maps a run leaves; `report.examples` of them are shown."""


def train(plan: Plan, project: Project, layout: Layout, *, gpus: int = 0, threads: int = 1) -> None:
    """Make the run folder of `plan` whole. Finished work with the same key is only republished."""
    state = State(Path(layout.run(plan.run)))
    with exclusive(state.lock), Stop() as stop:
        data = audit(plan, layout)
        needed = plan.settings.weights()
        lacking = [why for name in needed if (why := weights.lacking(name, project))]
        if plan.released is not None:
            lacking += filter(None, [released.lacking(plan.released, project)])
        files = {} if lacking else {name: weights.path(name, project) for name in needed}
        if plan.released is not None and not lacking:
            files[plan.released.resource] = released.place(plan.released, project)
        reason = "; ".join(lacking) or _data_missing(plan, data) or _source_missing(plan, layout)
        link = run_link(plan, data, layout, files, precision(project, gpus), project.compile)
        state.open(link["key"])
        if state.finished:
            print(f"{REPUBLISHED}: key {link['key']}")
        elif reason:
            not_run(plan, state, link, data, reason)
        else:
            Fit(plan, project, layout, state, stop, link, data, files).run(gpus, threads)
        state.publish()


def precision(project: Project, gpus: int) -> str:
    """What a run computes with: mixed precision is for GPUs, and for CPUs only where asked for."""
    if not project.amp:
        return "float32"
    from ..inference.devices import bfloat16_pays, kind

    if kind(project.device, gpus) == "cuda":
        return "bf16"
    if project.amp != "cpu":
        return "float32"
    if bfloat16_pays():
        return "bf16"
    print("amp: cpu: this processor is not faster in bfloat16, so float32 it is")
    return "float32"


def audit(plan: Plan, layout: Layout) -> dict[str, dict[str, Any]]:
    """What the run reads: per store its content key, clips, and expected and found counts."""
    found = {}
    for subset in dict.fromkeys(subset for subset, _ in plan.inputs()):
        chain.refuse_changed(layout.tables_key(subset), "tables")
    for subset, front_end in plan.inputs():
        path = layout.store(subset, front_end)
        store = intact(path)
        counts = tables.read(layout.table(subset, "audit"), tables.AUDIT).iloc[0]
        found[f"{subset.corpus}/{subset.name}.{front_end}"] = {
            "corpus": subset.corpus,
            "subset": subset.name,
            "content_key": store.content_key,
            "clips": len(store),
            "expected": int(counts["expected"]),
            "found": int(counts["found"]),
            "note": store.attributes.get("lacking") or str(counts["note"]),
            "origin": str(counts["origin"]),
        }
    return found


def _data_missing(plan: Plan, data: Mapping[str, Mapping[str, Any]]) -> str | None:
    """Why the data do not allow the run."""
    empty = {Subset(d["corpus"], d["subset"]): d for d in data.values() if d["clips"] == 0}
    reasons = [
        f"{subset.corpus} {subset.name}: none of {empty[subset]['expected']} clips"
        + (f" ({empty[subset]['note']})" if empty[subset]["note"] else "")
        for subset in plan.missing_required_subsets(empty)
    ]
    return "; ".join(reasons) or None


def _source_missing(plan: Plan, layout: Layout) -> str | None:
    """Why there is no run to start from."""
    if plan.source is None:
        return None
    described = chain.read(layout.run(plan.source, "run.json"))
    if described["status"] != "not_run":
        return None
    return f"{plan.source}, which it starts from: {described['reason']}"


def run_link(
    plan: Plan,
    data: Mapping[str, Mapping[str, Any]],
    layout: Layout,
    files: Mapping[str, Path] | None = None,
    precision: str = "float32",
    compiled: bool | str = False,
) -> dict[str, Any]:
    """The run in the chain of keys: settings, seed, and the content of everything read.

    How its scores are decoded is no part of it. `files` are pre-trained weights by resource.
    Compiled steps add in another order, so the key says so; of others it says nothing.
    """
    how = {"compile": compiled} if compiled else {}
    subsets = {(d["corpus"], d["subset"]) for d in data.values()}
    depends = {
        "run": plan.describe_training(),
        "numerics": {"precision": precision, "dropout": DROPOUT, **how},
    }
    parents = {
        "stores": {name: d["content_key"] for name, d in sorted(data.items())},
        "events": {
            f"{corpus}/{subset}": file_digest(layout.table(Subset(corpus, subset), "events"))
            for corpus, subset in sorted(subsets)
        },
        "portions": digest(portions(plan, layout)),
        "weights": {name: file_digest(path) for name, path in (files or {}).items()},
        "source": _source_link(plan, layout),
    }
    return chain.link("run", depends, parents) | {"numerics": depends["numerics"]}


def _source_link(plan: Plan, layout: Layout) -> dict[str, str] | None:
    """The key and the checkpoint of the run this one starts from."""
    if plan.source is None:
        return None
    described = chain.read(layout.run(plan.source, "run.json"))
    path = Path(layout.run(plan.source, "checkpoint.pt"))
    made = described.get("status") != "not_run"  # else there is the reason, and no checkpoint
    if made and not (path.exists() and file_digest(path) == described["content"]["checkpoint.pt"]):
        raise SedreproError(
            f"{path}: is not what the run wrote; "
            f"`sedrepro forget {plan.source}`, then start again, makes that run anew"
        )
    return {"key": described["key"], "checkpoint": described["content"]["checkpoint.pt"]}


def record(
    plan: Plan,
    link: Mapping[str, Any],
    folder: Path,
    data: Mapping[str, Any],
    status: str,
    reason: str = "",
    **more: Any,
) -> dict[str, Any]:
    """`run.json`: everything one would ask about a run, and the content of its other files."""
    described = plan.describe_training()
    return {
        "status": status,
        "reason": reason,
        "run": {name: described[name] for name in IDENTITY},
        **{name: described[name] for name in MADE_WITH},
        **link,
        "content": {name: file_digest(folder / name) for name in OUTPUTS[:-1]},
        "data": data,
        "code": code(),
        "packages": packages(),
        **more,
    }


def not_run(
    plan: Plan, state: State, link: Mapping[str, Any], data: Mapping[str, Any], reason: str
) -> None:
    """A run whose data cannot be had is finished too: it says why."""
    with state.finishing() as folder:
        write_table(folder / "history.csv", [], ["epoch", "step"])
        write_table(folder / "timing.csv", [], ["epoch", "seconds"])
        (folder / "checkpoint.pt").write_bytes(b"")
        for name in ("scores.h5", "examples.h5"):
            with creating(folder / name) as (file, _):
                file.attrs["status"] = "not_run"
        write_json(folder / "run.json", record(plan, link, folder, data, "not_run", reason))


class Fit:
    """Training (or not, for an untrained row), scores, and the record. Imports torch."""

    def __init__(
        self,
        plan: Plan,
        project: Project,
        layout: Layout,
        state: State,
        stop: Stop,
        link: Mapping[str, Any],
        data: Mapping[str, Any],
        files: Mapping[str, Path],
    ) -> None:
        self.plan = plan
        self.project = project
        self.layout = layout
        self.state = state
        self.stop = stop
        self.link = link
        self.data = data
        self.files = files

    def run(self, gpus: int, threads: int) -> None:
        from ..inference.devices import choose, prepare
        from ..inference.networks import load_networks
        from ..networks.released import released_networks
        from ..networks.weights import load_checkpoint
        from ..papers import method_of
        from .data import EvalSet, Loader
        from .record import Cost
        from .tensorboard import TensorBoard
        from .trainer import Trainer

        device = choose(
            self.project.device,
            gpus,
            self.project.gpu_share,
            lambda: self.stop.check(self.plan.run, "while it waited for a GPU"),
        )
        prepare(self.plan.run.seed, threads, self.project.deterministic)
        loader = None
        if self.plan.kind == "train":
            resident = self.project.device_store_gb * 2**30
            loader = Loader(self.plan, self.layout, device=device, resident_bytes=resident)
        method = method_of(self.plan.run.paper, self.plan.method)(
            self.plan,
            steps_per_epoch=loader.steps if loader else 1,
            device=device,
            amp=self.link["numerics"]["precision"] == "bf16",
        )
        method.load_weights(self.files)
        if self.plan.released is not None:
            path = self.files[self.plan.released.resource]
            load_networks(method, released_networks(path, self.plan.released.layout), path)
        method.compiling = self.project.compile
        if self.plan.source is not None:
            saved = load_checkpoint(self.layout.run(self.plan.source, "checkpoint.pt"), device)
            method.start_from(saved["networks"]["headline"])
        eval_sets = [EvalSet(h, self.layout) for h in self.plan.held_out]
        size = self.plan.settings.training.score_batch

        def scored_clips() -> Iterator[Any]:
            for one in eval_sets:
                yield from one.batches(size, device)

        method.prepare(loader.clips if loader else scored_clips)
        if loader:
            board = None
            if self.project.report.tensorboard:
                board = TensorBoard(Path(self.layout.results, "tensorboard", self.plan.run.folder))
            trainer = Trainer(
                method,
                loader,
                eval_sets,
                self.layout,
                state=self.state,
                stop=self.stop,
                board=board,
            )
            trainer.run()
            self._finish(method, eval_sets, trainer, trainer.cost)
        else:
            self._finish(method, eval_sets, None, Cost(device))

    def _finish(self, method: Any, eval_sets: list[Any], trainer: Any, cost: Any) -> None:
        """Score every kept checkpoint, draw the examples' maps, write the folder."""
        import torch

        from ..inference.networks import load_networks
        from .scoring import score, score_file, write_examples

        kept = self._kept(method, trainer)
        scored = [h for h in eval_sets if len(h)]
        reported = [h for h in scored if h.spec.reports]
        with self.state.finishing() as folder:
            with score_file(folder / "scores.h5", self.plan, self.link["key"]) as scores:
                for suffix, networks in reversed(kept.items()):
                    load_networks(method, networks, "this run")
                    for one in scored:
                        for model in method.models():
                            found = score(method, model, one, self.stop)
                            scores.add(one, model + suffix, found)
            # The headline checkpoint was loaded last: the maps are its.
            write_examples(
                folder / "examples.h5",
                method,
                reported[0] if reported else None,
                self.layout,
                EXAMPLES,
            )
            history = trainer.history if trainer else []
            write_table(folder / "history.csv", history, ["epoch", "step"])
            timing = trainer.timing if trainer else []
            write_table(folder / "timing.csv", timing, ["epoch", "seconds"])
            checkpoint = {
                "key": self.link["key"],
                "schema": self.link["schema"],
                "plan": self.plan.describe_training(),
                "networks": dict(zip(_names(kept), kept.values(), strict=True)),
                "method": method.state(),
            }
            with open_atomic(folder / "checkpoint.pt") as disk:
                torch.save(checkpoint, disk)
            best = trainer.best if trainer else None
            write_json(
                folder / "run.json",
                record(
                    self.plan,
                    self.link,
                    folder,
                    self.data,
                    "done",
                    parameters={
                        name: sum(p.numel() for p in net.parameters())
                        for name, net in method.networks.items()
                    },
                    selected=best and {"epoch": best["epoch"], "value": best["value"]},
                    steps=trainer.step if trainer else 0,
                    hardware=hardware(method.device)
                    | {"amp": method.amp, "deterministic": self.project.deterministic},
                    cost=cost.total(),
                ),
            )

    def _kept(self, method: Any, trainer: Any) -> dict[str, dict[str, Any]]:
        """Score-name suffix → networks; the headline checkpoint has no suffix."""
        if trainer is None:
            states = {name: dict(net.state_dict()) for name, net in method.networks.items()}
            return {"": states}
        available = {"best": trainer.best["networks"], "last": trainer.networks()}
        if trainer.best_test is not None:
            available["best_test"] = trainer.best_test["networks"]
        keep = self.plan.settings.training.keep
        return {
            "" if place == 0 else f"@{name}": available[name] for place, name in enumerate(keep)
        }


def _names(kept: Mapping[str, Any]) -> list[str]:
    return [suffix.removeprefix("@") or "headline" for suffix in kept]


def forget(run_folder: str | Path) -> None:
    """Drop everything a run keeps, so that it is trained anew."""
    folder = Path(run_folder)
    if not folder.is_dir():
        raise SedreproError(f"{folder}: no such run folder")
    state = State(folder)
    with exclusive(state.lock, patience=1.0):
        state.forget()
