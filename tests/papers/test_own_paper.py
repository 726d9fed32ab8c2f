"""The paper that docs/adding-a-paper.md writes: its code is taken from there and trained."""

from __future__ import annotations

import importlib
import re
import sys
from dataclasses import replace
from types import ModuleType

import pytest
import test_dcase_baselines  # noqa: F401 (says what makes its paper tiny)
import torch
import yaml
from tiny import ROOT, random_batch, tiny_plan

from sedrepro import papers
from sedrepro.networks.crnn import Cnn
from sedrepro.settings import Paper
from sedrepro.settings.published import COLUMNS

MIXING = """
from torch import nn


class Mixing(nn.Module):
    def __init__(self, channels_in, channels, kernels):
        super().__init__()
        self.all = nn.ModuleList(
            nn.Conv2d(channels_in, channels, 3, padding=1) for _ in range(kernels)
        )

    def forward(self, x):
        return sum(conv(x) for conv in self.all)
"""


@pytest.fixture
def example(tmp_path, monkeypatch) -> tuple[ModuleType, ModuleType]:
    """The settings and the method of the page, as modules of a paper's package."""
    page = (ROOT / "docs/adding-a-paper.md").read_text()
    code = re.search(r"```python\n# settings\.py\n(.*?)# method\.py\n(.*?)```", page, re.DOTALL)
    assert code
    for name, text in zip(("settings", "method"), code.groups(), strict=True):
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "mixing.py").write_text(MIXING)
    name = f"{papers.__name__}.example"
    package = ModuleType(name)
    package.__path__ = [str(tmp_path)]
    monkeypatch.setitem(sys.modules, name, package)
    parts = tuple(importlib.import_module(f"{name}.{part}") for part in ("settings", "method"))
    yield parts
    for part in ("settings", "method", "mixing"):
        sys.modules.pop(f"{name}.{part}", None)


def test_the_paper_of_the_docs_takes_a_step(example):
    settings, method = example
    tiny = tiny_plan("dcase_baselines", "mt2021")
    own = tiny.settings.model_dump()
    own["network"]["kernels"] = 3
    plan = replace(tiny, settings=settings.Settings.model_validate(own))
    made = method.Method(plan, steps_per_epoch=2, device=torch.device("cpu"), amp=False)
    convolutions = [block.conv for block in made.networks["student"].cnn.blocks]
    assert isinstance(convolutions[0], torch.nn.Conv2d)
    assert [len(conv.all) for conv in convolutions[1:]] == [3] * (len(convolutions) - 1)
    assert len(convolutions) > 1
    made.networks.train()
    loss = sum(term.weight * term.value for term in made.losses(random_batch(plan), 1).values())
    loss.backward()
    assert all(conv.all[2].weight.grad.abs().sum() > 0 for conv in convolutions[1:])


def test_a_convolution_of_ones_own_reads_clip_channel_frame_band():
    read = []

    class Reads(torch.nn.Conv2d):
        def forward(self, x):
            read.append(tuple(x.shape))
            return super().forward(x)

    def conv(block, channels_in, channels):
        return Reads(channels_in, channels, 3, padding=1) if block else None

    cnn = Cnn([4, 6], [(2, 2), (1, 4)], conv=conv)
    assert cnn(torch.randn(3, 8, 10)).shape == (3, 5, 6)
    assert read == [(3, 4, 5, 4)]


def test_the_page_shows_a_whole_configuration():
    page = (ROOT / "docs/adding-a-paper.md").read_text()
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    paper = Paper.model_validate(yaml.safe_load(shown))
    assert set(paper.headline) < set(paper.table)
    assert f"```\n{','.join(COLUMNS)}\n```" in page
