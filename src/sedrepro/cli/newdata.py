"""`sedrepro new-data`: check a tree of one's own recordings, and write the settings for it."""

from __future__ import annotations

import argparse
import math
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from ..errors import SedreproError
from ..files import write_text
from ..places import typed

if TYPE_CHECKING:
    from ..sources.newdata import Tree

HEAD = """\
# Written by `sedrepro new-data` for {tree}; change what you like.
# A window (`median`) is a third of the class's usual event, in frames of 64 ms.
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("tree", type=typed, metavar="DIR", help="a tree in DESED's layout")
    parser.add_argument("--name", help="name of the result set; by default the folder's")
    parser.add_argument("--out", type=typed, metavar="FILE", help="the settings; NAME.yaml")
    parser.add_argument(
        "--incomplete", action="store_true", help="recordings that are missing are no fault"
    )


def new_data(options: argparse.Namespace) -> int:
    """Print every fault, or write the overlay and print what to type next."""
    from ..sources.newdata import look

    root = Path(options.tree).expanduser().absolute()
    if not root.is_dir():
        raise SedreproError(f"{options.tree}: no such folder")
    name = options.name or re.sub(r"[^a-z0-9_]+", "_", root.name.lower()).strip("_") or "mine"
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise SedreproError(f"--name {name}: small letters, digits and _ only")
    tree = look(root, incomplete=options.incomplete)
    for fault in tree.faults:
        print(fault)
    if tree.faults:
        count = len(tree.faults)
        print(
            f"{count} {'fault' if count == 1 else 'faults'}; nothing was written", file=sys.stderr
        )
        return 1
    out = Path(options.out or options.started / f"{name}.yaml")
    if out.exists():
        raise SedreproError(f"{out}: is there already; give another --out or --name, or remove it")
    text = yaml.safe_dump(overlay(name, tree), sort_keys=False, allow_unicode=True, width=96)
    write_text(out, HEAD.format(tree=root) + text)
    for remark in tree.remarks:
        print(f"note: {remark}")
    found = ", ".join(f"{count} {subset}" for subset, count in tree.clips.items())
    print(f"{found}; {len(tree.classes)} classes; no fault")
    print(f"{out} is written. Next, on a laptop or one GPU (minutes to an hour):")
    print(f"  snakemake --cores 2 all --configfile config/small.yaml {out}")
    print("or at the papers' full size:")
    print(f"  snakemake --cores 8 all --configfile {out}")
    return 0


def overlay(name: str, tree: Tree) -> dict:
    """The settings for a tree: its classes, the window they fit into, and their medians."""
    seconds = float(math.ceil(tree.seconds))
    windows = tree.medians()
    decoding = {"decoding": {"median": windows}}
    select = {"training": {"select_decoding": {"median": dict(windows)}}}  # YAML names no twin
    return {
        "name": name,
        "run": ["lgc_sed"],
        "data": {
            "desed": {
                "local": str(tree.root),
                "synthetic": "download",
                "classes": tree.classes,
            }
        },
        "front_ends": {"mel128": {"seconds": seconds}, "wave16k": {"seconds": seconds}},
        "papers": {"lgc_sed": {"settings": decoding | select}},
    }
