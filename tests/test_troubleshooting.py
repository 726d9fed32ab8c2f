"""docs/troubleshooting.md quotes messages as they are printed."""

from __future__ import annotations

import re
from pathlib import Path

FOREIGN = {"Directory cannot be locked", "CUDA out of memory", "Sign in to confirm"}
FOREIGN |= {"No space left on device"}
"""What Snakemake, PyTorch, YouTube and the system say."""


def test_every_message_is_one_that_is_printed(root: Path):
    text = " ".join(
        re.sub(r'["\']\s*\n\s*f?["\']', "", path.read_text(encoding="utf-8"))
        for path in sorted((root / "src").rglob("*.py"))
    )
    page = (root / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
    quoted = [
        message
        for line in page.splitlines()
        if line.startswith("| `")
        for message in re.findall(r"`([^`]+)`", line.split(" | ")[0])
    ]
    assert len(quoted) > 25
    pieces = [
        piece
        for message in quoted
        for piece in re.split(r"\s*…\s*|\d+|\{|\}", message)
        if len(piece) > 7
    ]
    assert [p for p in pieces if p not in text and p not in FOREIGN] == []
