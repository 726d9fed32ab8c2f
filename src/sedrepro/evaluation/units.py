"""What a held-out set's intervals resample: which of its clips depend on each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from ..clips import Clip
from ..metrics.maestro import window_of
from ..mixtures import snr_mix
from ..settings import HeldOut


def units(held_out: HeldOut, clips: Sequence[str], listed: Mapping[str, Clip]) -> list[str]:
    """The unit of each clip: clips of one unit are drawn together (`listed`: clips by name)."""
    if held_out.unit == "recording":
        return [window_of(clip)[0] for clip in clips]
    if held_out.unit == "video":
        # Several rows of AVE's annotations may be of one video: `<row>_<video>`.
        return [clip.partition("_")[2] for clip in clips]
    if held_out.unit == "events":
        events = [snr_mix.mixture(listed[clip]).events for clip in clips]
        return linked([[event.file for event in of] for of in events])
    return list(clips)


def linked(files: Sequence[Sequence[str]]) -> list[str]:
    """Mixtures that share a recording, directly or through others, are one unit (mixture)."""
    known = {name: n for n, name in enumerate(sorted({name for of in files for name in of}))}
    mixture = np.repeat(np.arange(len(files)), [len(of) for of in files])
    file = len(files) + np.array([known[name] for of in files for name in of], dtype=int)
    size = len(files) + len(known)
    graph = csr_array((np.ones(len(file)), (mixture, file)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    return [str(label) for label in labels[: len(files)]]
