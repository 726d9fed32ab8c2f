"""What a run keeps between starts, under its run key, where Snakemake does not delete it."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from ..files import atomic, write_text

OUTPUTS = (
    "checkpoint.pt",
    "history.csv",
    "timing.csv",
    "scores.h5",
    "examples.h5",
    "run.json",
)
"""A finished run, whole; `run.json` is published last."""


class State:
    """`.state/` of a run folder: the resumable checkpoint, the finished outputs, the progress."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".state"
        self.resume = self.home / "resume.pt"
        self.progress = self.home / "progress.json"
        self.lock = self.home / "lock"
        self._key = self.home / "key"
        self._finished = self.home / "finished"

    def open(self, key: str) -> None:
        """Keep what belongs to `key`; discard what another key left behind."""
        if self.key() != key:
            self.forget()
            write_text(self._key, key)

    def key(self) -> str | None:
        with contextlib.suppress(FileNotFoundError):
            return self._key.read_text(encoding="utf-8")
        return None

    def forget(self) -> None:
        """Drop finished and resumable state, so that the run starts from nothing."""
        self._key.unlink(missing_ok=True)
        self.resume.unlink(missing_ok=True)
        shutil.rmtree(self._finished, ignore_errors=True)

    @property
    def finished(self) -> bool:
        return self._finished.is_dir()

    @contextlib.contextmanager
    def finishing(self):
        """A folder for the outputs; it counts as finished once the block is through."""
        draft = self.home / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            yield draft
            for name in OUTPUTS:
                with open(draft / name, "rb") as handle:
                    os.fsync(handle.fileno())
            shutil.rmtree(self._finished, ignore_errors=True)
            os.replace(draft, self._finished)
        finally:
            shutil.rmtree(draft, ignore_errors=True)  # a full disk has no room for a failed one
        self.resume.unlink(missing_ok=True)

    def publish(self) -> None:
        """Put the finished outputs under their declared names, newer than everything they use."""
        for name in OUTPUTS:
            with atomic(self.folder / name) as temporary:
                try:
                    os.link(self._finished / name, temporary)
                except OSError:
                    shutil.copyfile(self._finished / name, temporary)
                os.utime(temporary)
