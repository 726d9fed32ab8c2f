"""Write what follows from the settings models: config/config.yaml, the editor schemas,
docs/parameters.md; and README's table of papers."""

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
    readme = ROOT / "README.md"
    text = document.with_papers(readme.read_text(encoding="utf-8"), ROOT / "config/papers")
    readme.write_text(text, encoding="utf-8")
    sys.stdout.write("README.md\n")
