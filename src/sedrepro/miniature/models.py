"""The sound model of each DESED class, how long its sounds last, and how one is drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from . import kitchen, machines, voices

VERSION = 1  # of the models: raise it when a sound changes, so that rendered data is renewed


@dataclass(frozen=True)
class Model:
    """`synthesize(rng, seconds)`; lasting sounds may go on beyond the edges of a recording."""

    synthesize: Callable[[np.random.Generator, float], np.ndarray]
    shortest: float
    longest: float
    lasting: bool = False


MODELS = {
    "Alarm_bell_ringing": Model(machines.alarm, 0.9, 3.0),
    "Blender": Model(machines.blender, 1.2, 4.0, lasting=True),
    "Cat": Model(voices.cat, 0.5, 1.6),
    "Dishes": Model(kitchen.dishes, 0.5, 1.8),
    "Dog": Model(voices.dog, 0.3, 1.8),
    "Electric_shaver_toothbrush": Model(machines.shaver, 1.5, 4.5, lasting=True),
    "Frying": Model(kitchen.frying, 1.8, 5.0, lasting=True),
    "Running_water": Model(kitchen.water, 1.2, 4.5, lasting=True),
    "Speech": Model(voices.speech, 0.7, 2.6),
    "Vacuum_cleaner": Model(machines.vacuum, 1.8, 5.0, lasting=True),
}


def duration(label: str, rng: np.random.Generator, at_most: float) -> float:
    """How long a sound of the class lasts, in seconds with three decimals."""
    model = MODELS[label]
    longest = max(0.3, min(model.longest, at_most))
    return round(float(rng.uniform(min(model.shortest, longest), longest)), 3)


def draw(label: str, rng: np.random.Generator, seconds: float) -> np.ndarray:
    """A sound of the class that lasts `seconds`, peak 1."""
    sound = MODELS[label].synthesize(rng, seconds)
    return sound / np.max(np.abs(sound))
