"""Five toy papers, one in the shape of each real one: they prove the contract and the trainer.

Each has settings (what data it draws) and a method (what it computes), a few lines each, on
stores written by `fabricate`.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, binary_cross_entropy, mse_loss

from sedrepro import tables
from sedrepro.clips import Clip
from sedrepro.features.kinds import scaled
from sedrepro.networks.dropout import Dropout
from sedrepro.papers.contract import Batch, Epoch, Method, Term
from sedrepro.settings import (
    Data,
    FrontEnd,
    Grid,
    HeldOut,
    Layout,
    PaperSettings,
    Plan,
    Run,
    Stream,
    Subset,
    Training,
)
from sedrepro.store import writing

CLASSES = ["Cat", "Dog", "Speech"]
FRAMES, HOP = 20, 0.05
FRONT_ENDS = {
    "mel": FrontEnd(seconds=1.0, sample_rate=16000, hop=800, n_fft=1024, n_mels=8),
    "wave": FrontEnd(kind="waveform", seconds=1.0, sample_rate=1600),
    "picture": FrontEnd(seconds=1.0, sample_rate=16000, hop=800, n_fft=1024, n_mels=4),
}


class ToySettings(PaperSettings):
    training: Training = Training(epochs=4, learning_rate=0.02, score_batch=5)
    broken: bool = False

    def grid(self, front_ends: Mapping[str, FrontEnd]) -> Grid:
        return Grid(FRAMES, HOP)

    def classes(self, data: Data) -> list[str]:
        return CLASSES


def desed(name: str, portion: str | None = None) -> Subset:
    return Subset("desed", name, portion)


def held_out(*inputs: str) -> list[HeldOut]:
    return [
        HeldOut("validation", desed("validation"), inputs),
        HeldOut("select", desed("synth_validation"), inputs, ("sed", "tags"), True, False),
    ]


class Net(nn.Module):
    """Frames in, class probabilities per frame and clip out."""

    def __init__(self, bands: int, hidden: int = 8, classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(bands, hidden, 3, padding=1), nn.BatchNorm1d(hidden))
        self.drop = Dropout(0.2)
        self.head = nn.Linear(hidden, classes)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.drop(torch.relu(self.body(x)).mT)
        frame = torch.sigmoid(self.head(hidden))
        return frame, frame.mean(1).clamp(1e-6, 1 - 1e-6)


class Toy(Method):
    """What the five have in common: a network on the first input, best intersection F1."""

    bands = 8

    def build(self) -> dict[str, nn.Module]:
        return {"student": Net(self.bands)}

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return inputs["mel"][..., :FRAMES].log1p()

    def scores(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        frame, clip = self.forward(model, self.features(inputs))
        return {"frame": frame, "clip": clip}

    def select(self, metrics: Mapping[str, float]) -> float:
        return metrics["select/student/intersection_f1"]

    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"frame": self.scores("student", inputs)["frame"]}


class SpectraSettings(ToySettings):
    """Spectra with prototypes (lgc_sed): labelled, weak and unlabelled groups."""

    def streams(self) -> list[Stream]:
        return [
            Stream("synth", (desed("synth_train"),), ("mel",), 4, "frames"),
            Stream("weak", (desed("weak", "train"),), ("mel",), 2, "clips"),
            Stream("unlabelled", (desed("unlabelled"),), ("mel",), 4, "none"),
        ]

    def held_out(self) -> list[HeldOut]:
        return held_out("mel")


class Spectra(Toy):
    full_rate_first = True  # as the DCASE recipes

    def averaged(self) -> dict[str, str]:
        return {"teacher": "student"}

    def decay(self, step: int) -> float:
        return min(1 - 1 / (step + 1), 0.9)

    def rate(self, step: int) -> float:
        return min(1.0, step / 5)

    def build(self) -> dict[str, nn.Module]:
        self.prototypes = torch.zeros(3, 8)
        return super().build()

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        mel = self.features(batch.inputs)
        mel = mel * (0.9 + 0.2 * torch.rand(len(mel), 1, 1, device=mel.device))
        frame, clip = self.forward("student", mel)
        with torch.no_grad():
            target, _ = self.forward("teacher", mel)
        part = batch.part
        supervised = binary_cross_entropy(part("synth", frame), part("synth", batch.frames))
        weak = binary_cross_entropy(part("weak", clip), part("weak", batch.clips))
        poison = torch.nan if self.settings.broken and step == 7 else 0.0
        return {
            "strong": Term(1.0, supervised + poison),
            "weak": Term(1.0, weak),
            "consistency": Term(min(1.0, step / 10), mse_loss(frame, target)),
        }

    def on_epoch(self, epoch: Epoch) -> None:
        total = sum(self.features(b.inputs).mean((0, 2)) for b in epoch.batches())
        self.prototypes = total.expand(3, 8).clone()

    def state(self) -> dict[str, Tensor]:
        return {"prototypes": self.prototypes}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        self.prototypes = state["prototypes"]


class WaveformSettings(ToySettings):
    """Waveform streams with augmentation (cross_task_sod)."""

    def streams(self) -> list[Stream]:
        return [Stream("synth", (desed("synth_train"),), ("wave",), 4, "frames")]

    def held_out(self) -> list[HeldOut]:
        return held_out("wave")


class Waveform(Toy):
    bands = 1

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        wave = inputs["wave"]
        return avg_pool1d(wave.abs().unsqueeze(1), wave.shape[1] // FRAMES) * 10

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        shift = int(torch.randint(FRAMES, ()))
        wave = batch.inputs["wave"].roll(shift * batch.inputs["wave"].shape[1] // FRAMES, 1)
        frame, _ = self.forward("student", self.features({"wave": wave}))
        return {"strong": Term(1.0, binary_cross_entropy(frame, batch.frames.roll(shift, 1)))}


class PlateauSettings(ToySettings):
    """Fixed log-mel with a plateau schedule (weak_mtl): clip labels only."""

    def streams(self) -> list[Stream]:
        return [Stream("clips", (desed("synth_train"),), ("mel",), 5, "clips")]

    def held_out(self) -> list[HeldOut]:
        return [
            HeldOut("validation", desed("validation"), ("mel",), ("tags",), selects=True),
        ]


class Plateau(Toy):
    factor, best = 1.0, -1.0

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        _, clip = self.forward("student", self.features(batch.inputs))
        return {"clips": Term(1.0, binary_cross_entropy(clip, batch.clips))}

    def select(self, metrics: Mapping[str, float]) -> float:
        return metrics["validation/student/weak_f1"]

    def rate(self, step: int) -> float:
        return self.factor

    def on_epoch(self, epoch: Epoch) -> None:
        value = self.select(epoch.metrics)
        if value <= self.best:
            self.factor *= 0.5
        self.best = max(self.best, value)

    def state(self) -> dict[str, float]:
        return {"factor": self.factor, "best": self.best}

    def load_state(self, state: Mapping[str, float]) -> None:
        self.factor = state["factor"]
        self.best = state["best"]


class GroupsSettings(ToySettings):
    """Five groups, a concatenated one, two corpora, a frozen encoder, two rates (mtda_hsed)."""

    def streams(self) -> list[Stream]:
        synth = desed("synth_train")
        return [
            Stream("soft", (Subset("maestro", "train"),), ("mel",), 2, "frames"),
            Stream("synth", (synth,), ("mel",), 1, "frames"),
            Stream("strong", (desed("strong_real"), synth), ("mel",), 1, "frames"),
            Stream("weak", (desed("weak", "train"),), ("mel",), 2, "clips"),
            Stream("unlabelled", (desed("unlabelled"),), ("mel",), 4, "none", ends_epoch=False),
        ]

    def held_out(self) -> list[HeldOut]:
        return held_out("mel")


class Groups(Toy):
    def build(self) -> dict[str, nn.Module]:
        encoder = nn.Conv1d(8, 8, 1).requires_grad_(False)
        return {"encoder": encoder, "student": Net(8)}

    def models(self) -> list[str]:
        return ["student"]

    def param_groups(self) -> list[dict]:
        net = self.networks["student"]
        return [
            {"params": list(net.body.parameters()), "lr": 1e-3},
            {"params": list(net.head.parameters()), "lr": 2e-2},
        ]

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return self.forward("encoder", super().features(inputs))

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        frame, clip = self.forward("student", self.features(batch.inputs))
        strong = slice(0, batch.parts["strong"].stop)
        part = batch.part
        return {
            "strong": Term(1.0, binary_cross_entropy(frame[strong], batch.frames[strong])),
            "weak": Term(0.5, binary_cross_entropy(part("weak", clip), part("weak", batch.clips))),
        }


class PairsSettings(ToySettings):
    """Two modalities with extra negatives (dmsf_avel)."""

    def streams(self) -> list[Stream]:
        both = ("mel", "picture")
        return [
            Stream("videos", (desed("synth_train"),), both, 4, "frames"),
            Stream("negatives", (desed("unlabelled"),), both, 2, "none", ends_epoch=False),
        ]

    def held_out(self) -> list[HeldOut]:
        return held_out("mel", "picture")


class Pairs(Toy):
    bands = 12

    def features(self, inputs: Mapping[str, Tensor]) -> Tensor:
        return torch.cat([inputs[name][..., :FRAMES] for name in ("mel", "picture")], 1).log1p()

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        frame, _ = self.forward("student", self.features(batch.inputs))
        return {"segments": Term(1.0, binary_cross_entropy(frame, batch.frames))}


TOYS: dict[str, tuple[type[ToySettings], type[Toy]]] = {
    "spectra": (SpectraSettings, Spectra),
    "waveform": (WaveformSettings, Waveform),
    "plateau": (PlateauSettings, Plateau),
    "groups": (GroupsSettings, Groups),
    "pairs": (PairsSettings, Pairs),
}


def plan(toy: str, *, kind: str = "train", seed: int = 3, **settings: object) -> Plan:
    model = TOYS[toy][0]
    return Plan(
        run=Run(toy, "row", "desed", seed),
        kind=kind,
        source=None,
        settings=model.model_validate(settings),
        front_ends={
            name: FRONT_ENDS[name]
            for name in sorted({n for s in model().held_out() for n in s.inputs})
        },
        classes=CLASSES,
    )


def fabricate(layout: Layout, *, seed: int = 0, without: tuple[str, ...] = ()) -> None:
    """Stores and tables of small subsets whose bands rise where their classes sound."""
    counts = {
        "desed": {
            "synth_train": 14,
            "weak": 8,
            "unlabelled": 10,
            "strong_real": 3,
            "validation": 7,
            "synth_validation": 9,
        },
        "maestro": {"train": 6},
    }
    for corpus, subsets in counts.items():
        for place, (name, count) in enumerate(subsets.items()):
            absent = name in without
            rng = np.random.default_rng([seed, place, len(corpus)])
            _subset(layout, Subset(corpus, name), 0 if absent else count, count, rng)


def _subset(layout: Layout, subset: Subset, count: int, expected: int, rng) -> None:
    names = [f"{subset.name}{i}" for i in range(count)]
    events = [
        (clip, CLASSES[k], onset, onset + 0.4, 1.0)
        for i, clip in enumerate(names)
        for k, onset in [(i % 3, round(float(rng.uniform(0, 0.6)), 3))]
    ]
    table = pd.DataFrame(events, columns=tables.EVENTS)
    target = tables.frame_targets(table, names, CLASSES, FRAMES, HOP)
    if subset.name == "weak":
        table[["onset", "offset"]] = np.nan
    if subset.name == "unlabelled":
        table = table.iloc[:0]
    folds = ["held_out" if i % 4 == 3 else "train" for i in range(count)]
    clips = tables.clip_table(
        Clip(name, subset.name, 1.0, fold, path=name)
        for name, fold in zip(names, folds, strict=True)
    )
    note = "" if count else "not to be had"
    audit = pd.DataFrame([(subset.name, expected, count, note, "official")], columns=tables.AUDIT)
    for kind, rows, columns in (
        ("clips", clips, tables.CLIPS),
        ("events", table, tables.EVENTS),
        ("audit", audit, tables.AUDIT),
    ):
        tables.write(layout.table(subset, kind), rows, columns)
    for front_end, spec in FRONT_ENDS.items():
        path = layout.store(subset, front_end)
        wave = spec.kind == "waveform"
        dtype = "int16" if wave else "float16"
        with writing(path, shape=spec.shape, dtype=dtype, attributes={}) as store:
            for i, clip in enumerate(names):
                store.add(clip, 1.0, _values(spec, target[i], rng))


def _values(spec: FrontEnd, target: np.ndarray, rng) -> np.ndarray:
    if spec.kind == "waveform":
        loud = np.repeat(target @ [0.2, 0.5, 0.9], spec.samples // FRAMES)
        return scaled(loud * rng.uniform(-1, 1, spec.samples) * 0.6)
    values = rng.uniform(0, 0.3, spec.shape).astype(np.float32)
    for k in range(len(CLASSES)):
        values[k, :FRAMES] += 2 * target[:, k]
    return values
