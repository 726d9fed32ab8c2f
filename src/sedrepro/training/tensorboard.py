"""TensorBoard's event files, where `report.tensorboard` asks for them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import SedreproError


class TensorBoard:
    """Writes the numbers of each epoch where TensorBoard looks for them."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise SedreproError(
                "report.tensorboard: the package tensorboard is not in this environment; "
                "`pip install tensorboard`, or leave the setting out"
            ) from None
        self.folder = folder
        self._open = SummaryWriter
        self._writer: Any = None

    def __call__(self, row: Mapping[str, Any]) -> None:
        """One row of the history. What an earlier try wrote of this epoch or later is hidden."""
        epoch = row["epoch"]
        if self._writer is None:
            if epoch == 0:
                shutil.rmtree(self.folder, ignore_errors=True)
            self._writer = self._open(str(self.folder), purge_step=epoch)
        for name, value in row.items():
            if name != "epoch" and isinstance(value, int | float):
                self._writer.add_scalar(name, value, epoch)
        self._writer.flush()
