"""Each family of metrics gives what it declares, and chooses checkpoints by what it declares."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sedrepro import tables
from sedrepro.evaluation.measures import Scored, Truth
from sedrepro.settings import Decoding, Detecting, declared
from sedrepro.settings.classes import MAESTRO_SCORED
from sedrepro.settings.project import Report
from sedrepro.training.selection import Judge

CLASSES = list(MAESTRO_SCORED[:3])
CLIPS = [f"square_01-{start:06d}-{start + 1000:06d}" for start in (0, 1000, 2000)]
SECONDS = np.full(len(CLIPS), 10.0)
# Recordings with one event each, and one that is full of its: no class is everywhere.
EVENTS = pd.DataFrame(
    [
        (CLIPS[0], CLASSES[0], 2, 5, 1.0),
        (CLIPS[1], CLASSES[1], 0, 10, 1.0),
        (CLIPS[2], CLASSES[2], 4, 9, 1.0),
    ],
    columns=tables.EVENTS,
)
KNOWN_OF_LOOK_ALIKES = {"mismatched_accuracy", "hard_accuracy", "pointing", "pointing_chance"}
KNOWN_OF_BOXES = {"delta_psds1", "delta_psds2"}  # tests/evaluation/test_boxes.py
SETTINGS = SimpleNamespace(decoding=Decoding(operating_points=3, median=1))


@pytest.fixture(scope="module")
def frames():
    """Likely where it is true; of a class more than there are, for the background of seconds."""
    rng = np.random.default_rng(0)
    scores = rng.random((len(CLIPS), 10, len(CLASSES) + 1)) * 0.4
    for clip, label, onset, offset, _ in EVENTS.itertuples(index=False):
        scores[CLIPS.index(clip), int(onset) : int(offset), CLASSES.index(label)] += 0.6
    return scores


def arrays(frames, family):
    frame = frames if family == "segments" else frames[..., :-1]
    clip = frames[..., :-1].max(1)
    return {"frame": frame, "clip": clip, "clip_desed": clip}


@pytest.mark.parametrize("name", declared.METRICS)
@pytest.mark.parametrize("model", ["network", "network@last"])
def test_a_family_gives_what_it_declares(frames, name, model):
    family = declared.METRICS[name]
    truth = Truth(CLIPS, SECONDS, CLASSES, EVENTS, len(CLIPS))
    scored = Scored("test", model, 1.0, arrays(frames, name))
    measure = declared.resolve(family.measure)
    found = measure(scored, truth, SETTINGS, Report(bootstrap=0)).values

    def pairs(metrics):
        every = {(metric, who) for metric, whose in metrics.items() for who in whose}
        last = {pair for pair in every if pair[1] not in declared.PACKAGES}
        return last if model.endswith("@last") else every

    overall = {(metric, who) for metric, who, label in found if not label}
    elsewhere = KNOWN_OF_LOOK_ALIKES | KNOWN_OF_BOXES
    asked = {pair for pair in pairs(family.gives) if pair[0] not in elsewhere}
    assert overall == asked
    assert {(metric, who) for metric, who, label in found if label} == pairs(family.by_class)
    labels = {label for _, _, label in found if label}
    assert labels <= {*CLASSES, *family.more_classes}


@pytest.mark.parametrize("name", declared.METRICS)
def test_a_family_chooses_by_what_it_declares(frames, name, tmp_path):
    family = declared.METRICS[name]
    path = tmp_path / "events.tsv"
    tables.write(path, EVENTS, tables.EVENTS)
    eval_set = SimpleNamespace(
        data=SimpleNamespace(names=CLIPS, seconds=SECONDS),
        spec=SimpleNamespace(subset=None, metrics=(name,)),
    )
    training = SimpleNamespace(select_decoding=Detecting(median=1))
    plan = SimpleNamespace(
        settings=SimpleNamespace(training=training),
        grid=SimpleNamespace(seconds=1.0),
        classes=CLASSES,
    )
    judge = Judge(eval_set, plan, SimpleNamespace(table=lambda subset, part: path))
    assert tuple(judge(arrays(frames, name))) == family.selects
