"""A finished run on recordings of any length: overlapping windows, scores joined, events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import audio, papers
from ..errors import SedreproError
from ..features.kinds import WAVEFORM, Kind, Transform
from ..files import read_json
from ..metrics.decode import detect, gated, median_filter
from ..networks.weights import load_checkpoint
from ..papers.contract import Method
from ..settings import FrontEnd, Plan, declared
from .networks import as_input, load_networks

ADVANCE = 0.8
"""Windows follow each other after this share of their length; where two overlap, scores fade."""
BATCH = {"cpu": 1, "cuda": 16}
"""Windows scored at a time: on a CPU more are not faster, and cost memory."""


@dataclass(frozen=True)
class Event:
    """A detection: seconds, class, and the mean of its filtered scores."""

    onset: float
    offset: float
    label: str
    score: float


@dataclass(frozen=True)
class Prediction:
    """What a model says of a recording."""

    seconds: float
    hop: float
    classes: list[str]
    scores: dict[str, np.ndarray]
    """(frame, …) arrays by name, over the whole recording."""
    filtered: np.ndarray
    """(frame, class): the scores that are decoded, after the median filter."""
    tags: np.ndarray
    """(class,): the highest clip score of any window; empty where the method gives none."""
    events: list[Event]


def _no_weights(resource: str) -> Path:
    raise SedreproError(f"the run builds on pre-trained weights ({resource}), which are not known")


class Predictor:
    """A run's headline checkpoint, ready for recordings."""

    def __init__(
        self,
        folder: str | Path,
        *,
        model: str | None = None,
        device: torch.device | str = "cpu",
        weights: Callable[[str], Path] = _no_weights,
    ) -> None:
        """`folder` is of a run or an export, or the checkpoint in it; `weights` finds the
        pre-trained networks some papers build on, by resource."""
        self.plan, self.method, files = restored(Path(folder), torch.device(device), weights)
        models = self.method.models()
        self.model = model or self.method.headline()
        if self.model not in models:
            raise SedreproError(
                f"{folder}: has no model {self.model!r}; models are {', '.join(models)}"
            )
        names = dict.fromkeys(n for held_out in self.plan.held_out for n in held_out.inputs)
        front_ends = {name: self.plan.front_ends[name] for name in names}
        self.transforms = {n: self._transform(n, fe, files) for n, fe in front_ends.items()}
        first = next(iter(front_ends.values()))
        self.rate = first.sample_rate
        self.length = first.samples
        self.frames = self.plan.grid.frames
        self.step = round(self.plan.grid.seconds * self.rate)

    def _transform(self, name: str, front_end: FrontEnd, files: Mapping[str, Path]) -> Transform:
        """What a store would hold of one window."""
        declaration = declared.FRONT_ENDS[front_end.kind]
        kind = declared.resolve(declaration.work)
        if isinstance(kind, Kind):
            return kind.transform(front_end)
        if not declaration.of_waveforms or declaration.weights not in files:
            raise SedreproError(
                f"{self.plan.run}: reads {name} ({front_end.kind}), which is not made of sound "
                "files here"
            )
        frozen = kind.load(front_end, files[declaration.weights]).to(self.method.device).eval()
        stored = WAVEFORM.transform(front_end)

        def encode(samples: np.ndarray) -> np.ndarray:
            window = torch.from_numpy(stored(samples))[None].to(self.method.device)
            return frozen(window)[0].cpu().numpy().astype(np.float16)

        return encode

    @property
    def threshold(self) -> float:
        return self.plan.settings.decoding.threshold

    def __call__(self, path: str | Path) -> Prediction:
        """Scores and events of a recording; memory grows by its scores only, not by its sound."""
        joined = Joined(self.frames, overlap=self.frames - self._advance)
        tags: list[np.ndarray] = []
        reach = min(self.length, self.frames * self.step)
        windows = Windows(self.length, self._advance * self.step, self.step, reach)
        stored = windows(audio.stream(path, self.rate))
        size = BATCH[self.method.device.type]
        while batch := list(islice(stored, size)):
            scores = self._scores(np.stack([samples for _, samples in batch]))
            for index, (start, _) in enumerate(batch):
                window = self._gated({name: values[index] for name, values in scores.items()})
                joined.add(start // self.step, window)
                tags += [window["clip"]] if "clip" in window else []
        return self._decoded(path, windows.samples / self.rate, joined.scores(), tags)

    @property
    def _advance(self) -> int:
        """Frames between windows."""
        return max(1, round(ADVANCE * self.frames))

    @torch.inference_mode()
    def _scores(self, samples: np.ndarray) -> dict[str, np.ndarray]:
        """Named scores of windows (window, sample)."""
        inputs = {}
        for name, transform in self.transforms.items():
            stored = torch.from_numpy(np.stack([transform(window) for window in samples]))
            inputs[name] = as_input(stored).to(self.method.device)
        found = self.method.scores(self.model, inputs)
        return {name: values.float().cpu().numpy() for name, values in found.items()}

    def _gated(self, scores: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """A window's scores; those that events are found in without what its tags rule out."""
        decoding, count = self.plan.settings.decoding, len(self.plan.classes)
        if "clip" not in scores or decoding.scores not in scores:
            return scores
        # Some scores have a background behind the classes.
        frames, clip = scores[decoding.scores][:, :count], scores["clip"][:count]
        return scores | {decoding.scores: gated(frames, clip, decoding.gate)}

    def _decoded(
        self,
        path: str | Path,
        seconds: float,
        scores: dict[str, np.ndarray],
        tags: list[np.ndarray],
    ) -> Prediction:
        decoding, classes = self.plan.settings.decoding, self.plan.classes
        hop = self.plan.grid.seconds
        if decoding.scores not in scores:
            raise SedreproError(
                f"{self.plan.run}: gives no frame scores, so there are no events to find in {path}"
            )
        whole = int(np.ceil(seconds / hop))
        scores = {name: values[:whole] for name, values in scores.items()}
        filtered = median_filter(scores[decoding.scores][None], decoding.windows(classes))
        found = detect(filtered, decoding.threshold, hop=hop, seconds=np.array([seconds]))
        events = [
            Event(
                float(onset),
                float(offset),
                classes[label],
                float(filtered[0, round(onset / hop) : int(np.ceil(offset / hop)), label].mean()),
            )
            for label, onset, offset in zip(found.label, found.onset, found.offset, strict=True)
        ]
        highest = np.max(tags, axis=0) if tags else np.zeros(0)
        events.sort(key=lambda event: (event.onset, event.label))
        return Prediction(seconds, hop, classes, scores, filtered[0], highest, events)


def restored(
    path: Path, device: torch.device, weights: Callable[[str], Path]
) -> tuple[Plan, Method, dict[str, Path]]:
    """The run as its checkpoint describes it, with its weights and the files it builds on.

    `path` is a run folder, an exported one, or the checkpoint itself.
    """
    path = path / "checkpoint.pt" if path.is_dir() else path
    folder = path.parent
    if path.is_file() and path.stat().st_size == 0:
        reason = read_json(folder / "run.json").get("reason", "")
        raise SedreproError(f"{folder}: the run was not made ({reason})")
    saved = load_checkpoint(path, device)
    try:
        described = saved["plan"]
        networks = saved["networks"]["headline"]
        described["settings"]["decoding"] = _decoding(folder, described["settings"])
        plan = Plan.restore(described, papers.settings_models()[described["paper"]])
    except (KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise SedreproError(f"{path}: not a run of this version ({reason})") from None
    files = {resource: weights(resource) for resource in plan.settings.weights()}
    made = papers.method_of(plan.run.paper, plan.method)
    method = made(plan, steps_per_epoch=1, device=device, amp=False)
    method.load_weights(files)
    load_networks(method, networks, path)
    method.load_state(saved["method"])
    method.networks.eval()
    return plan, method, files


def _decoding(folder: Path, settings: Mapping[str, Any]) -> dict[str, Any]:
    """How the run's table decodes, which an exported checkpoint says itself; for a run that was
    never evaluated, as its epoch was chosen."""
    if "decoding" in settings:
        return settings["decoding"]
    try:
        return read_json(folder / "metrics.json")["settings"]["decoding"]
    except (OSError, ValueError, KeyError, TypeError):
        return settings["training"]["select_decoding"]


class Windows:
    """Cuts a stream of samples into windows (start, samples) of one length.

    The first `reach` samples of a window have scores. The last window is moved back, by whole
    steps, until these end with the recording, which keeps padding out of all but the shortest
    recordings. `samples` is the length of what has gone through.
    """

    def __init__(self, length: int, advance: int, step: int, reach: int) -> None:
        self.length = length
        self.advance = advance
        self.step = step
        self.reach = reach
        self.samples = 0

    def __call__(self, blocks: Iterable[np.ndarray]) -> Iterator[tuple[int, np.ndarray]]:
        start, waiting = 0, np.zeros(0, np.float32)
        for block in blocks:
            self.samples += len(block)
            waiting = np.concatenate([waiting, block])
            while len(waiting) >= self.length + self.advance:
                yield start, waiting[: self.length]
                start, waiting = start + self.advance, waiting[self.advance :]
        yield start, audio.fit(waiting, self.length)
        # A recording of one window is scored as in evaluation, with its end beyond the last frame.
        if len(waiting) > (self.reach if start else self.length):
            back = -(-(len(waiting) - self.reach) // self.step) * self.step
            yield start + back, audio.fit(waiting[back:], self.length)


class Joined:
    """Scores of overlapping windows as one array: in the overlap a window's weight falls off."""

    def __init__(self, frames: int, overlap: int) -> None:
        rising = (np.arange(frames) + 1) / (overlap + 1)
        self.weight = np.minimum(1, np.minimum(rising, rising[::-1])).astype(np.float32)
        self.length = 0
        self.totals: dict[str, np.ndarray] = {}
        self.weights = np.zeros(0, np.float32)

    def add(self, first: int, scores: Mapping[str, np.ndarray]) -> None:
        """The scores of a window that begins at a frame; only those along time are kept."""
        frames = len(self.weight)
        self.length = max(self.length, first + frames)
        self.weights = self._room(self.weights)
        self.weights[first : first + frames] += self.weight
        for name, values in scores.items():
            if values.ndim == 2 and len(values) == frames:
                empty = np.zeros((0, values.shape[1]), np.float32)
                total = self._room(self.totals.get(name, empty))
                total[first : first + frames] += self.weight[:, None] * values
                self.totals[name] = total

    def _room(self, values: np.ndarray) -> np.ndarray:
        """At least `length` rows; they double, so that copying stays rare in long recordings."""
        if len(values) >= self.length:
            return values
        grown = np.zeros((max(self.length, 2 * len(values)), *values.shape[1:]), np.float32)
        grown[: len(values)] = values
        return grown

    def scores(self) -> dict[str, Any]:
        weights = self.weights[: self.length, None]
        return {name: total[: self.length] / weights for name, total in self.totals.items()}
