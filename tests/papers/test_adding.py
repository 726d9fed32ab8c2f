"""What docs/adding-a-paper.md shows is what the code takes."""

from __future__ import annotations

import re

import yaml

from sedrepro.settings import Paper
from sedrepro.settings.published import COLUMNS


def test_the_page_shows_a_whole_configuration(root):
    text = (root / "docs/adding-a-paper.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    paper = Paper.model_validate(yaml.safe_load(shown))
    assert set(paper.headline) < set(paper.table)
    assert f"```\n{','.join(COLUMNS)}\n```" in text
