"""A few full-size steps of each headline row on random batches: what a run costs here."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import settings
from ..errors import SedreproError
from ..files import write_json
from ..miniature import weights as stand_ins
from ..settings import Layout, PaperSettings, Plan, Project, Run, declared
from ..sources import weights

if TYPE_CHECKING:
    import torch

    from .trainer import Trainer

STEPS = 3
"""Measured steps, spread over the schedule, after one that is not measured."""
SCHEDULE = 100
"""Steps an epoch has in a rehearsal: some methods begin to do more after some epochs."""
CPU_BATCH = 6
"""About so many clips make a batch on a CPU; what a whole batch takes is extrapolated."""
SHORT = 5.0
"""A step of so few seconds is measured with its whole batch on a CPU too: much of it does not grow
with the clips."""
SMALLEST = 64
"""Where memory is short, a batch is made smaller again and again, up to so many times."""
GPU_SECONDS = 3.0
"""A GPU repeats the measured steps for so long: one is over too soon for its energy counter."""

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
        count = plan.batch
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
    """What a step and a scored clip take: seconds, memory and, on a GPU, energy."""
    import torch

    from ..inference.devices import choose, prepare
    from .run import precision

    device = choose(project.device, gpus, project.gpu_share)
    prepare(run.seed, 1, project.deterministic)
    plan = with_share(project, run, models, share)
    made, batch = trainer(plan, device, SCHEDULE, precision(project, gpus) == "bf16", files)
    made.method.compiling = project.compile
    before = _memory(device)

    def steps() -> None:
        whole = plan.settings.training.epochs * SCHEDULE
        for k in range(STEPS):
            made.step = int((k + 0.5) / STEPS * whole)
            made._step(batch)

    made._step(batch)
    step_s, energy = _timed(steps, device)
    made.method.networks.eval()
    model = made.method.models()[0]
    with torch.no_grad():
        scoring, _ = _timed(lambda: made.method.scores(model, batch.inputs), device)
    peak = _memory(device)
    return {
        "clips": len(batch.clips),
        "step_s": step_s / STEPS,
        "step_j": energy and energy / STEPS,
        "clip_s": scoring / len(batch.clips),
        "save_s": _saving(made),
        "before_mb": before,
        "peak_mb": peak,
    }


def _saving(made: Trainer) -> float:
    """Seconds that a resumable checkpoint takes."""
    from .state import State

    with tempfile.TemporaryDirectory() as folder:
        made.state = State(Path(folder))
        made.state.home.mkdir()
        begin = time.perf_counter()
        made.save()
        return time.perf_counter() - begin


def measure_encoder(project: Project, name: str, gpus: int, path: Path) -> dict[str, Any]:
    """What a clip takes that a frozen encoder hears once, before any training."""
    import torch

    from ..inference.devices import choose, prepare

    device = choose(project.device, gpus, project.gpu_share)
    prepare(0, 1, project.deterministic)
    front_end = project.front_ends[name]
    kind = declared.resolve(declared.FRONT_ENDS[front_end.kind].work)
    network = kind.load(front_end, path).to(device).eval()
    count = kind.batch if gpus else CPU_BATCH
    shape = project.front_ends[front_end.waveform].shape
    waves = torch.randint(-(2**14), 2**14, (count, *shape), dtype=torch.int16, device=device)
    waves[:, -1] = 0  # how often a clip was doubled
    with torch.inference_mode():
        network(waves)
        seconds, energy = _timed(lambda: network(waves), device)
    return {
        "clip_s": seconds / count,
        "clip_j": energy and energy / count,
        "peak_mb": _memory(device),
    }


def _memory(device: torch.device) -> float:
    """The most MiB that this process has used so far, on its GPU where it has one."""
    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _timed(work: Callable[[], Any], device: torch.device) -> tuple[float, float | None]:
    """Seconds and joules of some work.

    On a CPU they are seconds of the processor, which other programs hardly change.
    """
    import torch

    from .record import Cost

    if device.type != "cuda":
        begin = time.process_time()
        work()
        return time.process_time() - begin, None
    torch.cuda.synchronize(device)
    cost = Cost(device)
    rounds = 0
    begin = time.perf_counter()
    while time.perf_counter() - begin < GPU_SECONDS:
        work()
        torch.cuda.synchronize(device)
        rounds += 1
    seconds, energy = time.perf_counter() - begin, cost.total()["energy_j"]
    return seconds / rounds, energy and energy / rounds


def rehearse(project: Project, models: Models, gpus: int) -> dict[str, list[dict[str, Any]]]:
    """Measure every headline row and every frozen encoder they read; what fails says why."""
    rows, encoders = [], []
    with tempfile.TemporaryDirectory() as folder:
        files = Files(project, Path(folder))
        plans = [settings.plan(project, r, models[r.paper]) for r in headline_runs(project, models)]
        for plan in plans:
            entry = {"paper": plan.run.paper, "row": plan.run.row, "batch": plan.batch}
            entry |= _row(project, plan, models, gpus, files)
            print(as_line(entry), flush=True)
            rows.append(entry)
        for name in dict.fromkeys(name for plan in plans for name in plan.front_ends):
            kind = declared.FRONT_ENDS[project.front_ends[name].kind]
            if not kind.of_waveforms:
                continue
            entry = {"front_end": name} | _encoder(project, name, gpus, files)
            print(encoder_line(entry), flush=True)
            encoders.append(entry)
    return {"rows": rows, "encoders": encoders}


def _encoder(project: Project, name: str, gpus: int, files: Files) -> dict[str, Any]:
    """A frozen encoder's measurements."""
    try:
        path, which = files.of(declared.FRONT_ENDS[project.front_ends[name].kind].weights)
    except SedreproError as error:
        return {"problem": str(error)}
    return {"weights": which} | alone(measure_encoder, project, name, gpus, path)


def _row(project: Project, plan: Plan, models: Models, gpus: int, files: Files) -> dict[str, Any]:
    """A row's measurements, of as much of a batch as fits."""
    try:
        found = {name: files.of(name) for name in plan.settings.weights()}
    except SedreproError as error:
        return {"problem": str(error)}
    paths = {name: path for name, (path, _) in found.items()}
    random = sorted(name for name, (_, which) in found.items() if which == "random")
    whole = plan.batch
    share = 1 if gpus else max(1, whole // CPU_BATCH)
    while True:
        entry = alone(measure, project, plan.run, models, share, gpus, paths)
        if "problem" not in entry:
            quick = entry["step_s"] * whole / entry["clips"] < SHORT
            if quick and entry["clips"] < whole and not gpus:
                entry = alone(measure, project, plan.run, models, 1, gpus, paths)
            return entry | {"random": random}
        if not entry["short"] or share >= min(whole, SMALLEST):
            return entry
        share *= 2


class Files:
    """Pre-trained weights: those that are there, random ones of the same shape for the others.

    What a step costs does not depend on their values.
    """

    def __init__(self, project: Project, folder: Path) -> None:
        self.project = project
        self.folder = folder

    def of(self, resource: str) -> tuple[Path, str]:
        """The file of a resource, and whether its weights are `real` or `random`."""
        if not weights.lacking(resource, self.project):
            return weights.path(resource, self.project), "real"
        path = self.folder / f"{resource}.pt"
        if not path.exists():
            small = self.project.data.origin == "render"
            draw = stand_ins.content if small else stand_ins.full_size
            stand_ins.write(path, draw(resource, 0))
        return path, "random"


def alone(work: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
    """The result of some work in a process of its own, so that its memory is its own; else why
    there is none."""
    try:
        context = multiprocessing.get_context("spawn")
        quiet = (signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is told by this process, in one line
        with ProcessPoolExecutor(1, context, signal.signal, quiet) as pool:
            return pool.submit(work, *given).result()
    except (BrokenProcessPool, MemoryError) as error:  # the system ends what takes too much
        return {"problem": _words(error), "short": True}
    except Exception as error:  # whatever it is, other rows are measured nevertheless
        return {"problem": _words(error), "short": "out of memory" in str(error)}


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or "memory ran out"


def whole_memory(entry: Mapping[str, Any]) -> float:
    """MiB of a step with the whole batch: what a part of it took beyond the networks, in
    proportion."""
    batches = entry["batch"] / entry["clips"]
    return entry["before_mb"] + (entry["peak_mb"] - entry["before_mb"]) * batches


def as_line(entry: dict[str, Any]) -> str:
    """A measured row as a line."""
    name = f"{entry['paper']} {entry['row']}"
    if "problem" in entry:
        return f"{name}: not rehearsed ({entry['problem']})"
    whole = entry["step_s"] * entry["batch"] / entry["clips"]
    notes = []
    if entry["clips"] < entry["batch"]:
        notes.append(f"extrapolated from {entry['clips']} clips")
    if entry["random"]:
        notes.append(f"random weights for {', '.join(entry['random'])}")
    note = f" ({'; '.join(notes)})" if notes else ""
    return (
        f"{name}: {whole:.2f} s a step of {entry['batch']} clips; {entry['clip_s']:.3f} s a scored "
        f"clip; {whole_memory(entry) / 1024:.1f} GiB{note}"
    )


def encoder_line(entry: dict[str, Any]) -> str:
    """A measured encoder as a line."""
    if "problem" in entry:
        return f"{entry['front_end']}: not rehearsed ({entry['problem']})"
    return f"{entry['front_end']}: {entry['clip_s']:.3f} s a clip, heard once"


def write(found: dict[str, Any], hardware: dict[str, Any], layout: Layout) -> None:
    """Where `sedrepro plan` finds it."""
    write_json(Path(layout.results, "rehearsal.json"), {"hardware": hardware, **found})
