"""Stores that a frozen network makes: pooled tokens of clips, or features of each second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import chain, progress
from ..files import file_digest
from ..kept import Kept
from ..settings import FrontEnd, Project, Subset, declared
from ..settings.tasks import StoreTask
from ..sources import weights
from ..store import writing
from .devices import choose, prepare
from .frozen import FrozenKind, Inputs

FORM = "float16"


def make_store(task: StoreTask, *, out: str | Path, gpus: int = 0, threads: int = 1) -> None:
    """The store a task asks for, made or, if it was made before, published again."""
    front_end = task.project.front_ends[task.front_end]
    parents = _kind(front_end).source.parents(task.layout, task.subset, front_end)
    parents |= {"weights": _content_of_weights(task.project, front_end)}
    origin = chain.link("store", task.depends() | {"form": FORM}, parents)

    def make() -> None:
        embed(
            task.project,
            task.subset,
            task.front_end,
            out=out,
            gpus=gpus,
            threads=threads,
            origin=origin,
        )

    Kept.beside([out]).or_make(origin["key"], make)


def embed(
    project: Project,
    subset: Subset,
    front_end_name: str,
    *,
    out: str | Path,
    gpus: int = 0,
    threads: int = 1,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write the store of one subset under a front end that is a frozen network.

    Without the network's weights, or without inputs, the store is empty and its attribute
    `lacking` says why.
    """
    front_end = project.front_ends[front_end_name]
    source = _kind(front_end).source
    inputs = source.inputs(project, subset, front_end)
    attributes = {
        "front_end": front_end.model_dump(mode="json"),
        "corpus": subset.corpus,
        "subset": subset.name,
        "weights": _content_of_weights(project, front_end),
        "lacking": source.lacking(project) or weights.lacking(_resource(front_end), project) or "",
        **inputs.attributes,
    }
    with writing(
        out, shape=front_end.shape, dtype=FORM, attributes=attributes, origin=origin
    ) as store:
        if attributes["lacking"] or not inputs.clips:
            return
        answers = _answers(project, front_end, inputs, gpus, threads)
        counted = progress.current().over(answers, len(inputs.clips), "clips")
        for index, values in enumerate(counted):
            store.add(inputs.clips[index], inputs.seconds[index], values)


def _answers(
    project: Project, front_end: FrontEnd, inputs: Inputs, gpus: int, threads: int
) -> Iterator[np.ndarray]:
    """What the network says of every clip, in order."""
    import torch

    device = choose(project.device, gpus, project.gpu_share)
    prepare(0, threads, project.deterministic)
    kind = _kind(front_end)
    network = kind.load(front_end, weights.path(_resource(front_end), project)).to(device).eval()
    count = len(inputs.clips)
    for start in range(0, count, kind.batch):
        read = inputs.read(range(start, min(start + kind.batch, count)))
        with torch.inference_mode():
            yield from network(torch.from_numpy(read).to(device)).cpu().numpy()


def _kind(front_end: FrontEnd) -> FrozenKind:
    return declared.resolve(declared.FRONT_ENDS[front_end.kind].work)


def _resource(front_end: FrontEnd) -> str:
    """The resource that brings the network's weights."""
    return declared.FRONT_ENDS[front_end.kind].weights


def _content_of_weights(project: Project, front_end: FrontEnd) -> str:
    """A digest of the weights; empty where there are none."""
    resource = _resource(front_end)
    there = weights.lacking(resource, project) is None
    return file_digest(weights.path(resource, project)) if there else ""
