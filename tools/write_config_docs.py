"""Write config/config.yaml, the editor schemas and docs/parameters.md from the settings models."""

from __future__ import annotations

import sys
from pathlib import Path

from sedrepro.papers import settings_of
from sedrepro.settings import document

ROOT = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    for path, text in document.files(settings_of()).items():
        (ROOT / path).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
