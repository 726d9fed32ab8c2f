"""Where every number comes from: runs with their cost, code, packages, data and settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ... import settings
from ...errors import SedreproError
from ...files import read_json
from ...papers import settings_models
from ...progress import duration
from ...settings import Layout, Project, Run
from ...training.record import code_digest
from ..records import Record, finite, read_rows

ABSENT = "(absent)"


def anchor(run: Run) -> str:
    """Where the page tells about a row's runs under a condition."""
    return f"runs-{run.paper}-{run.row}-{run.condition}"


def files(run: Run, layout: Layout) -> list[tuple[str, str]]:
    """What lies beside the page of a run, as links: they work where the page was made."""
    found = [("run folder", layout.run(run)), ("settings", layout.run(run, "run.json"))]
    found += [(name, layout.run(run, name)) for name in ("history.csv", "metrics.json")]
    found += [(f"log of {stage}", layout.log(stage, run)) for stage in ("train", "evaluate")]
    home = Path(layout.report).parent
    return [(name, os.path.relpath(path, home)) for name, path in found if Path(path).exists()]


def groups(
    project: Project, found: Sequence[Record], root: str | Path, layout: Layout
) -> list[dict[str, Any]]:
    """The runs by row and condition, each with everything its record says."""
    papers_own = _full_scale(root)
    made: dict[str, dict[str, Any]] = {}
    for record in found:
        run = record.run
        spec = project.papers[run.paper]
        group = made.setdefault(
            anchor(run),
            {
                "id": anchor(run),
                "label": spec.table[run.row].label,
                "condition": run.condition if len(spec.conditions) > 1 else "",
                "runs": [],
            },
        )
        group["runs"].append(_run(record, papers_own) | {"files": files(record.run, layout)})
    for group in made.values():
        done = sum(run["state"] == "done" for run in group["runs"])
        group["summary"] = f"{done} of {len(group['runs'])} runs done"
        group["older"] = any(run["older"] for run in group["runs"])
    return list(made.values())


def _full_scale(root: str | Path) -> Project | None:
    """The configuration without any overlay: the papers' own settings."""
    try:
        return settings.load(papers=settings_models(), root=root)
    except SedreproError:
        return None


def _run(record: Record, papers_own: Project | None) -> dict[str, Any]:
    run = record.run
    code, cost = record.block("code"), record.block("cost")
    name = f"seed {run.seed}" if run.fold is None else f"seed {run.seed}, fold {run.fold}"
    selected = record.described.get("selected")
    return {
        "name": name,
        "folder": run.folder,
        "state": record.state,
        "reason": record.reason,
        "older": bool(code.get("digest")) and code["digest"] != code_digest(),
        "code": _words(code),
        "packages": _words(record.block("packages")),
        "hardware": _words(record.block("hardware")),
        "key": record.described.get("key", ""),
        "merged": merged_from(record),
        "data": [
            {"store": store, **audit}
            for store, audit in record.block("data").items()
            if isinstance(audit, dict)
        ],
        "changes": changes(record, papers_own),
        "wall": "" if (wall := finite(cost.get("wall_s"))) is None else duration(wall),
        "memory": _unit(cost.get("peak_memory_mb"), "MB"),
        "gpu_memory": _unit(cost.get("peak_gpu_memory_mb"), "MB"),
        "energy": _energy(finite(cost.get("energy_j"))),
        "steps": record.described.get("steps", cost.get("steps")),
        "device": cost.get("device", ""),
        "selected": selected if isinstance(selected, dict) else None,
        "parameters": _words(record.block("parameters")),
    }


def merged_from(record: Record) -> str:
    """The result set of another machine that a run was taken from."""
    try:
        return str(read_json(record.file(".state/merged.json"))["from"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _words(block: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value}" for key, value in block.items() if value not in (None, "", False)
    )


def _unit(value: Any, unit: str) -> str:
    amount = finite(value)
    return "" if amount is None else f"{amount:,.0f} {unit}"


def _energy(joules: float | None) -> str:
    if joules is None:
        return ""
    return f"{joules / 3.6e6:.3f} kWh" if joules > 3.6e4 else f"{joules:,.0f} J"


def changes(record: Record, papers_own: Project | None) -> list[tuple[str, str, str]] | None:
    """Settings in which a run differs from the paper's: key, the paper's value, the run's.

    None where that cannot be said: no record, or a row the configuration no longer has.
    """
    if papers_own is None or not record.block("settings"):
        return None
    try:
        meant = settings.plan(
            papers_own, record.run, settings_models()[record.run.paper]
        ).describe()
    except (SedreproError, KeyError):
        return None
    parts = [part for part in ("settings", "front_ends", "classes") if part in record.described]
    theirs = flatten({part: meant[part] for part in parts})
    ours = flatten({part: record.described[part] for part in parts})
    return [
        (key.removeprefix("settings."), _value(theirs, key), _value(ours, key))
        for key in dict.fromkeys([*theirs, *ours])
        if theirs.get(key, ABSENT) != ours.get(key, ABSENT)
    ]


def _value(flat: Mapping[str, Any], key: str) -> str:
    return str(flat[key]) if key in flat else ABSENT


def flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    """Nested mappings as dotted keys; lists are values."""
    if not isinstance(value, Mapping):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for key, item in value.items():
        flat |= flatten(item, f"{prefix}.{key}" if prefix else str(key))
    return flat


def audit(project: Project, paper: str, layout: Layout) -> list[dict[str, Any]]:
    """Expected and found clips of every subset the paper's rows read."""
    subsets: dict[tuple[str, str], settings.Subset] = {}
    spec = project.papers[paper]
    for row in spec.table:
        if spec.table[row].kind == "published":
            continue
        for condition in spec.conditions:
            run = Run(paper, row, condition, 0, spec.run_folds[0])
            for subset, _ in settings.plan(project, run, settings_models()[paper]).inputs():
                subsets.setdefault((subset.corpus, subset.name), subset)
    lines = []
    for subset in subsets.values():
        rows = read_rows(Path(layout.table(subset, "audit")), "\t")
        line = rows[0] if rows else {}
        expected, found = finite(line.get("expected")), finite(line.get("found"))
        share = None if not expected or found is None else found / expected
        lines.append(
            {
                "corpus": subset.corpus,
                "subset": subset.name.replace("_", " "),
                "expected": expected,
                "found": found,
                "share": share,
                "note": line.get("note", "") if rows else "not prepared",
            }
        )
    return lines
