"""A clip as extraction sees it."""

from __future__ import annotations

from typing import NamedTuple


class Clip(NamedTuple):
    name: str
    path: str
    seconds: float
