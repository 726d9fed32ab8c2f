"""How far the clips of each resource are: what a fetch writes down and `sedrepro status` reads."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from ..files import read_json
from ..settings import Project
from .policies import HOUR

FILE = "progress.json"


def line(found: dict[str, Any]) -> str:
    """One line on how far a resource's clips are."""
    text = f"{found['there']:,} of {found['clips']:,} clips there, {found['gone']:,} gone"
    if not found["left"]:
        return text
    text += f", {found['left']:,} to come at {found['per_hour']:.0f} an hour: about "
    text += f"{found['seconds_left'] / HOUR:.1f} h at YouTube's limit"
    if found["wall"]:
        over = time.localtime(found["time"] + found["wall"])
        text += f"; left alone until {time.strftime('%d %b %H:%M', over)}"
    return text


def arriving(project: Project) -> list[str]:
    """A line for each resource of which clips are still to come."""
    lines = []
    for path in sorted(Path(project.data_folder, "downloads").glob(f"*/{FILE}")):
        try:
            found = read_json(path)
            if found["left"]:
                lines.append(f"fetch {path.parent.name}  arriving: {line(found)}")
        except (OSError, ValueError, KeyError):
            continue
    return lines
