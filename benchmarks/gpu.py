"""What each paper's own method costs on a GPU, in every form that a step can have.

    python benchmarks/gpu.py [--device cuda] [--minutes 8] [--configfile FILE …]

Eager in float32 and in mixed precision, compiled, and as CUDA graphs; how busy the device was; how
near the gradients of mixed precision are; and how many steps LGC makes in an hour when several jobs
share the device. What there is no time for is left out. Batches are random, so no data are needed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import torch
from machine import line, table

from sedrepro import papers, places, settings
from sedrepro.pipeline.costs import Costs
from sedrepro.settings import Plan, Project, Run
from sedrepro.sources import registry
from sedrepro.training.rehearsal import Files, alone, headline_runs
from training import prepared, timed

FORMS = {
    "float32": {},
    "bf16": {"amp": True},
    "compiled": {"amp": True, "compiling": True},
    "graphs": {"amp": True, "compiling": "graphs"},
}
SHARES = (1, 2, 4, 8)
SHARED = ("lgc_sed", "lgc")
PROFILED = 3
"""Steps over which the device's busy time is summed."""


def chosen(project: Project) -> list[Run]:
    """The last headline row of each paper that trains: the paper's own method."""
    last = {run.paper: run for run in headline_runs(project, papers.settings_models())}
    return list(last.values())


def planned(project: Project, run: Run) -> Plan:
    return settings.plan(project, run, papers.settings_models()[run.paper])


def one(plan: Plan, files: dict[str, Path], device: str, steps: int, form: str) -> dict[str, Any]:
    """A row in one form: seconds a step, GiB, and the share of the time the device was busy."""
    how = FORMS[form]
    where = torch.device(device)
    made = prepared(plan, where, 100, how.get("amp", False), files)
    made.method.compiling = how.get("compiling", False)
    seconds, peak = timed(made, where, steps)
    found = {"seconds": seconds, "peak": None, "busy": None}
    if where.type == "cuda":
        found["peak"] = peak
        begin = time.perf_counter()
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as seen:
            for _ in range(PROFILED):
                made._step(made.drawn)
            torch.cuda.synchronize()
        took = (time.perf_counter() - begin) * 1e6
        found["busy"] = sum(event.self_device_time_total for event in seen.key_averages()) / took
    return found


def parity(plan: Plan, files: dict[str, Path], device: str) -> dict[str, Any]:
    """The cosine between the gradients of one step in float32 and in mixed precision."""
    gradients = []
    for amp in (False, True):
        made = prepared(plan, torch.device(device), 100, amp, files)
        for module in made.method.networks.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0  # masks need not be the same in both
        torch.manual_seed(0)
        made._step(made.drawn)
        trained = [p for group in made.optimiser.param_groups for p in group["params"]]
        learnt = [p.grad.flatten().float() for p in trained if p.grad is not None]
        gradients.append(torch.cat(learnt))
    return {"cosine": float(torch.cosine_similarity(*gradients, dim=0))}


def sharing(plan: Plan, device: str, steps: int, begin: Any) -> float:
    """Seconds a step takes while others do the same; all begin together."""
    where = torch.device(device)
    made = prepared(plan, where, 100, True, {})
    made._step(made.drawn)
    begin.wait()
    return timed(made, where, steps)[0]


def cell(value: float | None, form: str) -> str:
    """A number, or nothing."""
    return "" if value is None else format(value, form)


def forms_of(project: Project, device: str, steps: int, end: float) -> list[list[str]]:
    """A line for each paper's row in each form, the quick forms of all papers first."""
    costs = Costs(project, papers.settings_models(), registry.load(places.checkout()), {"rows": []})
    forms = [form for form in FORMS if device == "cuda" or form == "float32"]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        drawn = Files(project, Path(folder))
        plans = [planned(project, run) for run in chosen(project)]
        files = [{name: drawn.of(name)[0] for name in p.settings.weights()} for p in plans]
        for form in forms:
            for plan, given in zip(plans, files, strict=True):
                if time.monotonic() > end:
                    continue
                found = alone(one, plan, given, device, steps, form)
                name = [f"{plan.run.paper} {plan.run.row}", form, str(plan.batch)]
                if "problem" in found:
                    rows.append([*name, found["problem"][:80], "", "", "", ""])
                    continue
                epoch = costs.steps(plan)
                whole = found["seconds"] * (epoch or 0) * plan.settings.training.epochs / 3600
                cosine = alone(parity, plan, given, device) if form == "bf16" else {}
                rows.append(
                    [
                        *name,
                        f"{found['seconds'] * 1e3:.1f}",
                        cell(found["busy"], ".0%"),
                        cell(found["peak"], ".2f"),
                        cell(whole or None, ".1f"),
                        cosine.get("problem", "")[:80] or cell(cosine.get("cosine"), ".5f"),
                    ]
                )
    return rows


def shared(project: Project, device: str, steps: int, end: float) -> list[list[str]]:
    """LGC's steps an hour when so many jobs share the device."""
    run = next((r for r in chosen(project) if (r.paper, r.row) == SHARED), None)
    rows = []
    for jobs in SHARES if run else ():
        if time.monotonic() > end:
            break
        context = multiprocessing.get_context("spawn")
        with context.Manager() as manager, ProcessPoolExecutor(jobs, context) as pool:
            given = (planned(project, run), device, steps, manager.Barrier(jobs))
            took = [pool.submit(sharing, *given) for _ in range(jobs)]
            seconds = [future.result() for future in took]
        hourly = sum(3600 / one for one in seconds)
        rows.append([str(jobs), f"{max(seconds) * 1e3:.1f}", f"{hourly:,.0f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--configfile", nargs="*", default=[])
    given = parser.parse_args()
    end = time.monotonic() + given.minutes * 60
    project = settings.load({}, papers=papers.settings_models(), files=given.configfile)
    work = (project, given.device, given.steps)
    together = shared(*work, end - given.minutes * 45)  # a quarter of the time
    rows = forms_of(*work, end)
    columns = ["row", "form", "clips", "ms a step", "busy", "GiB", "hours a run", "bf16 cosine"]
    table(columns, rows)
    table(["LGC jobs on the device", "ms a step", "steps an hour in all"], together)
    if given.device == "cuda":
        print(torch.cuda.get_device_name())
    line()


if __name__ == "__main__":
    main()
