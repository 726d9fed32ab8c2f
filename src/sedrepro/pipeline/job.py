"""How a workflow script runs: its log, its settings, and failures as one clear line."""

from __future__ import annotations

import contextlib
import io
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from .. import papers
from ..errors import SedreproError
from ..files import ERROR, Disk, full_disk
from ..liveness import ending_with_driver
from ..progress import reporting
from ..settings import Plan
from ..settings.tasks import EvaluateTask, Task, TrainTask
from ..training.stopping import Interrupted

AnyTask = TypeVar("AnyTask", bound=Task)


@contextlib.contextmanager
def job(snakemake: Any, kind: type[AnyTask], *, outlives_driver: bool = False) -> Iterator[AnyTask]:
    """The script's task; what is printed goes to its log, a `SedreproError` is its last line.

    `outlives_driver` is for a script that itself sees to its end when its driver has died.
    """
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    # On a full disk the log ends early; the error must be said nevertheless.
    out = io.TextIOWrapper(io.BufferedWriter(Disk(log, "w")), encoding="utf-8", line_buffering=True)
    with (
        contextlib.nullcontext() if outlives_driver else ending_with_driver(),
        out,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(out),
    ):
        try:
            with full_disk(log.parent), reporting(log, name_of(log)):
                yield kind.of(snakemake)
            return
        except Interrupted as stopped:
            line = str(stopped)
        except SedreproError as error:
            line = f"{ERROR}{error}"
        except KeyboardInterrupt:  # Ctrl-C reaches the driver and all its jobs
            line = "stopped; the next start makes it anew"
        except Exception as error:
            traceback.print_exc()
            line = f"{ERROR}{type(error).__name__}: {error}"
        print(line)
    print(line, file=sys.stderr)
    raise SystemExit(1)


def name_of(log: Path) -> str:
    """A job's name, by its log: the rule, and what it is for."""
    return f"{log.parent.name} {log.stem}" if log.parent.name != "logs" else log.stem


def plan_of(task: TrainTask | EvaluateTask) -> Plan:
    """The run a task is about."""
    return Plan.restore(task.run, papers.settings_models()[task.run["paper"]])


def checkout(snakemake: Any) -> Path:
    """Where the workflow lies."""
    return Path(snakemake.scriptdir).parents[1]
