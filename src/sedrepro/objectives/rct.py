"""Random consistency training: mixed and augmented copies of each part of a batch, and what the
student's scores of them should be (Shao et al., arXiv 2110.11144).

Copies are made of waveforms, but what leaves here are linear mel spectra. That is what makes the
pitch shift cheap: a clip played faster has the shifted pitch, and its spectrum, stretched back in
time by interpolation between frames, is that of a shifted clip of the old length. Nothing needs
phases. `benchmarks/pitch_shift.py` measures it beside clips rendered at the shifted pitch: on one
core 10 ms per 10-s clip more than the mel spectrum that is needed anyway, a tenth of what a phase
vocoder takes, with errors of 0.3 dB where the vocoder's smeared phases cost 2.8 dB; a bank of
shifted clips would save those 10 ms for ten times the disk.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import reduce
from operator import add
from typing import Any, ClassVar, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

Mel = Callable[[Tensor], Tensor]

STRENGTHS = 5
"""Of time masks (× 5 chunks), pitch shifts (× 50 cents) and time shifts (× a tenth of the clip)."""
CHUNK = 0.01
"""Length of a masked chunk, as a share of the clip."""
SHARES = {"synth": 0.25, "weak": 0.25, "unlabelled": 0.5}
"""What each part of the batch contributes to the self-consistency."""
UP = 0.5
"""A pitch shift goes up where a standard normal draw exceeds this (in 31 of 100)."""


class Batched(Protocol):
    """What is needed of a batch (`papers.contract.Batch`)."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def inputs(self) -> dict[str, Tensor]: ...
    @property
    def frames(self) -> Tensor: ...
    @property
    def clips(self) -> Tensor: ...
    @property
    def parts(self) -> dict[str, slice]: ...


Batch = TypeVar("Batch", bound=Batched)


class Copies(NamedTuple):
    """How the mixed and the augmented copies of one part follow from its clips."""

    order: Tensor
    """(source, clip): which clips each mixed copy is the sum of; the first is the clip itself."""
    shift: int
    """Network frames the augmented copies are rolled by; 0 unless they are shifted in time."""


class Augmentation(NamedTuple):
    """One augmentation, the same for all clips of a part."""

    method: str
    strength: int
    up: bool


def draw_order(clips: int, device: torch.device) -> Tensor:
    """Sources of hard mixup: each clip with one or two permuted ones (a clip may meet itself)."""
    partners = int(torch.randint(1, 3, ()))
    own = torch.arange(clips, device=device)
    return torch.stack([own, *(torch.randperm(clips, device=device) for _ in range(partners))])


def draw_augmentation(methods: Sequence[str]) -> Augmentation:
    # Drawn on the CPU: control flow depends on them, and a GPU need not be waited for.
    method = methods[int(torch.randint(len(methods), ()))]
    strength = int(torch.randint(1, STRENGTHS + 1, ()))
    return Augmentation(method, strength, bool(torch.randn(()) > UP))


def mix(values: Tensor, order: Tensor) -> Tensor:
    """The sum of the sources, without scaling."""
    return values[order].sum(0)


def time_mask(waveform: Tensor, chunks: int) -> Tensor:
    """Zero so many chunks of 1 % in each clip of (clip, sample); they may overlap."""
    clips, samples = waveform.shape
    length = int(CHUNK * samples)
    room = samples - length
    starts = (torch.rand(clips, chunks, device=waveform.device) * (room + 1)).long()
    places = (starts.unsqueeze(2) + torch.arange(length, device=waveform.device)).flatten(1)
    masked = waveform.clone()
    masked[torch.arange(clips, device=waveform.device).unsqueeze(1), places] = 0
    return masked


def resample(waveform: Tensor, samples: int) -> Tensor:
    """(…, old) → (…, samples), the same sound played faster or slower; band-limited."""
    old = waveform.shape[-1]
    spectrum = torch.fft.rfft(waveform)
    return torch.fft.irfft(spectrum, n=samples) * (samples / old)


def pitch_shifted(waveform: Tensor, cents: float, mel: Mel, frames: int, grain: int = 64) -> Tensor:
    """The linear mel spectrum of (clip, sample) with its pitch shifted, in as many `frames`.

    The length it is played at is rounded to `grain` samples, for the sake of the Fourier transform.
    """
    samples = waveform.shape[1]
    played = round(samples / 2 ** (cents / 1200) / grain) * grain
    spectrum = mel(resample(waveform, played))
    place = torch.arange(frames, device=waveform.device) * (played / samples)
    place = place.clamp(max=spectrum.shape[-1] - 1)
    before = place.floor().long()
    after = (before + 1).clamp(max=spectrum.shape[-1] - 1)
    return torch.lerp(spectrum[..., before], spectrum[..., after], place - before)


def augmented(waveform: Tensor, how: Augmentation, mel: Mel, frames: int) -> Tensor:
    """The linear mel spectrum of the augmented clips, in as many frames as theirs."""
    if how.method == "pitch_shift":
        steps = how.strength if how.up else -how.strength
        return pitch_shifted(waveform, 50 * steps, mel, frames)
    if how.method == "time_mask":
        return mel(time_mask(waveform, 5 * how.strength))
    return mel(waveform.roll(waveform.shape[1] * how.strength // 10, 1))


def expand(
    batch: Batch, front_end: str, methods: Sequence[str], mel: Mel
) -> tuple[Batch, dict[str, Copies]]:
    """A batch of waveforms as spectra, each part followed by its mixed and its augmented copies.

    Every draw is made anew for each part. Tags do not change with an augmentation; frame targets
    roll with a time shift, by whole frames (rounded down).
    """
    inputs: list[Tensor] = []
    frames: list[Tensor] = []
    clips: list[Tensor] = []
    parts: dict[str, slice] = {}
    copies: dict[str, Copies] = {}
    start = 0
    for name, part in batch.parts.items():
        waveform, y, v = (t[part] for t in (batch.inputs[front_end], batch.frames, batch.clips))
        parts[name] = slice(start, start := start + 3 * len(waveform))
        if not len(waveform):
            continue
        order = draw_order(len(waveform), waveform.device)
        how = draw_augmentation(methods)
        shift = int(y.shape[1] * how.strength / 10) if how.method == "time_shift" else 0
        plain = mel(torch.cat([waveform, mix(waveform, order)]))
        inputs += [plain, augmented(waveform, how, mel, plain.shape[-1])]
        frames += [y, mix(y, order).clamp(max=1), y.roll(shift, 1)]
        clips += [v, mix(v, order).clamp(max=1), v]
        copies[name] = Copies(order, shift)
    seen = replace(
        batch,
        inputs={front_end: torch.cat(inputs)},
        frames=torch.cat(frames),
        clips=torch.cat(clips),
        parts=parts,
    )
    return seen, copies


def self_consistency(scores: Tensor, copies: Copies, sure: float, absent: float) -> Tensor:
    """What the scores of a part's copies differ from those of its clips, in mean squares.

    `scores` are the clips', the mixed and the augmented copies', one after the other: (clip, class)
    or (clip, frame, class). A mixed clip has what any source surely has, and lacks what all surely
    lack; elsewhere it is free. Gradients flow into both sides of the augmented pair.
    """
    clips, mixed, changed = scores.chunk(3)
    sources = clips.detach()[copies.order]
    present = (sources > sure).any(0)
    known = present | (sources < absent).all(0)
    expected = clips.roll(copies.shift, 1) if scores.dim() == 3 else clips
    return F.mse_loss(known * mixed, present.to(mixed.dtype)) + F.mse_loss(changed, expected)


def of_copies(
    said: Sequence[Tensor],
    parts: Mapping[str, slice],
    copies: Mapping[str, Copies],
    sure: float,
    absent: float,
) -> Tensor:
    """The student's scores (of frames, of clips) of the copies follow those of their sources.

    `parts` are the enlarged parts of the batch that `expand` made, `copies` what it made them of.
    """
    found = []
    for name, made in copies.items():
        of_part = [self_consistency(scores[parts[name]], made, sure, absent) for scores in said]
        found.append(SHARES[name] * 0.5 * reduce(add, of_part))
    return reduce(add, found)
