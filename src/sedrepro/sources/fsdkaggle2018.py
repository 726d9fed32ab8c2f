"""FSDKaggle2018 on disk: its table of training clips, as released on Zenodo or on Kaggle."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ..errors import SedreproError
from ..settings import Layout, Project

CORPUS = "fsdkaggle2018"
# The same 9,473 rows in the same order lie in both; only the names differ.
TABLES = ("FSDKaggle2018.meta/train_post_competition.csv", "train.csv")
FOLDERS = ("FSDKaggle2018.audio_train", "audio_train")
COLUMNS = ("fname", "label", "manually_verified")


def root(project: Project) -> Path:
    """The official tree, or the user's own copy."""
    local = project.data.fsdkaggle2018.local
    return Path(local).expanduser() if local else Path(Layout.of(project).raw(CORPUS))


def audio_folder(project: Project) -> Path:
    folders = [root(project) / name for name in FOLDERS]
    return next((folder for folder in folders if folder.is_dir()), folders[0])


def read(project: Project) -> pd.DataFrame | None:
    """Every training clip in the table's order (`fname`, `label`, `verified`); None: no table."""
    for name in TABLES:
        if (path := root(project) / name).exists():
            return read_table(path)
    return None


def read_table(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise SedreproError(f"{path}: not a CSV table ({reason})") from None
    for column in COLUMNS:
        if column not in table:
            raise SedreproError(
                f"{path}: column {column!r} is missing; found {', '.join(table.columns)}"
            )
    flags = table["manually_verified"]
    if not flags.isin(["0", "1"]).all():
        row = int((~flags.isin(["0", "1"])).to_numpy().argmax())
        raise SedreproError(
            f"{path}: row {row + 2}: manually_verified must be 0 or 1, not {flags.iloc[row]!r}"
        )
    return table[["fname", "label"]].assign(verified=flags == "1")
