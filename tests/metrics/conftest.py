"""Random scores with something to find in them, and the real detections with known values."""

from __future__ import annotations

import tarfile

import numpy as np
import pandas as pd
import pytest

from sedrepro.metrics.events import Events, Reference, merge, reference

HOP = 0.064


@pytest.fixture
def simulate():
    """Scores (clip, frame, class) and truth: make(seed, clips=…, classes=…, frames=…)."""

    def make(seed: int, clips: int = 12, classes: int = 4, frames: int = 100):
        rng = np.random.default_rng(seed)
        seconds = np.where(rng.random(clips) < 0.3, rng.uniform(2, 6, clips).round(1), 6.4)
        rows = []
        for clip in range(1, clips):  # clip 0 stays without events
            for _ in range(rng.integers(0, 6)):
                onset = rng.uniform(0, seconds[clip] - 0.2)
                length = 0.1 + rng.exponential(1.5)
                rows.append(
                    (clip, rng.integers(classes), onset, min(seconds[clip], onset + length))
                )
        truth = Reference(
            [f"clip{n}" for n in range(clips)],
            seconds,
            [f"class{n}" for n in range(classes)],
            merge(Events.of(rows)),
        )
        logits = rng.normal(-3, 1.0, (clips, 1, classes)) + rng.normal(
            0, 0.4, (clips, frames, classes)
        )
        for clip, label, onset, offset in rows:
            logits[clip, int(onset / HOP) : int(offset / HOP) + 1, label] += rng.uniform(1, 5)
        return (1 / (1 + np.exp(-logits))).astype(np.float32), truth

    return make


@pytest.fixture(scope="session")
def student(acceptance, tmp_path_factory):
    """A real system's detections: truth, the 50 operating points, and those at 0.5."""
    folder = tmp_path_factory.mktemp("student")
    with tarfile.open(acceptance / "desed-operating-points" / "student.tar.xz") as archive:
        archive.extractall(folder)
    events = pd.read_csv(folder / "validation.tsv", sep="\t").dropna()
    lengths = pd.read_csv(folder / "validation_durations.tsv", sep="\t")
    truth = reference(
        clips=lengths["filename"].tolist(),
        seconds=lengths["duration"].to_numpy(),
        classes=sorted(events["event_label"].unique()),
        events=tuple(events[c] for c in ("filename", "event_label", "onset", "offset")),
    )
    row = {clip: n for n, clip in enumerate(truth.clips)}
    column = {label: n for n, label in enumerate(truth.classes)}

    def detections(table: pd.DataFrame) -> Events:
        return Events(
            table["filename"].map(row).to_numpy(),
            table["event_label"].map(column).to_numpy(),
            table["onset"].to_numpy(),
            table["offset"].to_numpy(),
        )

    files = sorted((folder / "predictions_operating_points").glob("*.tsv"))
    points = [detections(pd.read_csv(file, sep="\t")) for file in files]
    at_half = detections(pd.read_csv(folder / "predictions0.5.csv", index_col=0))
    assert len(points) == 50
    return truth, points, at_half
