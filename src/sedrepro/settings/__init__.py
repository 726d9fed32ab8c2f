"""Everything that can be set, typed, merged and validated once (imports only pydantic and yaml)."""

from .blocks import Block, Decoding, Detecting, FrontEnd, Training
from .data import Data
from .load import load, merge, read_yaml
from .paper import PaperSettings
from .project import Paper, Project, Row
from .runs import Layout, Plan, Run, plan, runs
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
    "load",
    "merge",
    "plan",
    "read_yaml",
    "runs",
]
