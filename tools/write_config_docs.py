"""Write what follows from the settings models: config/config.yaml, the editor schemas,
docs/parameters.md; from the command line, docs/commands.md; and README's table of papers."""

from __future__ import annotations

import sys
from pathlib import Path

from sedrepro.cli import commands, reference
from sedrepro.papers import settings_models
from sedrepro.settings import document

ROOT = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    for path, text in document.files(settings_models()).items():
        (ROOT / path).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    page = reference.page(commands.command_line())
    (ROOT / "docs/commands.md").write_text(page, encoding="utf-8")
    sys.stdout.write("docs/commands.md\n")
    readme = ROOT / "README.md"
    text = document.with_papers(readme.read_text(encoding="utf-8"), ROOT / "config/papers")
    readme.write_text(text, encoding="utf-8")
    sys.stdout.write("README.md\n")
