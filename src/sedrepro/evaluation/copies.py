"""Is a copy of a set the one its organisers have? A system they released hears it, clip by clip.

What it finds here is compared with what it found there, at the same thresholds, so that a missing
clip, a cut one and one that sounds different are told apart.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .. import audio
from ..errors import SedreproError
from ..metrics.events import Events
from ..settings.project import Report
from . import sed
from .measures import Truth
from .sed import Detections, Frames

AGREES = 0.6
"""Agreement from which two outputs are of one recording."""
SILENT = 1e-4
"""A clip whose samples all lie below it holds no sound."""
LENGTH = 0.25
"""Seconds by which a clip may be shorter or longer than there."""
RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
FITS = 0.01
"""How near a rate must come to one of these."""

MISSING, UNREADABLE, SILENCE, RATE = "missing", "unreadable", "silent", "wrong sample rate"
CUT, LONG, SWAPPED, OTHER = "cut", "too long", "swapped", "other sound"
KINDS = (MISSING, UNREADABLE, SILENCE, RATE, CUT, LONG, SWAPPED, OTHER)

Listen = Callable[[np.ndarray], np.ndarray]
"""From the samples of a clip to a system's filtered scores (frame, class)."""


@dataclass(frozen=True)
class Fault:
    """What is wrong with a clip."""

    kind: str
    detail: str = ""


@dataclass(frozen=True)
class There:
    """What a system found in the organisers' copy: the truth, and its events by threshold."""

    truth: Truth
    points: Mapping[float, Events]
    frames: int
    hop: float

    def levels(self) -> np.ndarray:
        """The share of thresholds at which a frame is detected (clip, frame, class)."""
        shape = (len(self.truth.clips), self.frames, len(self.truth.classes))
        found = np.zeros(shape, np.float32)
        for events in self.points.values():
            first = np.round(events.onset / self.hop).astype(int)
            last = np.maximum(first + 1, np.round(events.offset / self.hop).astype(int))
            for clip, label, start, stop in zip(
                events.clip, events.label, first, last, strict=True
            ):
                found[clip, start:stop, label] += 1
        return found / max(1, len(self.points))

    def only(self, kept: np.ndarray) -> There:
        """The same of some of the clips (clip)."""
        place = np.cumsum(kept) - 1
        points = {}
        for threshold, events in self.points.items():
            inside = events[kept[events.clip]]
            points[threshold] = Events(
                place[inside.clip], inside.label, inside.onset, inside.offset
            )
        return There(self.truth.only(kept), points, self.frames, self.hop)


def agreement(ours: np.ndarray, theirs: np.ndarray) -> float:
    """What two outputs (frame, class) share of what either finds; 1 where neither finds a thing."""
    either = np.maximum(ours, theirs).sum()
    return 1.0 if either < 1.0 else float(1 - np.abs(ours - theirs).sum() / either)


@dataclass
class Copy:
    """What was found out about a copy."""

    there: There
    scores: np.ndarray
    """What the system says here (clip, frame, class); 0 where there is nothing to hear."""
    faults: dict[str, Fault] = field(default_factory=dict)
    agreements: dict[str, float] = field(default_factory=dict)

    @property
    def readable(self) -> np.ndarray:
        """Which clips could be read (clip)."""
        gone = [clip for clip, fault in self.faults.items() if fault.kind in (MISSING, UNREADABLE)]
        return ~np.isin(self.there.truth.clips, gone)

    def values(self) -> dict[str, dict[str, float]]:
        """Metrics of the organisers' detections on all clips and on those here, and of ours."""
        here = self.there.only(self.readable)
        frames = Frames(self.scores[self.readable], here.hop, here.truth.seconds, trim=True)
        thresholds = list(here.points)
        ours = frames.points(thresholds)
        return {
            "there, all clips": _values(self.there, _points(self.there)),
            "there, the clips that are here": _values(here, _points(here)),
            "here": _values(here, ours),
        }


def _points(of: There) -> list[sed.Point]:
    return Detections.of(of.points.values(), None).points


def _values(of: There, points: list[sed.Point]) -> dict[str, float]:
    found = Detections(points, None)
    measured = sed.measure_detections(found, of.truth, Report(bootstrap=0), official=False)
    return {metric: value.value for (metric, *_), value in measured.values.items()}


def examine(there: There, paths: Mapping[str, Path], listen: Listen, rate: int) -> Copy:
    """Hear every clip (`paths` by clip), and say what is wrong with it."""
    truth, theirs = there.truth, there.levels()
    copy = Copy(there, np.zeros_like(theirs))
    ear = _Ear(there, listen, rate)
    levels = np.zeros_like(theirs)
    for place, (clip, seconds) in enumerate(zip(truth.clips, truth.seconds, strict=True)):
        if not paths[clip].exists():
            copy.faults[clip] = Fault(MISSING)
            continue
        try:
            heard = ear.hear(paths[clip])
        except SedreproError as error:
            copy.faults[clip] = Fault(UNREADABLE, str(error).removeprefix(f"{paths[clip]}: "))
            continue
        copy.scores[place], levels[place] = heard.scores, heard.levels
        copy.agreements[clip] = agreement(heard.levels, theirs[place])
        if fault := ear.judge(heard, seconds, theirs[place]):
            copy.faults[clip] = fault
    _find_swapped(copy, levels, theirs)
    return copy


@dataclass(frozen=True)
class _Heard:
    path: Path
    rate: int
    seconds: float
    peak: float
    scores: np.ndarray
    levels: np.ndarray


class _Ear:
    """A system that hears clips, and what may have become of one that it hears otherwise."""

    def __init__(self, there: There, listen: Listen, rate: int) -> None:
        self.listen = listen
        self.rate = rate
        self.thresholds = np.array(list(there.points))

    def hear(self, path: Path) -> _Heard:
        seconds, rate = audio.seconds(path), audio.sample_rate(path)
        samples = audio.read(path, self.rate)
        scores = self.listen(samples)
        peak = float(np.abs(samples).max())
        return _Heard(path, rate, seconds, peak, scores, self._levels(scores))

    def _levels(self, scores: np.ndarray) -> np.ndarray:
        return (scores[..., None] > self.thresholds).mean(-1)

    def judge(self, heard: _Heard, seconds: float, theirs: np.ndarray) -> Fault | None:
        """What is wrong with a clip that should last `seconds`, as far as it alone tells."""
        if heard.peak < SILENT:
            return Fault(SILENCE)
        if heard.rate < self.rate:
            return Fault(RATE, f"{heard.rate} Hz, where the system hears {self.rate} Hz")
        if abs(heard.seconds - seconds) > LENGTH:
            if true := self._true_rate(heard, seconds, theirs):
                return Fault(RATE, f"its samples are of {true} Hz, its header says {heard.rate}")
            kind = CUT if heard.seconds < seconds else LONG
            return Fault(kind, f"{heard.seconds:.1f} s of {seconds:.1f} s")
        return None if agreement(heard.levels, theirs) >= AGREES else Fault(OTHER)

    def _true_rate(self, heard: _Heard, seconds: float, theirs: np.ndarray) -> int | None:
        """The rate at which the clip is as long as it should be and sounds as it does there."""
        wanted = heard.rate * heard.seconds / seconds
        true = min(RATES, key=lambda rate: abs(rate - wanted))
        if abs(true - wanted) > FITS * wanted:
            return None
        samples = audio.resampled(audio.read(heard.path, heard.rate), true, self.rate)
        again = agreement(self._levels(self.listen(samples)), theirs)
        return true if again >= AGREES else None


def _find_swapped(copy: Copy, levels: np.ndarray, theirs: np.ndarray) -> None:
    """Clips that sound as another one does there."""
    clips = copy.there.truth.clips
    for place, clip in enumerate(clips):
        if copy.faults.get(clip, Fault("")).kind != OTHER:
            continue
        found = [agreement(levels[place], other) for other in theirs]
        best = int(np.argmax(found))
        if found[best] >= AGREES and best != place and theirs[best].sum() >= 1.0:
            copy.faults[clip] = Fault(SWAPPED, f"it is {clips[best]}")
