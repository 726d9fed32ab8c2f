"""ToyAVE keeps its promises: real files, labels equal to the plan, neither modality enough."""

from __future__ import annotations

import csv
from itertools import pairwise

import numpy as np
import pytest

from sedrepro import tables
from sedrepro.miniature import ave as toy
from sedrepro.miniature import render, shapes, timbres
from sedrepro.settings import Layout, Project
from sedrepro.sources import ave, video

CLASSES = ["Church bell", "Bark", "Helicopter", "Flute"]
COUNTS = {"train": 20, "validation": 4, "test": 6, "negatives": 3}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    data = {
        "folder": str(tmp_path_factory.mktemp("ave")),
        "origin": "render",
        "look": {"videos": COUNTS},
        "ave": {"features": False, "videos": True, "classes": CLASSES},
    }
    made = Project.model_validate({"scale": "mini", "data": data})
    for resource in toy.RESOURCES:
        render(resource, made)
    return made


def test_rebuilt_labels_equal_the_generators(project):
    for subset in ave.ORDERS:
        plans = {made.name: made for made in toy.plan(subset, project)}
        clips, events, audit = ave.adapt(subset, project)
        assert audit["found"][0] == audit["expected"][0] == COUNTS[subset] == len(clips)
        found = tables.frame_targets(events, list(clips["clip"]), CLASSES, ave.SECONDS, 1.0)
        for clip, target in zip(clips["clip"], found, strict=True):
            made = plans[clip.partition("_")[2]]
            for t in range(ave.SECONDS):
                both = made.heard[t] == made.seen[t] >= 0
                assert target[t].sum() == both
                assert not both or target[t, made.heard[t]] == 1


def test_annotations_are_sorted_by_category_like_the_real_ones(project):
    lines = toy.table(project).splitlines()
    labels = [line.split("&")[0] for line in lines]
    assert sum(a != b for a, b in pairwise(labels)) == len(CLASSES) - 1
    assert all(len(line.split("&")) == 5 for line in lines)


def test_events_last_at_least_two_seconds_unless_there_is_none(project):
    lengths = [end - start for v in toy.plan("train", project) for start, end in [v.event]]
    assert min(length for length in lengths if length) >= toy.SHORTEST
    assert lengths.count(0) == 2  # the mismatched ones
    assert 0.1 < 1 - np.mean(lengths) / ave.SECONDS < 0.35


def test_sound_and_sight_alone_do_not_tell(project):
    """Some segments sound like an event, and some look like one, that are none."""
    videos = toy.plan("train", project)
    pairs = [(h, s) for v in videos for h, s in zip(v.heard, v.seen, strict=True)]
    assert sum(h >= 0 and h != s for h, s in pairs) > 20
    assert sum(s >= 0 and h != s for h, s in pairs) > 20
    assert {made.mode for made in videos} == set(toy.MODES)


def test_the_box_holds_the_object(project):
    """Inside the true box the picture has colour, outside it is grey."""
    top = ave.root(project)
    with open(top / ave.TRUTH, newline="") as handle:
        truth = list(csv.DictReader(handle, delimiter="\t"))
    assert len(truth) == ave.SECONDS * sum(COUNTS[s] for s in ave.ORDERS)
    for name in list(dict.fromkeys(row["video"] for row in truth))[:6]:
        path = top / ave.VIDEOS / f"{name}.mp4"
        shown = video.pictures(path, np.arange(ave.SECONDS) + 0.5, toy.PIXELS).astype(float)
        colour = np.ptp(shown, axis=1)  # zero where grey
        for row in (row for row in truth if row["video"] == name):
            edges = [round(float(row[k]) * toy.PIXELS) for k in ("left", "top", "right", "bottom")]
            inside = colour[int(row["segment"]), edges[1] : edges[3], edges[0] : edges[2]]
            if int(row["seen"]) < 0:
                assert colour[int(row["segment"])].max() < 60
            else:
                assert (inside > 60).mean() > 0.2


def test_categories_differ_in_sound_and_look():
    looks = {(shapes.SHAPES.index(s), tuple(c)) for s, c in map(shapes.look, range(28))}
    assert len(looks) == 28
    draw = np.random.default_rng(0)
    spectra = [np.abs(np.fft.rfft(timbres.sound(k, 2.0, draw))) for k in range(6)]
    spectra = np.array([s / np.linalg.norm(s) for s in spectra])
    alike = spectra @ spectra.T - np.eye(6)
    assert alike.max() < 0.6


def test_rendering_again_changes_nothing_and_another_seed_does(project):
    path = next((ave.root(project) / ave.VIDEOS).glob("*.mp4"))
    before = path.stat().st_mtime_ns
    render("ave_videos", project)
    assert path.stat().st_mtime_ns == before
    other = project.model_copy(
        update={
            "data": project.data.model_copy(
                update={"look": project.data.look.model_copy(update={"seed": 8})}
            )
        }
    )
    assert toy.table(other) != toy.table(project)


def test_the_layout_is_the_official_one(project):
    top = ave.root(project)
    assert top == type(top)(Layout.of(project).raw("ave"))
    names = {path.relative_to(top).as_posix() for path in top.rglob("*") if path.is_file()}
    assert {
        ave.ANNOTATIONS,
        "AVE_Dataset/Annotations.txt",
        *(f"data/{f}.h5" for f in ave.ORDERS.values()),
    } <= names


def test_the_tiny_audioclip_has_the_real_names(project, tmp_path, root, monkeypatch):
    """Both towers take every weight; the text tower's entries are not looked at."""
    from sedrepro.networks import audioclip
    from sedrepro.sources import weights

    monkeypatch.chdir(root)  # where the registry is
    render("audioclip", project)
    path = weights.path("audioclip", project)
    sizes = {tower: audioclip.load(path, tower) for tower in ("audio", "visual")}
    assert sizes["audio"].fc.out_features == sizes["visual"].attnpool.c_proj.out_features == 64
