"""The DESED adapter: the real tables, partial and broken trees, one's own copy, the miniature."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sedrepro import audio, tables
from sedrepro import miniature as look
from sedrepro.clips import Clip, read_clips
from sedrepro.errors import SedreproError
from sedrepro.settings import Layout, Project
from sedrepro.settings.classes import DESED_CLASSES
from sedrepro.sources import desed

STRONG = "filename\tonset\toffset\tevent_label\n"
CLIP = "Y00pbt6aJV8Y_350.000_360.000"
OTHER = "YU0Cg_t_3TdI_30.000_40.000"
REAL_COUNTS = {
    "Speech": 1752,
    "Dog": 570,
    "Dishes": 559,
    "Alarm_bell_ringing": 420,
    "Cat": 341,
    "Running_water": 237,
    "Blender": 94,
    "Frying": 94,
    "Vacuum_cleaner": 92,
    "Electric_shaver_toothbrush": 65,
}


def project(folder: Path, **changes) -> Project:
    return Project.model_validate({"data": {"folder": str(folder), "desed": changes}})


class Tree:
    """A DESED tree to be filled by hand."""

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        self.folder = folder
        self.root = root or folder / "full/raw/desed"

    def table(self, subset: str, text: str) -> Path:
        path = self.root / desed.PLACES[subset].table
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def clip(self, subset: str, name: str, seconds: float = 10.0, suffix: str = "") -> Path:
        path = self.root / (desed.PLACES[subset].audio + suffix) / f"{name}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, np.full(round(seconds * 8000), 0.1), 8000)
        return path

    def adapt(self, subset: str, **changes):
        return desed.adapt(subset, project(self.folder, **changes))


@pytest.fixture
def tree(tmp_path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture(scope="module")
def real(tmp_path_factory, acceptance) -> Tree:
    """The real tables; every clip is the same few samples under its own name."""
    folder = tmp_path_factory.mktemp("real")
    tree = Tree(folder)
    with tarfile.open(acceptance / "desed-tables" / "metadata.tar.xz") as archive:
        archive.extractall(tree.root / "metadata")
    sound = folder / "sound.wav"
    audio.write(sound, np.full(11 * 8000, 0.1), 8000)
    for subset in ("weak", "unlabelled", "validation", "public_eval"):
        place = desed.PLACES[subset]
        if not (tree.root / place.table).exists():  # it comes inside its audio's archive
            continue
        names = pd.read_csv(tree.root / place.table, sep="\t")["filename"].unique()
        (tree.root / place.audio).mkdir(parents=True)
        for name in names:
            (tree.root / place.audio / name).hardlink_to(sound)
    return tree


# The real tables


def test_real_weak_labels_and_their_cut(real):
    clips, events, audit = real.adapt("weak")
    assert clips["fold"].value_counts().to_dict() == {"train": 1420, "held_out": 158}
    assert len(events) == 2244
    assert events["onset"].isna().all()
    assert events["offset"].isna().all()
    first = events[events["clip"] == "YKK227gPpRn4_30.000_40.000"]
    assert first["label"].tolist() == ["Alarm_bell_ringing", "Speech"]
    assert audit.values.tolist() == [["weak", 1578, 1578, "", "official"]]
    table = pd.read_csv(real.root / "metadata/train/weak.tsv", sep="\t")
    train = table.sample(frac=0.9, random_state=42)["filename"].str.removesuffix(".wav")
    assert set(clips.loc[clips["fold"] == "train", "clip"]) == set(train)


def test_real_unlabelled(real):
    clips, events, audit = real.adapt("unlabelled")
    assert len(clips) == 14412
    assert events.empty
    assert audit.values.tolist() == [["unlabelled", 14412, 14412, "", "official"]]


def test_real_validation_keeps_event_free_clips(real):
    clips, events, audit = real.adapt("validation")
    assert len(clips) == 1168
    assert events["label"].value_counts().to_dict() == REAL_COUNTS
    assert len(set(clips["clip"]) - set(events["clip"])) == 15
    assert audit.values.tolist() == [["validation", 1168, 1168, "", "official"]]
    first = events[events["clip"] == CLIP].iloc[0]
    assert first[["onset", "offset", "label"]].tolist() == [0.0, 9.971, "Vacuum_cleaner"]


def test_real_public_eval(real):
    if not (real.root / desed.PLACES["public_eval"].table).exists():
        pytest.skip("the table of the public evaluation set comes inside its audio's archive")
    clips, events, audit = real.adapt("public_eval")
    assert len(clips) == 692
    assert "1Ro0FgMWTUE_120_130" in set(clips["clip"])
    assert len(events) == 2765
    assert audit.values.tolist() == [["public_eval", 692, 692, "", "official"]]


def test_what_was_adapted_reads_back_through_the_checked_tables(real, tmp_path):
    clips, events, _ = real.adapt("validation")
    tables.write(tmp_path / "clips.tsv", clips, tables.CLIPS)
    tables.write(tmp_path / "events.tsv", events, tables.EVENTS)
    pd.testing.assert_frame_equal(tables.read_clip_table(tmp_path / "clips.tsv"), clips)
    again = tables.read_events(tmp_path / "events.tsv", DESED_CLASSES)
    pd.testing.assert_frame_equal(again, events)


# Partial trees


def test_absent_clips_are_counted_and_do_not_move_the_cut(tree):
    names = [f"Yabcdefghij{k}_0.000_10.000" for k in range(10)]
    tree.table("weak", "filename\tevent_labels\n" + "".join(f"{n}.wav\tCat,Dog\n" for n in names))
    for name in names:
        tree.clip("weak", name, seconds=0.1)
    whole, _, _ = tree.adapt("weak")
    folds = dict(zip(whole["clip"], whole["fold"], strict=True))
    assert sorted(folds.values()) == ["held_out"] + ["train"] * 9
    for name in names[:4]:
        (tree.root / "audio/train/weak" / f"{name}.wav").unlink()
    clips, events, audit = tree.adapt("weak")
    assert clips["clip"].tolist() == names[4:]
    assert clips["fold"].tolist() == [folds[name] for name in names[4:]]
    assert set(events["clip"]) == set(names[4:])
    assert audit.values.tolist() == [["weak", 10, 6, "", "official"]]


def test_the_length_is_the_true_one_and_the_path_leads_to_the_file(tree):
    tree.table("unlabelled", f"filename\n{CLIP}.wav\n")
    path = tree.clip("unlabelled", CLIP, seconds=0.7)
    clips, _, _ = tree.adapt("unlabelled")
    tables.write(tree.root / "clips.tsv", clips, tables.CLIPS)
    (clip,) = read_clips(tree.root / "clips.tsv")
    assert clip == Clip(CLIP, "unlabelled", pytest.approx(0.7), path=str(path))


def test_paths_are_relative_to_the_project_folder(tree, monkeypatch):
    tree.table("unlabelled", f"filename\n{CLIP}.wav\n")
    tree.clip("unlabelled", CLIP)
    monkeypatch.chdir(tree.folder)
    clips, _, _ = desed.adapt("unlabelled", project(Path(".")))
    assert clips["path"].tolist() == [f"full/raw/desed/audio/train/unlabel_in_domain/{CLIP}.wav"]


def test_a_subset_without_any_audio_is_empty_not_an_error(tree):
    tree.table("validation", STRONG + f"{CLIP}.wav\t0.000\t1.000\tCat\n")
    clips, events, audit = tree.adapt("validation")
    assert clips.empty
    assert events.empty
    assert audit[["expected", "found"]].values.tolist() == [[1, 0]]


def test_a_table_that_cannot_be_had_is_absent_data_with_its_reason(tree):
    status = Path(Layout.of(project(tree.folder)).status("desed_public_eval"))
    status.parent.mkdir(parents=True)
    status.write_text(json.dumps({"status": "unavailable", "reason": "record is gone"}))
    clips, events, audit = tree.adapt("public_eval")
    assert clips.empty
    assert events.empty
    assert list(clips) == tables.CLIPS
    assert audit.values.tolist() == [
        ["public_eval", 692, 0, "desed_public_eval: record is gone", "official"]
    ]


def test_a_table_that_did_not_come_with_the_others_is_absent_data_too(tree):
    folder = Path(Layout.of(project(tree.folder)).status("desed_metadata")).parent
    folder.mkdir(parents=True)
    (folder / "desed_weak.json").write_text('{"status": "partial", "reason": "3 clips lost"}')
    with pytest.raises(SedreproError, match=r"weak\.tsv: no such file"):  # lost clips lose no table
        tree.adapt("weak")
    (folder / "desed_metadata.json").write_text('{"status": "partial", "reason": "no weak.tsv"}')
    clips, _, audit = tree.adapt("weak")
    assert clips.empty
    assert audit.values.tolist() == [["weak", 1578, 0, "desed_metadata: no weak.tsv", "official"]]


# One's own copy


def test_a_tree_of_the_users_own_is_read_in_place_and_left_alone(tmp_path):
    own = Tree(tmp_path, tmp_path / "own")
    own.table("weak", f"filename\tevent_labels\n{CLIP}.wav\tCat\n")
    path = own.clip("weak", CLIP)
    before = sorted(own.root.rglob("*"))
    clips, _, _ = own.adapt("weak", local=str(own.root))
    assert clips["path"].tolist() == [str(path)]
    assert Path(clips["path"][0]).is_absolute()
    assert sorted(own.root.rglob("*")) == before


@pytest.mark.parametrize("subset", ["public_eval", "strong_real"])
def test_a_tree_of_ones_own_may_lack_what_nothing_needs(tmp_path, subset):
    own = Tree(tmp_path, tmp_path / "own")
    own.root.mkdir()
    clips, _, audit = own.adapt(subset, local=str(own.root))
    assert clips.empty
    assert audit[["expected", "found"]].values.tolist() == [[0, 0]]
    assert audit["note"][0].endswith(
        f"{Path(desed.PLACES[subset].table).name}: not in the own tree"
    )
    with pytest.raises(SedreproError, match=r"validation\.tsv: no such file"):
        own.adapt("validation", local=str(own.root))


def test_copies_resampled_by_the_baselines_are_accepted(tmp_path):
    own = Tree(tmp_path, tmp_path / "own")
    own.table("weak", f"filename\tevent_labels\n{CLIP}.wav\tCat\n")
    resampled = own.clip("weak", CLIP, suffix="_16k")
    assert own.adapt("weak", local=str(own.root))[0]["path"].tolist() == [str(resampled)]
    original = own.clip("weak", CLIP)
    assert own.adapt("weak", local=str(own.root))[0]["path"].tolist() == [str(original)]


def test_a_local_tree_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SedreproError, match=r"data\.desed\.local: .*nowhere: no such folder"):
        desed.adapt("weak", project(tmp_path, local=str(tmp_path / "nowhere")))


# Synthetic soundscapes


def test_soundscapes_without_a_target_event_are_clips_too(tree):
    tree.table("synth_train", STRONG + "10.jams\t0.1\t0.3\tDog\n2.wav\t0.2\t0.4\tCat\n")
    for name in ("10", "2", "7"):
        tree.clip("synth_train", name)
    clips, events, audit = tree.adapt("synth_train")
    assert clips["clip"].tolist() == ["10", "2", "7"]
    assert set(events["clip"]) == {"10", "2"}
    assert audit.values.tolist() == [["synth_train", 3, 3, "", "official"]]


def test_soundscapes_mixed_here_are_not_looked_for_in_the_users_tree(tree, tmp_path):
    tree.table("synth_validation", STRONG + "0.wav\t0.1\t0.3\tDog\n")
    path = tree.clip("synth_validation", "0")
    own = tmp_path / "own"
    own.mkdir()
    clips, _, _ = tree.adapt("synth_validation", local=str(own), synthetic="mix")
    assert clips["path"].tolist() == [str(path)]
    with pytest.raises(SedreproError, match="no such file"):
        tree.adapt("synth_validation", local=str(own), synthetic="download")


# Bad input, one clear line each


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("filename\tonset\toffset\n", "column 'event_label' is missing"),
        (
            STRONG + f"{OTHER}.wav\t\t\t\n{CLIP}.wav\t0\t1\tCow\n",
            "row 3: label 'Cow' is not a class",
        ),
        (
            STRONG + f"{CLIP}.wav\t2.0\t1.0\tCat\n",
            "row 2: event 'Cat' of clip .* 0 <= onset < offset",
        ),
        (STRONG + f"{CLIP}.wav\t-1.0\t1.0\tCat\n", "row 2: event 'Cat'"),
        (STRONG + f"{CLIP}.wav\t1.0\t\tCat\n", "row 2: an event needs both onset and offset"),
        (STRONG + f"{CLIP}.wav\t\t\tCat\n", "row 2: an event needs both onset and offset"),
        (STRONG + f"{CLIP}.wav\t0\t1\t\n", "row 2: label '' is not a class"),
        (STRONG + f"{CLIP}.wav\tsoon\t1\tCat\n", "row 2: onset must be a number, not 'soon'"),
        ("", "empty file"),
    ],
)
def test_bad_tables_are_refused_by_file_and_row(tree, text, message):
    path = tree.table("validation", text)
    tree.clip("validation", CLIP)
    with pytest.raises(SedreproError, match=message) as refusal:
        tree.adapt("validation")
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_bad_weak_label_names_its_row_in_the_file(tree):
    tree.table("weak", f"filename\tevent_labels\n{OTHER}.wav\tCat,Dog\n{CLIP}.wav\tCat,Cow\n")
    with pytest.raises(SedreproError, match=r"weak\.tsv: row 3: label 'Cow'"):
        tree.adapt("weak")


def test_a_missing_table_is_named(tree):
    with pytest.raises(SedreproError, match=r"metadata/validation/validation\.tsv: no such file"):
        tree.adapt("validation")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>"])
def test_an_unreadable_recording_is_named(tree, content):
    tree.table("unlabelled", f"filename\n{CLIP}.wav\n")
    tree.clip("unlabelled", CLIP).write_bytes(content)
    with pytest.raises(SedreproError, match=rf"{CLIP}\.wav: cannot be read as audio"):
        tree.adapt("unlabelled")


def test_a_recording_of_no_samples_is_named(tree):
    tree.table("unlabelled", f"filename\n{CLIP}.wav\n")
    tree.clip("unlabelled", CLIP, seconds=0)
    with pytest.raises(SedreproError, match="holds no audio"):
        tree.adapt("unlabelled")


def test_an_unknown_subset_is_named(tree):
    with pytest.raises(SedreproError, match="desed has no subset 'stronk'"):
        tree.adapt("stronk")


# Overlaps, versions, leaks


def test_overlapping_events_of_one_class_become_one_and_are_counted(tree):
    rows = [
        ("0.0", "2.0", "Cat"),
        ("1.0", "3.0", "Cat"),
        ("1.5", "1.8", "Cat"),
        ("3.0", "4.0", "Cat"),
    ]
    rows.append(("0.5", "2.5", "Dog"))
    tree.table("validation", STRONG + "".join(f"{CLIP}.wav\t{a}\t{b}\t{c}\n" for a, b, c in rows))
    tree.clip("validation", CLIP)
    _, events, audit = tree.adapt("validation")
    assert events[["label", "onset", "offset"]].values.tolist() == [
        ["Cat", 0.0, 3.0],
        ["Dog", 0.5, 2.5],
        ["Cat", 3.0, 4.0],
    ]
    assert "2 overlapping events of one class merged" in audit["note"][0]


def test_another_version_of_the_validation_labels_is_noted_of_real_ones_only(tree, tmp_path):
    tree.table("validation", STRONG + f"{CLIP}.wav\t0\t1\tCat\n")
    assert "validation.tsv is another version" in tree.adapt("validation")[2]["note"][0]
    small = Project.model_validate({"data": {"folder": str(tmp_path), "origin": "render"}})
    assert desed.adapt("validation", small)[2]["note"][0] == ""


def test_audioset_strong_leaves_out_the_recordings_of_the_validation_set(tree):
    tree.table("validation", STRONG + f"{CLIP}.wav\t0\t1\tCat\n")
    tree.table("strong_real", STRONG + "".join(f"{n}.wav\t0\t1\tCat\n" for n in (CLIP, OTHER)))
    for name in (CLIP, OTHER):
        tree.clip("strong_real", name)
    clips, events, audit = tree.adapt("strong_real")
    assert clips["clip"].tolist() == [OTHER]
    assert events["clip"].tolist() == [OTHER]
    assert audit.values.tolist() == [
        ["strong_real", 1, 1, "1 recordings of the validation set left out", "official"]
    ]
    # The DCASE 2024 baseline trained on them: one can do so, and the audit says it.
    clips, events, audit = tree.adapt("strong_real", strong_real_in_validation="kept")
    assert clips["clip"].tolist() == events["clip"].tolist() == [CLIP, OTHER]
    assert audit.values.tolist() == [
        ["strong_real", 2, 2, "1 recordings of the validation set kept", "official"]
    ]


# No event goes on after its clip


def test_an_event_beyond_its_clip_is_refused(tree):
    tree.table("validation", STRONG + "a.wav\t1\t4\tDog\na.wav\t9\t14.5\tCat\n")
    tree.clip("validation", "a", seconds=10)
    with pytest.raises(
        SedreproError,
        match=r"validation\.tsv: row 3: event 'Cat' of clip 'a' ends at 14\.5 s, and the clip is "
        "10 s long; correct",
    ):
        tree.adapt("validation")


def test_within_a_frame_it_is_cut_and_counted(tree):
    # DESED's own rule makes events 0.25 s long: its tables have such ends at the end of a clip.
    rows = ["0\t10.06\tCat", "9.865\t10.115\tDog", "10.01\t10.05\tSpeech", "2\t10\tBlender"]
    tree.table("validation", STRONG + "".join(f"a.wav\t{row}\n" for row in rows))
    tree.clip("validation", "a", seconds=10)
    _, events, audit = tree.adapt("validation")
    assert events[["label", "onset", "offset"]].values.tolist() == [
        ["Cat", 0.0, 10.0],
        ["Blender", 2.0, 10.0],
        ["Dog", 9.865, 10.0],
    ]
    assert "3 events end within a frame after their clip: cut" in audit["note"][0]


def test_of_a_video_that_lost_its_end_the_events_are_cut_and_counted(tree):
    name = "YAAAAAAAAAAA_30.000_40.000"  # ten seconds, it says
    rows = ["0\t10\tCat", "9.4\t10\tDog"]
    tree.table("validation", STRONG + "".join(f"{name}.wav\t{row}\n" for row in rows))
    tree.clip("validation", name, seconds=9.25)
    _, events, audit = tree.adapt("validation")
    assert events[["label", "onset", "offset"]].values.tolist() == [["Cat", 0.0, 9.25]]
    assert "2 events reach beyond the end of shortened recordings: cut" in audit["note"][0]


# The miniature goes through the same code


def test_the_rendered_miniature_is_adapted_like_the_real_thing(tmp_path):
    mini = Project.model_validate(
        {
            "scale": "mini",
            "data": {
                "folder": str(tmp_path),
                "origin": "render",
                "look": {"seconds": 1.5, "clips": {"weak": 10, "unlabelled": 3, "validation": 10}},
            },
        }
    )
    for resource in ("desed_metadata", "desed_weak", "desed_unlabelled", "desed_validation"):
        look.render(resource, mini)
    clips, events, audit = desed.adapt("validation", mini)
    assert audit.values.tolist() == [["validation", 10, 10, "", "rendered"]]
    assert len(set(clips["clip"]) - set(events["clip"])) == 1
    lengths = clips.set_index("clip")["seconds"]
    assert lengths.max() == pytest.approx(1.5, abs=1e-3)
    assert lengths.min() < 1.45
    assert (events["offset"] <= events["clip"].map(lengths) + 1e-3).all()
    weak, tags, _ = desed.adapt("weak", mini)
    assert weak["fold"].value_counts().to_dict() == {"train": 9, "held_out": 1}
    assert set(tags["label"]) == set(DESED_CLASSES)
    assert len(desed.adapt("unlabelled", mini)[0]) == 3


def test_clips_that_are_arriving_are_described_only_where_that_is_allowed(tree: Tree) -> None:
    tree.table("validation", f"{STRONG}{CLIP}.wav\t0\t1\tDog\n{OTHER}.wav\t0\t1\tDog\n")
    tree.clip("validation", CLIP)
    settings = project(tree.folder)
    status = Path(Layout.of(settings).status("desed_validation"))
    status.parent.mkdir(parents=True)
    status.write_text(json.dumps({"status": "arriving", "reason": "", "files": 1}))
    with pytest.raises(SedreproError, match=r"desed_validation\.json: clips are still arriving"):
        tree.adapt("validation")
    allowed = settings.model_copy(
        update={"data": settings.data.model_copy(update={"allow_partial": True})}
    )
    assert "still arriving: 1 so far" in desed.adapt("validation", allowed)[2]["note"][0]
