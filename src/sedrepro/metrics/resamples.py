"""What every resample of the clips gave, kept for the intervals of differences between runs."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..files import whole

Key = tuple[str, str, str, str, str]
"""Set, model, metric, implementation, label."""


@dataclass
class Draws:
    """What is to be stored: each metric's resamples, and per set a key of its clips in order."""

    values: dict[Key, np.ndarray] = field(default_factory=dict)
    clips: dict[str, str] = field(default_factory=dict)
    key: str = ""
    """The key of the metrics that these are resamples of."""

    def write(self, path: str | Path) -> None:
        rows = [np.asarray(row, dtype=np.float32) for row in self.values.values()]
        keys = [list(key) for key in self.values]
        about = json.dumps({"keys": keys, "clips": self.clips, "key": self.key})
        with whole(path) as disk:
            np.savez(disk, values=np.stack(rows) if rows else np.zeros((0, 0)), about=about)


class Resamples:
    """A run's resamples as stored; a file that is absent or damaged holds none."""

    def __init__(self, path: str | Path) -> None:
        self._values: dict[Key, np.ndarray] = {}
        self._clips: dict[str, str] = {}
        self.key = ""
        try:
            with np.load(path) as file:
                about, rows = json.loads(str(file["about"])), file["values"]
            values = {tuple(key): row for key, row in zip(about["keys"], rows, strict=True)}
            self._values, self._clips, self.key = values, about["clips"], about["key"]
        except Exception:  # numpy and zipfile raise whatever a damaged file leads them to
            return

    @classmethod
    def none(cls) -> Resamples:
        """No resamples at all."""
        return cls(os.devnull)

    def minus(self, other: Resamples, key: Key) -> np.ndarray | None:
        """The differences, resample by resample; None unless both drew the same clips."""
        ours, theirs = self._values.get(key), other._values.get(key)
        if ours is None or theirs is None or ours.shape != theirs.shape:
            return None
        same = self._clips.get(key[0]) == other._clips.get(key[0])
        return ours.astype(float) - theirs if same else None
