"""Everything that can be set, typed, merged and validated once (imports only pydantic and yaml)."""

from . import declared, published
from .blocks import Block, Decoding, Detecting, FrontEnd, Training
from .data import Data
from .layers import merge
from .load import load, read_yaml
from .paper import PaperSettings
from .project import Paper, Project, Row
from .rows import named
from .runs import Layout, Plan, Run, plan, runs, runs_of_row, scored
from .streams import Grid, HeldOut, Overlap, Stream, Subset

__all__ = [
    "Block",
    "Data",
    "Decoding",
    "Detecting",
    "FrontEnd",
    "Grid",
    "HeldOut",
    "Layout",
    "Overlap",
    "Paper",
    "PaperSettings",
    "Plan",
    "Project",
    "Row",
    "Run",
    "Stream",
    "Subset",
    "Training",
    "declared",
    "load",
    "merge",
    "named",
    "plan",
    "published",
    "read_yaml",
    "runs",
    "runs_of_row",
    "scored",
]
