"""Run records and numbers as jobs write them, for tests that lay run folders by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sedrepro import chain
from sedrepro.evaluation.run import metrics_link
from sedrepro.files import digest, file_digest
from sedrepro.reporting.links import MEASURED_PARTS
from sedrepro.settings import Layout, Plan, Project
from sedrepro.settings.runs import IDENTITY, MADE_WITH


def run_record(plan: Plan, layout: Layout, **more: Any) -> dict[str, Any]:
    """`run.json` of a run whose other files lie in its folder."""
    folder = Path(layout.run(plan.run))
    described = plan.describe_training()
    return {
        "status": "done",
        "reason": "",
        "run": {name: described[name] for name in IDENTITY},
        **{name: described[name] for name in MADE_WITH},
        **_link(plan, layout, described),
        "content": {path.name: file_digest(path) for path in folder.glob("*.h5")},
        **more,
    }


def _link(plan: Plan, layout: Layout, described: dict[str, Any]) -> dict[str, Any]:
    events = {}
    for held_out in plan.held_out:
        path = Path(layout.table(held_out.subset, "events"))
        if path.exists():
            events[f"{held_out.subset.corpus}/{held_out.subset.name}"] = file_digest(path)
    source = None
    if plan.source is not None and plan.kind != "reevaluate":
        told = json.loads(Path(layout.run(plan.source, "run.json")).read_text())
        source = {"key": told["key"], "checkpoint": told["content"].get("checkpoint.pt")}
    parents = {"stores": {}, "events": events, "weights": {}, "source": source}
    return chain.link("run", described, parents)


def numbers(found: dict[str, Any], plan: Plan, project: Project, layout: Layout) -> dict[str, Any]:
    """`metrics.json` with what was found, measured on the run that lies there."""
    return {**metrics_link(plan, project, layout), "content": digest(found), **found}


def rewrite(path: str | Path, content: dict[str, Any]) -> None:
    """Numbers changed on purpose, as if they had been measured so."""
    found = {name: content[name] for name in MEASURED_PARTS if name in content}
    Path(path).write_text(json.dumps({**content, "content": digest(found)}))
