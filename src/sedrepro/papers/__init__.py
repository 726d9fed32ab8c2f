"""The papers: each package here with a `settings.py`, and the config folder of the same name.

Importing this is light: settings without torch, methods on demand.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SedreproError
from ..settings import PaperSettings

if TYPE_CHECKING:
    from .contract import Method

PAPERS = tuple(sorted(path.parent.name for path in Path(__file__).parent.glob("*/settings.py")))


def settings_models() -> dict[str, type[PaperSettings]]:
    """Each paper's settings model; a paper whose methods are not there is refused."""
    models = {paper: import_module(f"{__name__}.{paper}.settings").Settings for paper in PAPERS}
    for model in models.values():
        for settings in (model, *model.methods.values()):
            package = _package(settings).removeprefix(f"{__name__}.")
            path = Path(__file__).parent.joinpath(*package.split("."), "method.py")
            if not path.is_file():
                raise SedreproError(
                    f"{path}: no such file: the settings beside it need a class Method"
                )
    return models


def method_of(paper: str, method: str | None = None) -> type[Method]:
    """The paper's method, or another that its rows name (this import needs torch)."""
    return import_module(f"{_package(settings_models()[paper].of(method))}.method").Method


def _package(settings: type[PaperSettings]) -> str:
    """Where some settings lie, and their method beside them."""
    return settings.__module__.rpartition(".")[0]
