"""The miniature DESED on disk: official names, tables and formats; whole, once, repeatable."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

from sedrepro import audio
from sedrepro import miniature as look
from sedrepro.errors import SedreproError
from sedrepro.miniature import desed, rendering
from sedrepro.settings import Project
from sedrepro.settings.classes import DESED_CLASSES
from sedrepro.settings.data import Look

CLIPS = {"weak": 12, "unlabelled": 4, "validation": 12, "public_eval": 10}
SUBSETS = ("weak", "unlabelled", "validation", "public_eval")
# Enough clips for every rule of the plan; plans cost no audio.
MANY = Look(seconds=5, seed=7, clips=dict.fromkeys(SUBSETS, 60))


def project(folder: Path, **changes) -> Project:
    settings = {"seconds": 2.0, "foregrounds": 8, "backgrounds": 3, "clips": CLIPS, **changes}
    return Project.model_validate(
        {"scale": "mini", "data": {"folder": str(folder), "origin": "render", "look": settings}}
    )


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    """The raw trees of a tiny miniature."""
    folder = tmp_path_factory.mktemp("data")
    for resource in desed.RESOURCES:
        look.render(resource, project(folder))
    return folder / "mini" / "raw"


def strong(root: Path, table: str) -> pd.DataFrame:
    return pd.read_csv(root / "desed/metadata" / table, sep="\t")


def test_folders_and_tables_are_where_the_official_download_puts_them(rendered):
    root = rendered / "desed"
    for folder, count in (
        ("audio/train/weak", 12),
        ("audio/train/unlabel_in_domain", 4),
        ("audio/validation/validation", 12),
        ("audio/eval/public", 10),
    ):
        assert len(list((root / folder).glob("*.wav"))) == count
    assert list(strong(rendered, "train/weak.tsv")) == ["filename", "event_labels"]
    assert list(strong(rendered, "train/unlabel_in_domain.tsv")) == ["filename"]
    for table in ("validation/validation.tsv", "eval/public.tsv"):
        assert list(strong(rendered, table)) == ["filename", "onset", "offset", "event_label"]
    assert not [path for path in rendered.rglob("*") if "rendering" in path.name]


def test_tables_name_exactly_the_rendered_files(rendered):
    for table, folder in (
        ("train/weak.tsv", "train/weak"),
        ("train/unlabel_in_domain.tsv", "train/unlabel_in_domain"),
        ("validation/validation.tsv", "validation/validation"),
        ("eval/public.tsv", "eval/public"),
    ):
        files = {path.name for path in (rendered / "desed/audio" / folder).glob("*.wav")}
        assert set(strong(rendered, table)["filename"]) == files


def test_file_names_follow_the_two_official_patterns():
    real = re.compile(r"Y[\w-]{11}_\d+\.000_\d+\.\d{3}\.wav")
    public = re.compile(r"[\w-]{11}_\d+_\d+\.wav")
    for subset in SUBSETS:
        names = [recording.filename for recording in desed.plan(subset, MANY)]
        pattern = public if subset == "public_eval" else real
        assert all(pattern.fullmatch(name) for name in names)
        assert len(set(names)) == 60


def test_no_two_subsets_share_a_recording():
    names = [r.filename for subset in SUBSETS for r in desed.plan(subset, MANY)]
    assert len({name.lstrip("Y")[:10] for name in names}) == len(names)


def test_formats_vary_as_they_do_in_the_wild(rendered):
    for folder in ("train/weak", "validation/validation", "eval/public"):
        infos = [soundfile.info(str(p)) for p in (rendered / "desed/audio" / folder).glob("*.wav")]
        assert {(info.samplerate, info.channels) for info in infos} == {
            (44100, 1),
            (44100, 2),
            (48000, 1),
        }
        lengths = [info.frames / info.samplerate for info in infos]
        assert max(lengths) == pytest.approx(2.0, abs=1e-3)
        assert 1.0 < min(lengths) < 1.95


def test_event_free_validation_clips_have_one_row_with_empty_cells(rendered):
    lines = (rendered / "desed/metadata/validation/validation.tsv").read_text().splitlines()
    assert sum(line.endswith("\t\t\t") for line in lines) == 1
    assert sum(not recording.events for recording in desed.plan("validation", MANY)) == 2
    for subset in ("weak", "public_eval"):
        assert all(recording.events for recording in desed.plan(subset, MANY))


def test_every_class_occurs_in_every_labelled_subset_about_equally():
    for subset in SUBSETS:
        count = pd.Series([e.label for r in desed.plan(subset, MANY) for e in r.events])
        count = count.value_counts()
        assert set(count.index) == set(DESED_CLASSES)
        assert count.min() >= 6
        assert count.max() <= 4 * count.min()


def test_events_lie_inside_their_clip_and_one_class_never_overlaps_itself():
    for subset in SUBSETS:
        overlaps = 0
        for recording in desed.plan(subset, MANY):
            by_class = defaultdict(list)
            spans = sorted(e.visible(recording.seconds) for e in recording.events)
            overlaps += any(b[0] < a[1] for a, b in itertools.pairwise(spans))
            for event in recording.events:
                onset, offset = event.visible(recording.seconds)
                assert 0 <= onset < offset <= recording.seconds
                assert offset - onset >= 0.2
                by_class[event.label].append((onset, offset))
            for times in by_class.values():
                times.sort()
                assert all(b[0] - a[1] > 0.15 for a, b in itertools.pairwise(times))
            assert len(recording.events) <= 4
        assert overlaps >= 5  # of different classes: polyphony is what makes it a task


def test_events_are_heard_where_the_table_says():
    """Inside an event the recording is louder than outside all events, by the planned level."""
    louder = []
    for recording in desed.plan("validation", Look(seconds=4, clips={"validation": 30})):
        sound = desed.render_recording(recording)
        assert len(sound) == round(recording.seconds * 44100)
        inside = np.zeros(len(sound), dtype=bool)
        for event in recording.events:
            onset, offset = (round(t * 44100) for t in event.visible(recording.seconds))
            inside[onset:offset] = True
            inside_and_tail = inside.copy()
            inside_and_tail[offset : offset + 22050] = True
        if recording.events and (~inside_and_tail).sum() > 8820:
            power = np.square(sound)
            louder.append(10 * np.log10(power[inside].mean() / power[~inside].mean()))
    assert len(louder) > 10
    assert np.median(louder) > 6
    assert min(louder) > 0


def test_the_end_of_a_recording_does_not_ring_at_its_start():
    """A loud sound up to the last sample, in a room, leaves the quiet start as it is."""
    loud = desed.Event("Electric_shaver_toothbrush", 1.5, 1.5, 40.0)
    recording = desed.Recording("x.wav", 3.0, (loud,), seed=(1, 2, 3))
    sound = desed.render_recording(recording)
    start, quiet = (np.square(sound[a : a + 8820]).mean() for a in (0, 22050))
    assert start < 3 * quiet


def test_the_sound_bank_has_the_real_layout_and_naming(rendered):
    for split, foregrounds, backgrounds in (("train", 8, 3), ("validation", 4, 2)):
        bank = rendered / "desed_soundbank/audio" / split / "soundbank"
        found = defaultdict(int)
        for path in bank.glob("foreground/*/*.wav"):
            label = re.sub(r"(_nOn)?(_nOff)?$", "", path.parent.name)
            found[label] += 1
            assert re.fullmatch(r"\d+(_\d)?\.wav", path.name)
            assert soundfile.info(str(path)).samplerate == 44100
        assert found == dict.fromkeys(DESED_CLASSES, foregrounds)
        assert len(list(bank.glob("background/*/*.wav"))) == backgrounds
    folders = {path.name for path in (rendered / "desed_soundbank").rglob("foreground/*")}
    assert {"Frying_nOff", "Vacuum_cleaner_nOn_nOff"} <= folders


def test_bank_sounds_leave_room_in_the_clip_except_those_without_edges(rendered):
    for path in rendered.rglob("foreground/*/*.wav"):
        seconds = audio.seconds(path)
        if path.parent.name.endswith("_nOn_nOff"):
            assert seconds > 2.0
        else:
            assert 0.2 < seconds <= 0.6 * 2.0 + 1e-3


def test_rendering_again_changes_nothing_until_the_look_does(tmp_path):
    folder = tmp_path / "mini/raw/desed/audio/train/weak"
    first = look.render("desed_weak", project(tmp_path))
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert look.render("desed_weak", project(tmp_path)) == first
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert first["files"] == 12
    assert first["bytes"] == sum(path.stat().st_size for path in folder.glob("*.wav"))
    look.render("desed_weak", project(tmp_path, clips={"weak": 3}))
    assert len(list(folder.glob("*.wav"))) == 3


def test_the_same_seed_renders_the_same_bytes_and_another_seed_other_clips(tmp_path):
    few = {"clips": {"weak": 3}}
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        look.render("desed_weak", project(tmp_path / name, seed=seed, **few))
    a, b, c = (sorted((tmp_path / name).rglob("*.wav")) for name in "abc")
    assert [p.name for p in a] == [p.name for p in b]
    assert [p.read_bytes() for p in a] == [p.read_bytes() for p in b]
    assert not {p.name for p in a} & {p.name for p in c}


def test_a_clip_does_not_depend_on_how_many_there_are():
    few, many = Look(clips={"weak": 3}), Look(clips={"weak": 9})
    assert desed.plan("weak", few) == desed.plan("weak", many)[:3]


def test_a_killed_rendering_leaves_nothing_that_looks_finished(tmp_path):
    target = tmp_path / "set"

    def dies(folder: Path) -> None:
        (folder / "half.wav").write_bytes(b"x")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rendering.folder(target, {"seed": 1}, dies)
    assert not target.exists()
    (tmp_path / ".set.rendering").mkdir()
    (tmp_path / ".set.rendering/stale.wav").write_bytes(b"x")  # as SIGKILL leaves it
    made = rendering.folder(target, {"seed": 1}, lambda f: (f / "a.wav").write_bytes(b"xy"))
    assert made == {"files": 1, "bytes": 2}
    assert [path.name for path in target.glob("*.wav")] == ["a.wav"]
    assert not (tmp_path / ".set.rendering").exists()


def test_an_unknown_resource_is_named(tmp_path):
    with pytest.raises(SedreproError, match="desed_synth: the miniature does not render this"):
        look.render("desed_synth", project(tmp_path))


def test_every_listed_resource_is_rendered_by_its_module():
    assert {name for name, module in look.RENDERS.items() if module == "desed"} == set(
        desed.RESOURCES
    )
