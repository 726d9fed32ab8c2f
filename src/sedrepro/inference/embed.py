"""Waveform stores through a frozen network, once: stores of its pooled tokens."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import chain, progress
from ..files import file_digest
from ..kept import Kept
from ..settings import FrontEnd, Layout, Project, Subset, declared
from ..settings.tasks import StoreTask
from ..sources import weights
from ..store import Store, intact, writing

BATCH = 32  # clips at a time
FORM = "float16"


def make_store(task: StoreTask, *, out: str | Path, gpus: int = 0, threads: int = 1) -> None:
    """The store a task asks for, made or, if it was made before, published again."""
    front_end = task.project.front_ends[task.front_end]
    waves = Store(task.layout.store(task.subset, front_end.waveform))
    lacking = weights.lacking(front_end.kind, task.project)
    parents = {
        "waves": waves.content_key,
        "weights": "" if lacking else file_digest(weights.path(front_end.kind, task.project)),
    }
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

    Without the network's weights the store is empty and its attribute `lacking` says why.
    """
    front_end = project.front_ends[front_end_name]
    waves = intact(Layout.of(project).store(subset, front_end.waveform))
    why = weights.lacking(front_end.kind, project)
    file = weights.path(front_end.kind, project)
    attributes = {
        "front_end": front_end.model_dump(mode="json"),
        "corpus": subset.corpus,
        "subset": subset.name,
        "waves": waves.content_key,
        "weights": "" if why else file_digest(file),
        "lacking": why or "",
    }
    with writing(
        out, shape=front_end.shape, dtype=FORM, attributes=attributes, origin=origin
    ) as store:
        if why or not len(waves):
            return
        tokens = _tokens(project, front_end, waves, file, gpus, threads)
        counted = progress.current().over(tokens, len(waves), "clips")
        for index, values in enumerate(counted):
            store.add(waves.clips[index], waves.seconds[index], values)


def _tokens(
    project: Project, front_end: FrontEnd, waves: Store, file: Path, gpus: int, threads: int
) -> Iterator[np.ndarray]:
    """The pooled tokens (frame, width) of every clip, in order."""
    import torch

    from .devices import choose, prepare
    from .networks import as_input

    device = choose(project.device, gpus, project.gpu_share)
    prepare(0, threads, project.deterministic)
    encoder = declared.resolve(declared.FRONT_ENDS[front_end.kind].work)
    network = encoder(front_end.kind, file, front_end.channels).to(device).eval()
    for start in range(0, len(waves), BATCH):
        samples = waves.read(range(start, min(start + BATCH, len(waves))))
        heard = as_input(torch.from_numpy(samples).to(device))
        with torch.inference_mode():
            yield from network(heard, front_end.steps, front_end.pooling).cpu().numpy()
