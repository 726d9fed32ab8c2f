"""README and its like become pages of the site that mkdocs makes of docs/; links lead there."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "settings.md": "config/README.md",
    "changelog.md": "CHANGELOG.md",
}
"""Pages of the site that are files outside docs/."""
OUTSIDE = {file: page for page, file in PAGES.items()}
LINK = re.compile(r"(\]\()([^)#:\s]+)([)#])")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside docs/."""
    from mkdocs.structure.files import File

    for page, file in PAGES.items():
        text = (ROOT / file).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Lead links to where the site has their files."""
    return relinked(markdown, page.file.src_uri)


def relinked(markdown: str, page: str) -> str:
    """The text of a page with links that are right on the site."""
    folder = posixpath.dirname(PAGES.get(page, f"docs/{page}"))

    def lead(link: re.Match) -> str:
        file = posixpath.normpath(posixpath.join(folder, link[2]))
        return link[1] + OUTSIDE.get(file, file.removeprefix("docs/")) + link[3]

    return LINK.sub(lead, markdown)
