"""The papers: each package here with a `settings.py`, and the config folder of the same name.

Importing this is light: settings without torch, methods on demand.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ..settings import PaperSettings

if TYPE_CHECKING:
    from .contract import Method

PAPERS = tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/settings.py")))


def settings_models() -> dict[str, type[PaperSettings]]:
    """Each paper's settings model."""
    return {paper: import_module(f"{__name__}.{paper}.settings").Settings for paper in PAPERS}


def method_of(paper: str, method: str | None = None) -> type[Method]:
    """The paper's method, or another that its rows name (this import needs torch).

    A method lies beside its settings.
    """
    beside = settings_models()[paper].of(method).__module__.rpartition(".")[0]
    return import_module(f"{beside}.method").Method
