"""Full-size training steps side by side: ours, the same without what makes it fast, and a recipe's.

    python benchmarks/steps.py [--rounds 3] [--share 1] [--write]

The contestants of a row take turns in one process, one thread, and what counts is the processor's
time: a median per contestant, and how often ours fits into it. `before` draws masks as PyTorch does
and finds the gradients of convolutions as PyTorch does. `recipe` is a step in plain PyTorch from
the specification of the method, spectra computed in each step. `bf16` is ours with `amp: cpu`,
where the processor can; how often it fits into `before` is told too. `--share 4` takes a quarter of
the batch. `--write` puts the table into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import re
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import torch
import torchaudio
from machine import line, lines
from torch import Tensor, nn
from torch.nn import functional as F

from sedrepro import papers, settings
from sedrepro.inference.devices import has_bfloat16
from sedrepro.networks import convolution, dropout
from sedrepro.training.rehearsal import with_share
from training import prepared

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs/benchmarks.md"
ROWS = (("lgc_sed", "lgc"), ("cross_task_sod", "full"), ("weak_mtl", "2apae"))
HEADING = ("step", "clips", "ours, s", "before, s", "gain", "recipe, s", "gain", "bf16, s", "gain")


class RecipeBlock(nn.Module):
    """Convolution, norm, a gate by a linear layer over channels, dropout, pooling."""

    def __init__(self, before: int, after: int, pool: tuple[int, int], rate: float) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, after, 3, padding=1)
        self.norm = nn.BatchNorm2d(after, eps=1e-3, momentum=0.99)
        self.gate = nn.Linear(after, after)
        self.drop = nn.Dropout(rate)
        self.pool = nn.AvgPool2d(pool)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        mapped = self.gate(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.pool(self.drop(mapped * torch.sigmoid(x)))


class RecipeNetwork(nn.Module):
    """The mean teacher's network as the DCASE recipes describe it, and a projector."""

    def __init__(self, network: object, classes: int) -> None:
        super().__init__()
        filters = [1, *network.filters]
        sizes = zip(filters[:-1], filters[1:], network.pooling, strict=True)
        self.blocks = nn.Sequential(*(RecipeBlock(a, b, tuple(p), 0.5) for a, b, p in sizes))
        self.rnn = nn.GRU(filters[-1], 128, 2, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.5)
        self.strong = nn.Linear(256, classes)
        self.attention = nn.Linear(256, classes)
        self.projector = nn.Linear(256, 128)

    def forward(self, mel: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = self.blocks(mel.transpose(1, 2).unsqueeze(1)).squeeze(3).permute(0, 2, 1)
        x = self.drop(self.rnn(x)[0])
        strong = self.strong(x).sigmoid()
        weights = self.attention(x).softmax(-1).clamp(1e-7, 1)
        projected = F.normalize(F.leaky_relu(self.projector(x), 0.2), dim=-1)
        return strong, (strong * weights).sum(1) / weights.sum(1), projected


class LgcRecipe:
    """A step of LGC-SED before its prototypes start, from waveforms."""

    def __init__(self, plan: settings.Plan, count: int, parts: dict[str, slice]) -> None:
        front_end, classes = plan.front_ends["mel128"], len(plan.classes)
        self.mel = torchaudio.transforms.MelSpectrogram(
            front_end.sample_rate,
            front_end.n_fft,
            hop_length=front_end.hop,
            n_mels=front_end.n_mels,
            f_min=front_end.f_min,
            f_max=front_end.f_max,
            power=1,
            window_fn=torch.hamming_window,
            wkwargs={"periodic": False},
        )
        self.student = RecipeNetwork(plan.settings.network, classes)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False)
        self.adam = torch.optim.Adam(self.student.parameters(), 1e-3)
        self.sound = torch.rand(count, front_end.samples) - 0.5
        self.frames = (torch.rand(count, plan.grid.frames, classes) > 0.9).float()
        self.clips = self.frames.amax(1)
        self.parts = parts

    def __call__(self) -> None:
        mel, order = self.mel(self.sound), torch.randperm(len(self.sound))
        for part in (self.parts["synth"], self.parts["weak"]):
            mel[part] = 0.9 * mel[part] + 0.1 * mel[part].flip(0)
        strong, weak, _ = self.student(self._scaled(mel))
        with torch.no_grad():
            aim, tags, _ = self.teacher(self._scaled(mel))
        pasted, target = mel.clone(), aim.clone()
        for clip, other in enumerate(order):
            pasted[clip, :, 100:300] = mel[other, :, 100:300]
            target[clip, 25:75] = aim[other, 25:75]
        cut, _, _ = self.student(self._scaled(pasted))
        synth, tagged = self.parts["synth"], self.parts["weak"]
        loss = F.binary_cross_entropy(strong[synth], self.frames[synth])
        loss = loss + F.binary_cross_entropy(weak[tagged], self.clips[tagged])
        loss = loss + F.mse_loss(strong, aim) + F.mse_loss(weak, tags) + F.mse_loss(cut, target)
        for follower, leader in zip(
            self.teacher.parameters(), self.student.parameters(), strict=True
        ):
            follower.mul_(0.999).add_(leader.detach(), alpha=0.001)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()

    def _scaled(self, mel: Tensor) -> Tensor:
        level = (20 * mel.clamp(min=1e-5).log10()).clamp(-50, 80)
        low, high = level.amin((1, 2), keepdim=True), level.amax((1, 2), keepdim=True)
        return (level - low) / (high - low + 1e-8)


class TaggingRecipe:
    """A step of 2APAE in PyTorch's plain memory format, from waveforms."""

    def __init__(self, plan: settings.Plan, count: int, _: dict[str, slice]) -> None:
        method = papers.method_of(plan.run.paper)
        made = method(plan, steps_per_epoch=1, device=torch.device("cpu"), amp=False)
        self.network = made.networks["network"].to(memory_format=torch.contiguous_format)
        self.alpha = plan.settings.alpha
        front_end = plan.front_ends[plan.settings.front_end]
        bands, self.length = front_end.shape
        self.mel = torchaudio.transforms.MelSpectrogram(
            front_end.sample_rate, front_end.n_fft, hop_length=front_end.hop, n_mels=bands
        )
        self.sound = torch.rand(count, front_end.samples) - 0.5
        self.clips = (torch.rand(count, len(plan.classes)) > 0.8).float()
        self.adam = torch.optim.Adam(self.network.parameters(), 1e-3)

    def __call__(self) -> None:
        mel = (self.mel(self.sound) + 1e-8).log().mT[:, : self.length].contiguous()
        found = self.network(mel, reconstruct=True)
        loss = F.binary_cross_entropy(found.clip, self.clips)
        loss = loss + self.alpha * F.mse_loss(found.reconstruction, mel)
        self.adam.zero_grad()
        loss.backward()
        self.adam.step()


RECIPES = {"lgc": LgcRecipe, "2apae": TaggingRecipe}


@contextlib.contextmanager
def as_before() -> Iterator[None]:
    """PyTorch's own masks and gradients."""
    with (
        mock.patch.object(dropout.Dropout, "forward", nn.Dropout.forward),
        mock.patch.object(convolution.Conv2d, "forward", nn.Conv2d.forward),
    ):
        yield


def planned(paper: str, row: str, share: int) -> settings.Plan:
    """A row's plan at full size, with a part of its batch."""
    models = papers.settings_models()
    project = settings.load(papers=models, root=ROOT)
    spec = project.papers[paper]
    run = settings.Run(paper, row, next(iter(spec.conditions)), 0, (spec.folds or [None])[0])
    return with_share(project, run, models, share)


def measured(paper: str, row: str, share: int, rounds: int) -> list[str]:
    """A line of the table."""
    torch.set_num_threads(1)
    plan = planned(paper, row, share)
    trainer = prepared(plan, torch.device("cpu"), 10, False, {})
    count, parts = len(trainer.drawn.clips), trainer.drawn.parts

    def ours() -> None:
        trainer._step(trainer.drawn)

    def before() -> None:
        with as_before():
            ours()

    def mixed() -> None:
        with mock.patch.object(trainer.method, "amp", True):
            ours()

    steps: dict[str, Callable[[], None]] = {"ours": ours, "before": before}
    if row in RECIPES:
        steps["recipe"] = RECIPES[row](plan, count, parts)
    if has_bfloat16():
        steps["bf16"] = mixed
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            begin = time.process_time()
            step()
            seconds[name].append(time.process_time() - begin)
    median = {name: statistics.median(times[1:]) for name, times in seconds.items()}
    cells = [f"{paper} {row}", str(count), f"{median['ours']:.2f}"]
    gains = {"before": ("before", "ours"), "recipe": ("recipe", "ours"), "bf16": ("before", "bf16")}
    for name, (slow, fast) in gains.items():
        there = name in median
        cells += (
            [f"{median[name]:.2f}", f"{median[slow] / median[fast]:.2f}"] if there else ["-"] * 2
        )
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", nargs="+", default=[row for _, row in ROWS])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--share", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    rows = [measured(p, r, given.share, given.rounds) for p, r in ROWS if r in given.rows]
    text = lines(HEADING, rows)
    print(text)
    line()
    if given.write:
        page = DOCS.read_text(encoding="utf-8")
        between = re.compile(r"(<!-- steps -->\n).*?(<!-- end of steps -->)", re.S)
        DOCS.write_text(between.sub(lambda m: m[1] + text + "\n" + m[2], page), encoding="utf-8")


if __name__ == "__main__":
    main()
