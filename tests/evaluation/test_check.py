"""`sedrepro check`: every fault of a stand-in copy is found and named.

The stand-in has tables of DESED's form, 64 recordings of tones and noise, a network whose outputs
follow them, and what that network detects in the recordings as they should be.
"""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
import torch
import yaml
from world import under_recipes_names

from sedrepro import audio, papers, places, settings
from sedrepro.cli import main
from sedrepro.inference.listening import listener
from sedrepro.metrics.decode import detect
from sedrepro.papers import method_of
from sedrepro.settings.classes import AVE_CLASSES
from sedrepro.sources import ave, video

RATE, SECONDS, CLIPS = 16000, 10.0, 64
POINTS = [0.1, 0.3, 0.5, 0.7, 0.9]
OVERLAY = {
    "run": ["dcase_baselines"],
    "front_ends": {"wave16k": {"kind": "waveform", "n_mels": 16}},
    "papers": {
        "dcase_baselines": {
            "rows": ["checkpoint2021"],
            "settings": {"network": {"filters": [4, 6], "pooling": [[2, 4], [2, 4]], "hidden": 5}},
        }
    },
    "data": {"desed": {"local": "desed"}, "released": {"local": "released"}},
}
AUDIO = "desed/audio/validation/validation"


def sound(draw: np.random.Generator) -> np.ndarray:
    """Half a second of a tone or of noise, twenty times."""
    times = np.arange(RATE // 2) / RATE
    parts = []
    for _ in range(int(2 * SECONDS)):
        tone = np.sin(2 * np.pi * draw.uniform(100, 6000) * times)
        kind = tone if draw.uniform() < 0.6 else draw.normal(0, 0.5, len(times))
        parts.append(kind * 10 ** draw.uniform(-2.5, -0.3))
    return np.concatenate(parts).astype(np.float32)


def write(path: Path, columns: list[str], rows: list[tuple]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["\t".join(columns), *("\t".join(map(str, row)) for row in rows)]
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def whole(tmp_path_factory, root) -> Path:
    """A complete copy, and what was released of the system."""
    folder = tmp_path_factory.mktemp("whole")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "config").symlink_to(root / "config")
        places.mark(folder, root)
        Path("overlay.yaml").write_text(yaml.safe_dump(OVERLAY))
        made()
    return folder


def made() -> None:
    draw = np.random.default_rng(0)
    names = [f"Y{index:011d}_30.000_40.000" for index in range(CLIPS)]
    Path(AUDIO).mkdir(parents=True)
    for name in names:
        audio.write(f"{AUDIO}/{name}.wav", sound(draw), RATE)
    project = settings.load(OVERLAY, papers=papers.settings_models())
    run = settings.Run("dcase_baselines", "checkpoint2021", "desed", 42)
    plan = settings.plan(project, run, papers.settings_models()["dcase_baselines"])
    torch.manual_seed(0)
    made_of = method_of("dcase_baselines", None)
    method = made_of(plan, steps_per_epoch=1, device=torch.device("cpu"), amp=False)
    (held_out,) = [held_out for held_out in plan.held_out if held_out.name == "validation"]
    listen = listener(method, "student", held_out)
    heard = [audio.read(f"{AUDIO}/{name}.wav", RATE) for name in names]
    # Random weights say nearly the same of every frame. These hear loudly and forget soon, and
    # what they say is spread, mostly below one half.
    loud = {"conv.weight": 10.0, "weight_ih": 10.0, "_hh_": 0.0}
    for name, weights in method.networks["student"].named_parameters():
        weights.detach().mul_(next((loud[part] for part in loud if part in name), 1.0))
    head = method.networks["student"].heads.frame
    flat = np.concatenate([listen(samples) for samples in heard])
    logits = np.log(flat / (1 - flat))
    spread = torch.from_numpy(3 / logits.std(0))
    with torch.no_grad():
        head.bias.sub_(torch.from_numpy(logits.mean(0))).mul_(spread).sub_(2.0)
        head.weight.mul_(spread[:, None])
    state = under_recipes_names(method.networks["student"].state_dict())
    saved = {f"sed_{who}.{key}": v for who in ("student", "teacher") for key, v in state.items()}
    top = Path("released/dcase2021")
    Path("released/dcase2021_checkpoint").mkdir(parents=True)
    torch.save({"state_dict": saved}, "released/dcase2021_checkpoint/epoch=9.ckpt")
    scores = np.stack([listen(samples) for samples in heard])
    classes, seconds = plan.classes, np.full(CLIPS, SECONDS)
    columns = ["event_label", "onset", "offset", "filename"]
    for point in POINTS:
        found = detect(scores, point, hop=plan.grid.seconds, seconds=seconds)
        rows = [
            (classes[label], onset, offset, f"{names[clip]}.wav")
            for clip, label, onset, offset in zip(
                found.clip, found.label, found.onset, found.offset, strict=True
            )
        ]
        path = top / f"student/predictions_operating_points/predictions_th_{point}.tsv"
        write(path, columns, rows)
    shutil.copy(path, top / "student/predictions0.5.csv")
    (top / "student/predictions0.5.csv").write_text(",".join(columns) + "\n")
    # What is true is what is found at a low threshold; one clip has no event.
    true = detect(scores, 0.3, hop=plan.grid.seconds, seconds=seconds)
    truth = [
        (f"{names[clip]}.wav", onset, offset, classes[label])
        for clip, label, onset, offset in zip(
            true.clip, true.label, true.onset, true.offset, strict=True
        )
        if clip != 7
    ]
    write(
        top / "validation.tsv",
        ["filename", "onset", "offset", "event_label"],
        [*truth, (f"{names[7]}.wav", "", "", "")],
    )
    lengths = [(f"{name}.wav", SECONDS) for name in names]
    write(top / "validation_durations.tsv", ["filename", "duration"], lengths)


@pytest.fixture
def copy(whole, tmp_path, monkeypatch) -> list[Path]:
    """The recordings of a copy that may be spoilt, in order."""
    shutil.copytree(whole, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")
    return sorted(Path(AUDIO).glob("*.wav"))


def check(capsys, corpus: str = "desed") -> tuple[int, str]:
    capsys.readouterr()
    code = main(["check", corpus, "--configfile", "overlay.yaml"])
    printed = capsys.readouterr()
    return code, printed.out + printed.err


def psds(printed: str) -> list[str]:
    """PSDS 1 of the three lines: there, there on what is here, here."""
    return re.findall(r"^(?:there|here).*?(\d\.\d{4}) +\d\.\d{4}$", printed, re.M)


def test_a_whole_copy_is_as_the_organisers(copy, capsys):
    code, printed = check(capsys)
    assert (code, "all 64 clips are here and sound as the organisers'" in printed) == (0, True)
    there, kept, here = psds(printed)
    assert there == kept == here
    assert float(there) > 0


def test_each_fault_is_told_from_the_others(copy, capsys):
    missing, copy = copy[:40], copy[40:]
    for path in missing:
        path.unlink()
    mislabelled, slow, silent, first, second, cut = (
        copy[0],
        copy[1],
        copy[2:4],
        *copy[4:6],
        copy[6:9],
    )
    soundfile.write(mislabelled, audio.read(mislabelled, RATE), 22050)
    soundfile.write(slow, audio.read(slow, 8000), 8000)
    for path in silent:
        soundfile.write(path, np.zeros(int(RATE * SECONDS), np.float32), RATE)
    first.rename("aside")
    second.rename(first)
    Path("aside").rename(second)
    for path in cut:
        soundfile.write(path, audio.read(path, RATE, stop=5.0), RATE)
    strange = copy[9]
    soundfile.write(strange, sound(np.random.default_rng(99)), RATE)
    copy[10].write_bytes(b"no audio")
    code, printed = check(capsys)
    assert code == 1
    lines = {line.split(":")[0]: line for line in printed.splitlines() if ": " in line}
    assert "40 missing" in lines
    assert f"{mislabelled.stem} (its samples are of 16000 Hz, its header says 22050)" in printed
    assert f"{slow.stem} (8000 Hz, where the system hears 16000 Hz)" in printed
    assert set(lines) >= {"2 wrong sample rate", "2 silent", "2 swapped", "3 cut", "1 other sound"}
    assert f"{first.stem} (it is {second.stem}), {second.stem} (it is {first.stem})" in printed
    assert lines["3 cut"] == "3 cut: " + ", ".join(f"{p.stem} (5.0 s of 10.0 s)" for p in cut)
    assert "1 unreadable" in lines
    with open("results/full/checks/desed.tsv", newline="") as file:
        rows = {row["filename"]: row for row in csv.DictReader(file, delimiter="\t")}
    named = {name for name, row in rows.items() if row["fault"] == "missing"}
    assert named == {path.name for path in missing}
    assert [row["fault"] for row in rows.values()].count("") == CLIPS - 40 - 11
    assert float(rows[copy[11].name]["agreement"]) > 0.99
    _, kept, here = map(float, psds(printed))
    assert here < kept


def test_missing_clips_alone_cost_nothing_of_what_is_here(copy, capsys):
    for path in copy[5:15]:
        path.unlink()
    code, printed = check(capsys)
    there, kept, here = psds(printed)
    assert (code, kept) == (1, here)
    assert "by +0.0000 for what the others sound like" in printed
    assert there != kept


def test_without_what_was_released_it_says_what_to_fetch(copy, capsys):
    shutil.rmtree("released/dcase2021_checkpoint")
    code, printed = check(capsys)
    assert code == 1
    assert "`sedrepro fetch dcase2021_checkpoint` brings it" in printed


def test_an_empty_maestro_and_ave_are_counted(copy, capsys):
    code, printed = check(capsys, "maestro")
    assert code == 1
    assert "validation: 0 of 718 clips" in printed
    assert "metadata/development_metadata.csv: is not there (maestro_durations)" in printed
    code, printed = check(capsys, "ave")
    assert code == 1
    assert "test: 0 of " in printed


def begin(folder: Path, root: Path, data: dict) -> None:
    """A working folder with a copy of another corpus."""
    (folder / "config").symlink_to(root / "config")
    places.mark(folder, root)
    (folder / "overlay.yaml").write_text(yaml.safe_dump({"data": data}))


LENGTHS = {"cafe_restaurant_00": 12.0, "cafe_restaurant_02": 11.0, "city_center_01": 10.5}


@pytest.fixture
def maestro(tmp_path, monkeypatch, root) -> Path:
    """A copy of three recordings of MAESTRO, with lengths as its table says."""
    monkeypatch.chdir(tmp_path)
    begin(tmp_path, root, {"maestro": {"local": "maestro"}})
    rows = [(name, seconds) for name, seconds in LENGTHS.items()]
    write(Path("maestro/metadata/development_metadata.csv"), ["filename", "duration"], rows)
    for name, seconds in LENGTHS.items():
        scene = name.rpartition("_")[0]
        path = Path(f"maestro/development_audio/{scene}/{name}.wav")
        path.parent.mkdir(parents=True, exist_ok=True)
        audio.write(path, np.zeros(int(seconds * 8000), np.float32), 8000)
        labels = Path(f"maestro/development_annotation/soft_labels_{scene}/{name}.txt")
        labels.parent.mkdir(parents=True, exist_ok=True)
        labels.write_text("0\t1\tfootsteps\t0.5\n")
    return Path("maestro")


def test_each_fault_of_a_copy_of_maestro_is_named(maestro, capsys):
    _, whole = check(capsys, "maestro")
    assert "train: 3 of 3 clips" in whole  # the window with the label, of three recordings
    assert not re.search(r"^\d+ recordings", whole, re.M)
    (maestro / "development_audio/cafe_restaurant/cafe_restaurant_00.wav").unlink()
    cut = maestro / "development_audio/cafe_restaurant/cafe_restaurant_02.wav"
    audio.write(cut, np.zeros(40000, np.float32), 8000)
    (maestro / "development_annotation/soft_labels_city_center/city_center_01.txt").unlink()
    (maestro / "metadata/gt_dev.csv").write_text("of another version\n")
    code, printed = check(capsys, "maestro")
    assert code == 1
    assert "1 recordings are not there: cafe_restaurant_00\n" in printed
    assert "1 recordings have another length: cafe_restaurant_02 (5.00 s, not 11.00)\n" in printed
    assert "1 recordings have no labels: city_center_01\n" in printed
    assert re.search(r"gt_dev.csv: bytes is 19, not 627635 .*\(maestro_durations\)", printed)


def test_each_fault_of_a_copy_of_ave_is_named(tmp_path, monkeypatch, root, acceptance, capsys):
    monkeypatch.chdir(tmp_path)
    begin(tmp_path, root, {"ave": {"local": "ave", "features": True, "videos": True}})
    shutil.copytree(acceptance / "ave", "ave/data")
    with h5py.File("ave/data/visual_feature.h5", "w") as file:
        file["avadataset"] = np.zeros((4142, 1), np.float32)
    Path("ave/data/audio_feature.h5").write_bytes(b"cut short")
    listed = ave.read_annotations(Path("ave/data/Annotations.txt"), AVE_CLASSES)
    short, broken = sorted({row.video for row in listed})[:2]
    folder = Path("ave", ave.VIDEOS)
    folder.mkdir(parents=True)
    video.write(folder / f"{short}.mp4", np.zeros((12, 16, 16, 3), np.uint8), 4)
    (folder / f"{broken}.mp4").write_bytes(b"not a video" * 100)
    with open("ave/data/val_order.h5", "ab") as file:
        file.write(b"more")
    code, printed = check(capsys, "ave")
    assert code == 1
    assert (
        "1 files have another number of rows: data/visual_feature.h5 (4,142, not 4,143)" in printed
    )
    assert "1 files cannot be read: data/audio_feature.h5" in printed
    assert f"1 videos are too short: {short} (3.0 s, not 10)" in printed
    assert f"1 videos cannot be read: {broken}" in printed
    assert "4,095 videos are not there: " in printed
    assert re.search(r"val_order.h5: bytes is 5364, not 5360", printed)
    assert re.search(
        r"Annotations.txt: md5 7c454922c93b96afe888ae78c7b21fd5, as it should", printed
    )
    assert "audio_feature_noisy.h5: is not there (ave_noisy)" in printed
