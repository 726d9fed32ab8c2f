"""Rendered folders that appear whole, once, and say what they were rendered from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..files import digest, read_json, write_json

RECORD = ".rendered.json"


def folder(target: Path, recipe: dict[str, Any], render: Callable[[Path], None]) -> dict[str, int]:
    """Have `render` fill `target` unless it holds this recipe's result; returns files and bytes.

    The work is done in a folder beside it that takes its place when it is whole.
    """
    key = digest(recipe)
    record = target / RECORD
    try:
        known = read_json(record)
        if known["key"] == key:
            return {"files": known["files"], "bytes": known["bytes"]}
    except (OSError, KeyError, TypeError, json.JSONDecodeError):
        pass  # never rendered, or something else lies there: render it
    scratch = target.with_name(f".{target.name}.rendering")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    try:
        render(scratch)
        sizes = [path.stat().st_size for path in scratch.rglob("*") if path.is_file()]
        made = {"files": len(sizes), "bytes": sum(sizes)}
        write_json(scratch / RECORD, {"key": key, **made, "recipe": recipe})
        if target.exists():
            shutil.rmtree(target)
        scratch.rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return made
