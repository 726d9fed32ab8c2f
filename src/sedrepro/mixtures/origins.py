"""What clip tables were made from, and what stores are made from: links in the chain of keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .. import chain, tables
from ..clips import read_clips
from ..files import digest, file_digest, fingerprint, tree_stamp
from ..settings import Layout, Subset
from ..settings.given import without_folders
from ..settings.runs import TABLES
from ..settings.tasks import AdaptTask


def stamps(trees: Iterable[str]) -> dict[str, str]:
    """The user's own trees as they are before tables are made of them."""
    return {tree: tree_stamp(tree) for tree in trees}


def seal_tables(
    task: AdaptTask, statuses: Iterable[str | Path], trees: Mapping[str, str] | None = None
) -> None:
    """Write the key of a subset's tables once they lie there.

    It covers the tables and the recordings they name, so that a tree whose files were exchanged
    has another key. Beside it stand the settings it was made with, which whoever prints numbers
    compares with those asked for, and the stamps of the user's own `trees`: where one has changed,
    the tables are made again.
    """
    layout, subset = task.layout, task.subset
    heard = recordings(subset, layout)
    chain.seal(
        layout.tables_key(subset),
        "tables",
        [layout.table(subset, name) for name in TABLES],
        depends={"settings": task.depends(), "recordings": heard},
        parents={Path(status).stem: file_digest(status) for status in statuses},
        settings=without_folders(task.given),
        recordings=heard,
        trees=dict(trees or {}),
    )


def recordings(subset: Subset, layout: Layout) -> str:
    """A key of the recordings that a subset's clips are read from."""
    listed = read_clips(layout.table(subset, "clips"))
    files = dict.fromkeys(clip.file for clip in listed if clip.file)
    recipes = list(dict.fromkeys(clip.recipe for clip in listed if clip.recipe))
    for recipe in recipes:
        mixed = tables.read(recipe, ["scene", "file"])
        files |= dict.fromkeys([*mixed["scene"], *mixed["file"]])
    return digest([[file_digest(recipe) for recipe in recipes], [*map(fingerprint, files)]])


def of_clips(subset: Subset, layout: Layout) -> dict[str, Any]:
    """What a store of a subset is made from: its clips and their recordings, not its labels."""
    chain.refuse_changed(layout.tables_key(subset), "tables")
    sealed = chain.read_seal(layout.tables_key(subset), "tables")
    return {"clips": sealed["files"]["clips.tsv"], "recordings": sealed["recordings"]}
