"""Tables and scores of one run, made of random numbers with something to find in them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from sedrepro import chain, tables
from sedrepro.clips import Clip
from sedrepro.features.extract import form
from sedrepro.features.kinds import scaled
from sedrepro.files import file_digest, write_json
from sedrepro.metrics.events import reference
from sedrepro.mixtures import origins
from sedrepro.settings import Layout, Plan, Run, Subset
from sedrepro.settings.runs import TABLES
from sedrepro.store import writing

HOP, FRAMES, CLIPS, EXPECTED = 0.064, 100, 14, 17
MT = Run("lgc_sed", "mt", "desed", 42)
MODELS = ("student", "teacher", "student@last")
SETS = ("validation", "public_eval")
WHOLE = np.full(CLIPS + 1, 6.4)
"""Clips as long as their scores."""


def layout_in(folder: Path) -> Layout:
    return Layout(str(folder / "data"), str(folder / "results"))


class World:
    """Tables and the scores of one run, made of random numbers with something to find in them."""

    def __init__(self, layout: Layout, classes: list[str], seconds: np.ndarray = WHOLE) -> None:
        self.layout = layout
        self.classes = classes
        self.seconds = seconds
        self.frames = {}
        self.clips = {}
        self.events = {}
        rng = np.random.default_rng(0)
        path = Path(self.layout.run(MT, "scores.h5"))
        path.parent.mkdir(parents=True)
        with h5py.File(path, "w") as file:
            file.attrs["classes"] = json.dumps(classes)
            file.attrs["models"] = json.dumps(list(MODELS))
            file.attrs["hop"] = HOP
            for name in SETS:
                self._set(file, name, rng)
        self.sign()

    def sign(self, **more: str) -> None:
        """The run's record, of the scores as they lie there."""
        scores = file_digest(self.layout.run(MT, "scores.h5"))
        told = {"status": "done", "reason": "", "schema": chain.SCHEMA["run"], "key": "a run"}
        told |= {"content": {"scores.h5": scores}}
        write_json(self.layout.run(MT, "run.json"), {**told, **more})

    def _set(self, file: h5py.File, name: str, rng) -> None:
        clips = [f"{name}{n}" for n in range(CLIPS + 1)]  # the last one was not scored
        rows = []
        for clip, seconds in zip(clips[1:], self.seconds[1:], strict=True):  # the first is silent
            for label in rng.choice(self.classes, size=3, replace=False):
                onset = round(float(rng.uniform(0, 4)), 3)
                offset = min(seconds, round(onset + float(rng.uniform(0.3, 2.3)), 3))
                rows.append((clip, label, onset, offset, 1.0))
        home = Subset("desed", name)
        self.events[name] = pd.DataFrame(rows, columns=tables.EVENTS)
        listed = tables.clip_table(
            Clip(clip, name, float(length))
            for clip, length in zip(clips, self.seconds, strict=True)
        )
        audit = pd.DataFrame([[name, EXPECTED, CLIPS + 1, "", "official"]], columns=tables.AUDIT)
        tables.write(self.layout.table(home, "clips"), listed, tables.CLIPS)
        tables.write(self.layout.table(home, "events"), self.events[name], tables.EVENTS)
        tables.write(self.layout.table(home, "audit"), audit, tables.AUDIT)
        self.clips[name] = clips[:CLIPS]
        group = file.create_group(name)
        group["clips"] = np.array(clips[:CLIPS], dtype=h5py.string_dtype())
        group["seconds"] = self.seconds[:CLIPS]
        targets = tables.frame_targets(self.events[name], clips[:CLIPS], self.classes, FRAMES, HOP)
        for model in MODELS:
            noise = rng.normal(-2, 1, (CLIPS, 1, 1)) + rng.normal(0, 0.7, targets.shape)
            frame = (1 / (1 + np.exp(-(noise + 4 * targets)))).astype(np.float32)
            self.frames[name, model] = frame
            group[f"{model}/frame"] = frame
            group[f"{model}/clip"] = frame.max(axis=1)
            group[f"{model}/attention"] = frame[:, 0]

    def truth(self, name: str):
        events = self.events[name]
        columns = tuple(events[c].tolist() for c in ("clip", "label", "onset", "offset"))
        return reference(
            clips=self.clips[name],
            seconds=self.seconds[:CLIPS],
            classes=self.classes,
            events=columns,
        )

    def change(self, run: Run, edit) -> None:
        with h5py.File(self.layout.run(run, "scores.h5"), "r+") as file:
            edit(file)
        self.sign()


def lay_set(
    layout: Layout,
    plan: Plan,
    subset: Subset,
    samples: list[np.ndarray],
    seconds: float = 10.0,
    event: tuple[float, float] = (1.0, 3.0),
) -> None:
    """A subset's tables and its store of waveforms, as extraction would make them."""
    names = [f"{subset.name}{index}" for index in range(len(samples))]
    clips = tables.clip_table(Clip(name, subset.name, seconds, "held_out") for name in names)
    rows = [(name, ("Speech", "Dog")[index % 2], *event, 1.0) for index, name in enumerate(names)]
    events = pd.DataFrame(rows, columns=tables.EVENTS)
    counts = (subset.name, len(names), len(names), "", "official")
    audit = pd.DataFrame([counts], columns=tables.AUDIT)
    tables.write(layout.table(subset, "clips"), clips, tables.CLIPS)
    tables.write(layout.table(subset, "events"), events, tables.EVENTS)
    tables.write(layout.table(subset, "audit"), audit, tables.AUDIT)
    written = [layout.table(subset, name) for name in TABLES]
    heard = origins.recordings(subset, layout)
    key = layout.tables_key(subset)
    chain.seal(key, "tables", written, depends={}, parents={}, recordings=heard, trees={})
    for name, front_end in plan.front_ends.items():
        path = layout.store(subset, name)
        shape, attributes = front_end.shape, {"front_end": front_end.model_dump(mode="json")}
        made_of = chain.link("store", {"front_end": name}, origins.of_clips(subset, layout))
        kind = form(front_end)
        with writing(path, shape=shape, dtype=kind, attributes=attributes, origin=made_of) as store:
            for clip, values in zip(names, samples, strict=True):
                store.add(clip, seconds, scaled(values / np.float32(32768)))


def under_recipes_names(state: dict) -> dict:
    """The weights of the baselines' network as their recipe names and shapes them."""
    names = {
        r"cnn\.blocks\.(\d+)\.conv": r"cnn.cnn.conv\1",
        r"cnn\.blocks\.(\d+)\.norm": r"cnn.cnn.batchnorm\1",
        r"cnn\.blocks\.(\d+)\.gate\.linear": r"cnn.cnn.glu\1.linear",
        r"rnn\.": "rnn.rnn.",
        r"heads\.frame": "dense",
        r"heads\.attention": "dense_softmax",
    }
    theirs = {}
    for key, value in state.items():
        own = next(own for own in names if re.match(own, key))
        flat = value.flatten(1) if ".gate." in key and value.dim() == 4 else value
        theirs[re.sub(f"^{own}", names[own], key)] = flat
    return theirs
