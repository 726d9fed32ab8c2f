"""Which event recordings are mixed over which scene: the published recipe, draw for draw.

The draws use the tables alone and NumPy's legacy generator, whose stream never changes; audio has
no part in them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import SedreproError
from ..settings.data import SnrMix

FOLDS = (1, 2, 3, 4)


class Draws(NamedTuple):
    """Row numbers of the two tables, one row of each array per mixture."""

    fold: np.ndarray
    events: np.ndarray
    """(mixture, event): rows of the table of event recordings."""
    scene: np.ndarray


def folds(n_files: int, seed: int) -> np.ndarray:
    """The fold (1 to 4) of every event recording, verified or not: dealt out in shuffled order."""
    order = np.arange(n_files)
    np.random.RandomState(seed).shuffle(order)
    fold = np.empty(n_files, dtype=np.int64)
    fold[order] = np.arange(n_files) % len(FOLDS) + 1
    return fold


def draw(verified: np.ndarray, n_scenes: int, recipe: SnrMix) -> Draws:
    """The mixtures of all folds, fold after fold; `verified` marks the recordings that are used."""
    per_fold, events = recipe.clips_per_fold, len(recipe.onsets)
    if n_scenes < per_fold * len(FOLDS):
        raise SedreproError(
            f"{recipe.scenes} lists {n_scenes} scenes and the recipe wants one for each of "
            f"{per_fold * len(FOLDS)} mixtures: lower data.snr_mix.clips_per_fold"
        )
    fold = folds(len(verified), recipe.seed)
    random = np.random.RandomState(recipe.seed)
    scenes = np.arange(n_scenes)
    random.shuffle(scenes)
    drawn = []
    for k in FOLDS:
        rows = np.flatnonzero((fold == k) & verified)
        if not len(rows):
            raise SedreproError(f"fold {k} has no verified event recording to mix")
        drawn.append(_repeated(random, rows, per_fold * events, recipe.recipe))
    return Draws(
        fold=np.repeat(FOLDS, per_fold),
        events=np.concatenate(drawn).reshape(-1, events),
        scene=scenes[: per_fold * len(FOLDS)],
    )


def _repeated(
    random: np.random.RandomState, rows: np.ndarray, wanted: int, recipe: str
) -> np.ndarray:
    """Shuffled repeats of the rows, cut to length.

    The authors append the array they go on shuffling, so that all repeats show its last order:
    where its length is a multiple of three, the same triples come back. `fixed` keeps each order.
    """
    repeats = []
    for _ in range(wanted // len(rows) + 1):
        random.shuffle(rows)
        repeats.append(rows if recipe == "authors" else rows.copy())
    return np.concatenate(repeats)[:wanted]
