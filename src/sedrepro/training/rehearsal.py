"""A few full-size steps of each headline row on random batches: what a run costs here."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import settings
from ..files import write_json
from ..settings import Layout, PaperSettings, Plan, Project, Run
from ..sources import weights

if TYPE_CHECKING:
    import torch

    from .trainer import Trainer

STEPS = 3
"""Measured steps, after one that is not."""
CPU_BATCH = 6
"""About so many clips make a batch on a CPU; what a whole batch takes is extrapolated."""

Models = dict[str, type[PaperSettings]]


def headline_runs(project: Project, models: Models) -> list[Run]:
    """One run of each headline row that trains: the first condition, fold and seed."""
    found = []
    for paper in project.selected_papers():
        spec = project.papers[paper]
        for row in spec.headline:
            if spec.table[row].kind == "train":
                found.append(Run(paper, row, next(iter(spec.conditions)), 0, spec.run_folds[0]))
    return found


def with_share(project: Project, run: Run, models: Models, share: int) -> Plan:
    """The plan of a run whose batch, group by group, is `share` times smaller."""
    plan = settings.plan(project, run, models[run.paper])
    full: Any = plan.settings
    groups = full.model_dump()["batch"]
    if isinstance(groups, dict):
        batch = type(full.batch)(**{name: max(1, n // share) for name, n in groups.items()})
    else:
        batch = max(1, groups // share)
    made = full.model_copy(update={"batch": batch})
    return Plan(**{**vars(plan), "settings": made})


class RandomLoader:
    """Stands in for the loader of batches: one random batch, of the size that the streams ask."""

    def __init__(self, plan: Plan, device: torch.device, steps: int) -> None:
        import torch

        from ..papers.contract import Batch

        grid, classes, streams = plan.grid, len(plan.classes), plan.streams
        count = sum(stream.group for stream in streams)
        parts: dict[str, slice] = {}
        start = 0
        for stream in streams:
            parts[stream.name] = slice(start, start + stream.group)
            start += stream.group
        self.steps = steps
        self.batch = Batch(
            {
                name: torch.rand(count, *plan.front_ends[name].shape, device=device)
                for name in streams[0].inputs
            },
            (torch.rand(count, grid.frames, classes, device=device) > 0.9).float(),
            (torch.rand(count, classes, device=device) > 0.8).float(),
            parts,
        )


def trainer(
    plan: Plan, device: torch.device, steps: int, amp: bool, files: dict[str, Path]
) -> tuple[Trainer, Any]:
    """A trainer before its first step, and the one batch it is given."""
    from ..papers import method_of
    from .state import State
    from .stopping import Stop
    from .trainer import Trainer

    method = method_of(plan.run.paper, plan.method)(
        plan, steps_per_epoch=steps, device=device, amp=amp
    )
    method.load_weights(files)
    loader: Any = RandomLoader(plan, device, steps)
    state = State(Path(tempfile.gettempdir()) / "sedrepro-rehearsal")
    made = Trainer(method, loader, [], Layout("", ""), state=state, stop=Stop())
    return made, loader.batch


def measure(
    project: Project, run: Run, models: Models, share: int, gpus: int, files: dict[str, Path]
) -> dict[str, Any]:
    """Seconds and memory of a step and of a scored clip, in a process of its own."""
    import torch

    from ..inference.devices import choose, prepare
    from .run import precision

    device = choose(project.device, gpus, project.gpu_share)
    prepare(run.seed, 1, project.deterministic)
    plan = with_share(project, run, models, share)
    made, batch = trainer(plan, device, 10, precision(project, gpus) == "bf16", files)

    def steps(count: int = STEPS) -> None:
        for _ in range(count):
            made._step(batch)

    steps(1)
    seconds = _timed(steps, device) / STEPS
    made.method.networks.eval()
    model = made.method.models()[0]
    with torch.no_grad():
        scoring = _timed(lambda: made.method.scores(model, batch.inputs), device)
    on_gpu = device.type == "cuda"
    gpu_memory = torch.cuda.max_memory_allocated(device) / 2**20 if on_gpu else None
    return {
        "clips": len(batch.clips),
        "step_s": seconds,
        "clip_s": scoring / len(batch.clips),
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "gpu_memory_mb": gpu_memory,
    }


def _timed(work: Any, device: torch.device) -> float:
    import torch

    begin = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin


def rehearse(project: Project, models: Models, gpus: int) -> list[dict[str, Any]]:
    """Measure every headline row; what cannot be measured says why."""
    found = []
    for run in headline_runs(project, models):
        plan = settings.plan(project, run, models[run.paper])
        whole = sum(stream.group for stream in plan.streams)
        needed = plan.settings.weights()
        entry: dict[str, Any] = {"paper": run.paper, "row": run.row, "batch": whole}
        lacking = [why for name in needed if (why := weights.lacking(name, project))]
        if lacking:
            entry["problem"] = "; ".join(lacking)
        else:
            files = {name: weights.path(name, project) for name in needed}
            share = 1 if gpus else max(1, whole // CPU_BATCH)
            entry |= _in_a_process(project, run, models, share, gpus, files)
        print(as_line(entry), flush=True)
        found.append(entry)
    return found


def _in_a_process(*given: Any) -> dict[str, Any]:
    try:
        context = multiprocessing.get_context("spawn")
        quiet = (signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is told by this process, in one line
        with ProcessPoolExecutor(1, context, signal.signal, quiet) as pool:
            return pool.submit(measure, *given).result()
    except (BrokenProcessPool, MemoryError, RuntimeError) as error:
        return {"problem": " ".join(str(error).split())[:200]}


def as_line(entry: dict[str, Any]) -> str:
    """A measured row as a line."""
    name = f"{entry['paper']} {entry['row']}"
    if "problem" in entry:
        return f"{name}: not rehearsed ({entry['problem']})"
    whole = entry["step_s"] * entry["batch"] / entry["clips"]
    part = "" if entry["clips"] == entry["batch"] else f", from {entry['clips']} of them"
    memory = (entry["gpu_memory_mb"] or entry["memory_mb"]) / 1024
    return (
        f"{name}: {whole:.2f} s a step of {entry['batch']} clips{part}; "
        f"{entry['clip_s']:.3f} s a scored clip; {memory:.1f} GiB"
    )


def write(entries: list[dict[str, Any]], hardware: dict[str, Any], layout: Layout) -> None:
    """Where `sedrepro plan` finds it."""
    write_json(Path(layout.results, "rehearsal.json"), {"hardware": hardware, "rows": entries})
