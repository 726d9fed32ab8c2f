"""Files of fields that sedrepro writes (HDF5, JSON, NumPy, PyTorch): in words, and a real one.

A field's name has a part per level: `metrics[].value` in JSON, `SET/MODEL/frame` in HDF5, where `@`
marks an attribute of the file. A part in capitals stands for any name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sedrepro.checkpoints import load_checkpoint

Parts = tuple[str, ...]
EMPTY = " or empty"


@dataclass(frozen=True)
class File:
    """A kind of file; `fields` are kind and meaning by name."""

    name: str
    what: str
    fields: Mapping[str, tuple[str, str]]


LINK = {
    "kind": ("text", "what kind of artefact it is"),
    "schema": ("number", "the form of this kind; another one is made anew"),
    "key": ("text", "a digest of all that its content depends on"),
}
SEAL = LINK | {"files.FILE": ("text", "digest of a file")}
FILES = (
    File(
        "data/SCALE/status/RESOURCE.json",
        "How fetching a resource ended.",
        {
            "resource": ("text", "the resource"),
            "status": ("text", "`ok`, `partial`, `unavailable` or `arriving`"),
            "reason": ("text", "why it is not all there"),
            "files": ("number", "files that are there"),
            "bytes": ("number", "their size"),
        },
    ),
    File(
        "data/SCALE/corpora/CORPUS/SUBSET/key.json",
        "The key of a subset's clip tables.",
        SEAL
        | {
            "parents.RESOURCE": ("text", "digest of what was fetched"),
            "settings": ("mapping", "the settings it was made with"),
            "recordings": ("text", "digest of the recordings' names, sizes and dates"),
            "trees.TREE": ("text", "the same of a tree of your own"),
        },
    ),
    File(
        "data/SCALE/features/CORPUS/SUBSET.FRONT_END.h5",
        "A store: what a front end makes of each clip.",
        {
            "@attributes": ("JSON", "settings of the front end"),
            "@content_key": ("text", "digest of names, lengths, values and attributes"),
            "@origin": ("JSON", "kind, schema, key and parents, as in the files above"),
            "clips": ("array", "names of the clips"),
            "seconds": ("array", "length of each clip, seconds"),
            "data": (
                "array",
                "values, the first axis is the clip: float16 spectra, int16 waveforms",
            ),
        },
    ),
    File(
        "results/NAME/runs/PAPER/ROW/CONDITION/SEED/run.json",
        "The record of a run.",
        LINK
        | {
            "status": ("text", "`done` or `not_run`"),
            "reason": ("text", "why it was not run"),
            "run.paper": ("text", "the paper"),
            "run.row": ("text", "the row of its table"),
            "run.condition": ("text", "the variant of the data"),
            "run.fold": ("number or empty", "the fold, where the paper cross-validates"),
            "run.seed": ("number", "the seed"),
            "run.kind": ("text", "`train`, `untrained` or `released`"),
            "run.source": ("text or empty", "the run that it starts from"),
            "settings": ("mapping", "the paper's settings ([all of them](parameters.md))"),
            "front_ends": ("mapping", "settings of the front ends that it reads"),
            "classes": ("list", "the classes, in the order of the scores"),
            "method": ("text or empty", "the method, where the paper has several"),
            "released": ("mapping or empty", "the files of a system that others trained"),
            "parents.stores.STORE": ("text", "content key of a store that it reads"),
            "parents.events.SUBSET": ("text", "digest of a table of events"),
            "parents.portions": ("text", "digest of the cuts of the sets"),
            "parents.weights.RESOURCE": ("text", "digest of weights that others trained"),
            "parents.source": ("mapping or empty", "key and checkpoint of the run it starts from"),
            "numerics.precision": ("text", "the precision of the arithmetic"),
            "numerics.dropout": ("text", "what draws the masks of dropout"),
            "content.FILE": ("text", "digest of a file of the run"),
            "data.STORE.corpus": ("text", "the corpus"),
            "data.STORE.subset": ("text", "the part of the corpus"),
            "data.STORE.content_key": ("text", "content key of the store"),
            "data.STORE.clips": ("number", "clips that were read"),
            "data.STORE.expected": ("number or empty", "clips of the complete subset"),
            "data.STORE.found": ("number", "clips of it that are there"),
            "data.STORE.note": ("text", "what a reader has to know"),
            "data.STORE.origin": ("text", "whose the clips are: `official`, `rendered` or `own`"),
            "code.version": ("text", "the version of sedrepro"),
            "code.commit": ("text or empty", "the commit, where it is known"),
            "code.dirty": ("yes or no or empty", "whether files were changed since the commit"),
            "code.digest": ("text", "digest of the code that training depends on"),
            "packages.PACKAGE": ("text", "version of a package"),
            "parameters.NETWORK": ("number", "weights of a network"),
            "selected": ("mapping or empty", "epoch and value of the checkpoint that was chosen"),
            "steps": ("number", "updates of the weights"),
            "hardware.device": ("text", "the device"),
            "hardware.cpu": ("text", "the processor"),
            "hardware.cores": ("number", "its cores"),
            "hardware.gpu": ("text or empty", "the GPU"),
            "hardware.amp": ("yes or no", "whether precision was mixed"),
            "hardware.deterministic": ("yes or no", "whether a GPU computed the same each time"),
            "cost.wall_s": ("number", "time of the training, seconds"),
            "cost.peak_memory_mb": ("number", "most memory in use, MiB"),
            "cost.peak_gpu_memory_mb": ("number or empty", "most GPU memory in use, MiB"),
            "cost.energy_j": ("number or empty", "energy of the GPU, joules"),
            "cost.device": ("text", "the device"),
            "cost.starts": ("number", "how often the training was started"),
        },
    ),
    File(
        "results/NAME/runs/PAPER/ROW/CONDITION/SEED/scores.h5",
        "What each network says of each held-out clip.",
        {
            "@classes": ("JSON", "the classes, in the order of the last axis"),
            "@hop": ("number", "length of a frame, seconds"),
            "@models": ("JSON", "the networks; `@last` marks those of the last checkpoint"),
            "@run_key": ("text", "the key of the run"),
            "SET/clips": ("array", "names of the clips"),
            "SET/seconds": ("array", "length of each clip that was heard, seconds"),
            "SET/MODEL/frame": ("array", "scores by clip, frame and class"),
            "SET/MODEL/clip": ("array", "scores by clip and class"),
        },
    ),
    File(
        "results/NAME/runs/PAPER/ROW/CONDITION/SEED/examples.h5",
        "What a network reads of a few clips, and makes of them.",
        {
            "@set": ("text", "the set that the clips are of"),
            "@front_end": ("text", "the front end"),
            "@hop": ("number", "length of a frame, seconds"),
            "@order": ("JSON", "the clips in the order of display"),
            "CLIP/input": ("array", "the spectrum, by band and frame"),
            "CLIP/MAP": ("array", "what the method shows of itself, such as its attention"),
        },
    ),
    File(
        "results/NAME/runs/PAPER/ROW/CONDITION/SEED/metrics.json",
        "What a run scores.",
        LINK
        | {
            "parents.run.key": ("text", "the key of the run"),
            "parents.run.scores": ("text", "digest of its scores"),
            "parents.truth.TABLE": ("text", "digest of a clip table"),
            "settings": ("mapping", "how it was decoded and measured"),
            "content": ("text", "digest of what follows, from `status` on"),
            "resamples": ("text", "digest of resamples.npz"),
            "status": ("text", "`done` or `not_run`"),
            "reason": ("text", "why it was not run"),
            "metrics[].metric": ("text", "the metric"),
            "metrics[].implementation": ("text", "the package that computed it"),
            "metrics[].set": ("text", "the held-out set"),
            "metrics[].model": ("text", "the network"),
            "metrics[].label": ("text", "the class, or empty for all classes"),
            "metrics[].value": (
                "number or empty",
                "the value, 0 to 1 unless the metric says other",
            ),
            "metrics[].ci_low": ("number or empty", "lower end of its interval"),
            "metrics[].ci_high": ("number or empty", "upper end of its interval"),
            "metrics[].unit": ("text", "what the interval draws ([units](results.md))"),
            "metrics[].n_units": ("number", "how many there are"),
            "metrics[].n_clips": ("number", "clips that the value stands on"),
            "metrics[].n_expected": ("number or empty", "clips that it would stand on"),
            "metrics[].n_events": ("number", "true events of these clips"),
            "metrics[].n_cut": ("number", "events that go on after what was heard"),
            "curves.SET.MODEL.METRIC.efpr": ("list", "PSD-ROC: false positives per hour"),
            "curves.SET.MODEL.METRIC.etpr": ("list", "PSD-ROC: share of events that were found"),
        },
    ),
    File(
        "results/NAME/runs/PAPER/ROW/CONDITION/SEED/resamples.npz",
        "What a run scores on clips that are drawn anew, for the intervals of differences.",
        {
            "values": ("array", "scores by metric, in the order of `about.keys`, and draw"),
            "about.keys": ("list", "set, network, metric, package and class of each metric"),
            "about.clips.SET": ("text", "digest of what is drawn from a set, and in which units"),
            "about.units.SET": ("number", "how many units it has"),
            "about.key": ("text", "the key of the numbers that these belong to"),
        },
    ),
    File(
        "results/NAME/runs/PAPER/ROW/CONDITION/SEED/checkpoint.pt",
        "The trained networks; `torch.load` reads it.",
        {
            "key": ("text", "the key of the run"),
            "schema": ("number", "the form of this kind; another one is made anew"),
            "plan": ("mapping", "what was trained, and by which settings"),
            "networks.NETWORK": ("mapping", "the weights of a network by name"),
            "method": ("mapping", "what else the method learnt, such as prototypes"),
        },
    ),
    File(
        "results/NAME/tables/PAPER.key.json",
        "The key of a paper's tables. Figures and page have one of the same form.",
        SEAL | {"parents.RUN": ("text", "the key of a run's numbers, or why it has none")},
    ),
    File(
        "results/NAME/logs/STAGE/JOB.progress.json",
        "How far a job is.",
        {
            "job": ("text", "the job"),
            "process": ("text", "which process works on it"),
            "host": ("text", "on which machine"),
            "done": ("number", "the share that is done, 0 to 1"),
            "said": ("text", "the same in words"),
            "seconds": ("number", "how long it has run, seconds"),
            "left": ("number or empty", "how long it still takes, seconds"),
            "running": ("yes or no", "whether it runs"),
            "ended": ("yes or no", "whether it ended well"),
            "time": ("number", "when this was written, seconds since 1970"),
        },
    ),
)


def file_of(name: str) -> File:
    """The kind of file whose name on the page ends so."""
    (found,) = [file for file in FILES if file.name.endswith(name)]
    return found


def parts_of(name: str) -> Parts:
    """`metrics[].value` and `SET/MODEL/frame` by level."""
    split = name.split("/") if "/" in name else name.replace("[]", ".[]").split(".")
    return tuple(split)


def found_in(path: Path, leaves: Iterable[Parts]) -> Iterator[tuple[Parts, str]]:
    """The fields of a real file with their kinds; `leaves` are not looked into."""
    if path.suffix == ".json":
        yield from _of_json(json.loads(path.read_text(encoding="utf-8")), (), set(leaves))
        return
    if path.suffix == ".pt":
        yield from _of_json(load_checkpoint(path), (), set(leaves))
        return
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            yield from (((name,), "array") for name in arrays.files if name != "about")
            yield from _of_json({"about": json.loads(str(arrays["about"]))}, (), set(leaves))
        return
    with h5py.File(path, "r") as file:
        for name, value in file.attrs.items():
            yield (f"@{name}",), "JSON" if _is_json(value) else _kind(value)
        names: list[str] = []
        file.visititems(lambda name, one: names.append(name) if hasattr(one, "shape") else None)
        for name in names:
            yield tuple(name.split("/")), "array"


def _is_json(value: Any) -> bool:
    return isinstance(value, str) and value[:1] in ("[", "{")


def _of_json(value: Any, at: Parts, leaves: set[Parts]) -> Iterator[tuple[Parts, str]]:
    if isinstance(value, dict) and value and not any(_fits(leaf, at) for leaf in leaves):
        for name, part in value.items():
            yield from _of_json(part, (*at, name), leaves)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for part in value:
            yield from _of_json(part, (*at, "[]"), leaves)
    else:
        yield at, _kind(value)


def _kind(value: Any) -> str:
    if value is None:
        return "empty"
    kinds = ((bool, "yes or no"), (str, "text"), ((int, float, np.number), "number"))
    kinds += ((list, "list"), (dict, "mapping"))
    return next(kind for types, kind in kinds if isinstance(value, types))


def differences(file: File, paths: Iterable[Path]) -> list[str]:
    """What the page says of a kind of file and real ones do not show, and the other way round."""
    said = {parts_of(name): kind for name, (kind, _) in file.fields.items()}
    leaves = [parts for parts, kind in said.items() if kind.startswith("mapping")]
    seen: set[Parts] = set()
    wrong: dict[str, None] = {}
    for path in paths:
        for parts, kind in found_in(path, leaves):
            alike = [one for one in said if _fits(one, parts)]
            if kind == "mapping" and not alike:  # nothing is in it here
                alike = [one for one in said if _fits(one[: len(parts)], parts)]
                seen |= set(alike)
                wrong |= {} if alike else {f"{path.name}: {parts} is not on the page": None}
            elif not alike:
                wrong[f"{path.name}: {parts} is not on the page"] = None
            elif kind not in _allowed(said[alike[0]]):
                wrong[f"{path.name}: {parts} is {kind}, not {said[alike[0]]}"] = None
            seen |= set(alike)
    missing = [f"{file.name}: nothing has {parts}" for parts in said if parts not in seen]
    return [*wrong, *missing]


def _allowed(kind: str) -> set[str]:
    return {kind.removesuffix(EMPTY), *(["empty"] if kind.endswith(EMPTY) else [])}


def _fits(said: Parts, parts: Parts) -> bool:
    if len(said) != len(parts):
        return False
    return all(a == b or (a.isupper() and b != "[]") for a, b in zip(said, parts, strict=True))
