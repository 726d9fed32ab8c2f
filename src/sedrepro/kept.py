"""Finished outputs kept under their key, where Snakemake does not delete them.

Snakemake removes a job's outputs before it starts the job. If what was kept has the key the job
would give its outputs, they are put back in a second instead of being made again.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from .files import atomic, file_digest, read_json, write_json

RECORD = "kept.json"


class Kept:
    """One artefact's outputs in a hidden folder, as hard links where the disk has them."""

    def __init__(self, home: str | Path, outputs: Sequence[str | Path]) -> None:
        self.home = Path(home)
        self.outputs = [Path(output) for output in outputs]

    @classmethod
    def beside(cls, outputs: Sequence[str | Path]) -> Kept:
        """In `.kept/` beside the outputs, under the name of the first."""
        first = Path(outputs[0])
        return cls(first.parent / ".kept" / first.name, outputs)

    def key(self) -> str | None:
        """The key of what is kept; None if nothing is."""
        try:
            return str(read_json(self.home / RECORD)["key"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def damaged(self) -> list[str]:
        """Names of kept files that are gone or no longer what was written."""
        contents = read_json(self.home / RECORD)["files"]
        found = []
        for output in self.outputs:
            try:
                if file_digest(self.home / output.name) != contents.get(output.name):
                    found.append(output.name)
            except OSError:
                found.append(output.name)
        return found

    def keep(self, key: str) -> None:
        """Keep the outputs as they are now."""
        draft = self.home.with_name(f".{self.home.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for output in self.outputs:
            _link(output, draft / output.name)
        self.adopt(draft, key)

    def adopt(self, draft: Path, key: str) -> None:
        """Keep a folder that holds the outputs under their names; it becomes the kept one."""
        contents = {output.name: file_digest(draft / output.name) for output in self.outputs}
        write_json(draft / RECORD, {"key": key, "files": contents})
        self.drop()
        os.replace(draft, self.home)

    def publish(self) -> None:
        """Put what is kept under the outputs' names, newer than everything it was made from."""
        for output in self.outputs:
            with atomic(output) as temporary:
                _link(self.home / output.name, temporary)
                os.utime(temporary)

    def drop(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    def or_make(self, key: str, make: Callable[[], None]) -> None:
        """Put the outputs back if they are kept under this key and whole; else make and keep them.

        The line that is printed is the last of the job's log.
        """
        if self.key() == key and not self.damaged():
            self.publish()
            print(f"{REPUBLISHED}: key {key}")
            return
        self.drop()
        make()
        self.keep(key)


REPUBLISHED = "nothing to make, only published again"
"""What a job says that found its outputs already made."""


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # another disk, or one without hard links
        shutil.copyfile(source, target)
