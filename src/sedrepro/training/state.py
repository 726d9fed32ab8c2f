"""What a run keeps between starts, under its run key, where Snakemake does not delete it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from ..errors import SedreproError
from ..files import write_text
from ..kept import Kept

OUTPUTS = (
    "checkpoint.pt",
    "history.csv",
    "timing.csv",
    "scores.h5",
    "examples.h5",
    "run.json",
)
"""A finished run, whole; `run.json` is published last."""


MEASURED = ("metrics.json", "resamples.npz")
"""What evaluation adds to a run folder."""


class State:
    """`.state/` of a run folder: the resumable checkpoint, the history, the finished outputs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / ".state"
        self.resume = self.home / "resume.pt"
        self.history = self.home / "history.csv"
        self.lock = self.home / "lock"
        self._key = self.home / "key"
        self._finished = Kept(self.home / "finished", [folder / name for name in OUTPUTS])

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
        """Drop everything the folder holds of the run: what is kept, what is published, and the
        numbers that were measured on it."""
        self._key.unlink(missing_ok=True)
        self.resume.unlink(missing_ok=True)
        self.history.unlink(missing_ok=True)
        self._finished.drop()
        shutil.rmtree(home_of_numbers(self.folder), ignore_errors=True)
        for name in (*reversed(OUTPUTS), *MEASURED):
            (self.folder / name).unlink(missing_ok=True)

    @property
    def finished(self) -> bool:
        return self._finished.key() is not None

    @contextlib.contextmanager
    def finishing(self) -> Iterator[Path]:
        """A folder for the outputs; it counts as finished once the block is through."""
        draft = self.home / "draft"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            yield draft
            for name in OUTPUTS:
                with open(draft / name, "rb") as handle:
                    os.fsync(handle.fileno())
            self._finished.adopt(draft, self.key() or "")
        finally:
            shutil.rmtree(draft, ignore_errors=True)  # a full disk has no room for a failed one
        self.resume.unlink(missing_ok=True)
        self.history.unlink(missing_ok=True)

    def publish(self) -> None:
        """Put the finished outputs under their declared names, newer than everything they use."""
        if damaged := self._finished.damaged():
            raise SedreproError(
                f"{self.folder / damaged[0]}: is not what the run wrote when it was finished; "
                f"`sedrepro forget {self.folder}`, then start again, makes the run anew"
            )
        self._finished.publish()


def home_of_numbers(folder: str | Path) -> Path:
    """Where a run folder's numbers are kept between starts."""
    return Path(folder) / ".state" / "measured"
