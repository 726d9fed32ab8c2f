"""A finished run's checkpoint for other machines, with a card that says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import yaml

from ..errors import SedreproError
from ..files import file_digest, open_atomic, read_json, write_text
from ..networks.weights import load_checkpoint
from ..settings import Layout, Plan

CHECKPOINT, CARD = "checkpoint.pt", "README.md"


def write_checkpoint(plan: Plan, layout: Layout, folder: Path) -> Path:
    """Write weights and card into a new folder; returns the checkpoint.

    The checkpoint knows how its row decodes, and has the card's content under `card`.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SedreproError(f"{folder}: is there already; name a new folder")
    if plan.settings.decoding.boxes is not None:
        raise SedreproError(
            f"{plan.run}: its boxes are tuned on scores that a checkpoint has not; export those of "
            f"{plan.scored}, or this row's --scores or --detections"
        )
    described = read_json(layout.run(plan.scored, "run.json"))
    source = Path(layout.run(plan.scored, CHECKPOINT))
    if file_digest(source) != described["content"][CHECKPOINT]:
        raise SedreproError(f"{source}: was changed after it was written")
    saved = load_checkpoint(source)
    decoding = plan.settings.decoding.model_dump(mode="json")
    card = {
        "run": plan.run.folder,
        "key": described["key"],
        "classes": list(plan.classes),
        "settings": {**saved["plan"]["settings"], "decoding": decoding},
        "data": described["data"],
        "packages": described["packages"],
        "metrics": _metrics(plan, layout),
    }
    saved["plan"]["settings"] = card["settings"]
    saved["networks"] = {"headline": saved["networks"]["headline"]}
    folder.mkdir(parents=True, exist_ok=True)
    with open_atomic(folder / CHECKPOINT) as disk:
        torch.save({**saved, "card": card}, disk)
    write_text(folder / CARD, _text(card))
    return folder / CHECKPOINT


def _metrics(plan: Plan, layout: Layout) -> list[dict[str, Any]]:
    """What the run scored, where it was evaluated; not class by class."""
    path = Path(layout.run(plan.run, "metrics.json"))
    entries = read_json(path)["metrics"] if path.exists() else []
    return [entry for entry in entries if not entry["label"] and "@" not in entry["model"]]


def _text(card: dict[str, Any]) -> str:
    paper = card["run"].partition("/")[0]
    lines = [
        f"# {card['run']}",
        "",
        f"Weights of a run of sedrepro (key `{card['key']}`). On any machine with sedrepro:",
        "",
        "```",
        f"sedrepro predict --run {CHECKPOINT} RECORDINGS",
        f"sedrepro score {paper} --set SET --as NAME --checkpoint {CHECKPOINT}",
        "```",
        "",
        "## What it scored",
        "",
        "| set | model | metric | by | value | interval | clips |",
        "|---|---|---|---|---|---|---|",
        *map(_row, card["metrics"]),
        "",
        "## What it read",
        "",
        "| store | content | clips | of |",
        "|---|---|---|---|",
        *(
            f"| {name} | `{data['content_key']}` | {data['clips']:,} | {data['expected']:,} |"
            for name, data in card["data"].items()
        ),
        "",
        "## Settings",
        "",
        "```yaml",
        yaml.safe_dump({k: card[k] for k in ("classes", "settings", "packages")}, sort_keys=False)
        + "```",
        "",
    ]
    return "\n".join(lines)


def _row(entry: dict[str, Any]) -> str:
    def number(value: float | None) -> str:
        return "–" if value is None else f"{value:.4f}"

    cells = [entry["set"], entry["model"], entry["metric"], entry["implementation"]]
    cells += [number(entry["value"])]
    cells += [f"{number(entry['ci_low'])} … {number(entry['ci_high'])}"]
    cells += [f"{entry['n_clips']} of {entry['n_expected']}"]
    return f"| {' | '.join(cells)} |"
