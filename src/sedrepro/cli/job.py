"""How a workflow script runs: its log, its settings, and failures as one clear line."""

from __future__ import annotations

import contextlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .. import papers, settings
from ..errors import SedreproError
from ..settings import Plan, Project


@contextlib.contextmanager
def job(snakemake: Any) -> Iterator[Project]:
    """Everything a script prints goes to its log; a `SedreproError` is its last line."""
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    with (
        open(log, "w", encoding="utf-8", buffering=1) as handle,
        contextlib.redirect_stdout(handle),
        contextlib.redirect_stderr(handle),
    ):
        try:
            root = Path(snakemake.scriptdir).parents[1]
            yield settings.load(snakemake.config, papers=papers.settings_of(), root=root)
            return
        except SedreproError as error:
            line = f"error: {error}"
        except Exception as error:
            traceback.print_exc()
            line = f"error: {type(error).__name__}: {error}"
        print(line)
    print(line, file=sys.stderr)
    raise SystemExit(1)


def plan_of(snakemake: Any) -> Plan:
    """The run a script works on, from its parameters."""
    described = snakemake.params.run
    return Plan.restore(described, papers.settings_of()[described["paper"]])
