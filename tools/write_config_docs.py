"""Write what follows from the code.

From the settings models: config/config.yaml, the editor schemas and docs/parameters.md. From the
command line: docs/commands.md. From the tables' columns: docs/formats.md. And README's papers.
"""

from __future__ import annotations

import sys
from pathlib import Path

import formats

from sedrepro.cli import commands, reference
from sedrepro.papers import settings_models
from sedrepro.settings import document

ROOT = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    for path, text in document.files(settings_models()).items():
        (ROOT / path).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path}\n")
    pages = {"commands": reference.page(commands.command_line()), "formats": formats.page()}
    for name, text in pages.items():
        (ROOT / f"docs/{name}.md").write_text(text, encoding="utf-8")
        sys.stdout.write(f"docs/{name}.md\n")
    readme = ROOT / "README.md"
    text = document.with_papers(readme.read_text(encoding="utf-8"), ROOT / "config/papers")
    readme.write_text(text, encoding="utf-8")
    sys.stdout.write("README.md\n")
