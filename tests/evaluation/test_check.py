"""`sedrepro check`: every fault of a stand-in copy is found and named.

The stand-in has tables of DESED's form, 64 recordings of tones and noise, a network whose outputs
follow them, and what that network detects in the recordings as they should be.
"""

from __future__ import annotations

import csv
import re
import shutil
from pathlib import Path

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
    project = settings.load(OVERLAY, papers=papers.settings_of())
    run = settings.Run("dcase_baselines", "checkpoint2021", "desed", 42)
    plan = settings.plan(project, run, papers.settings_of()["dcase_baselines"])
    torch.manual_seed(0)
    made_of = method_of("dcase_baselines", None)
    method = made_of(plan, steps_per_epoch=1, device=torch.device("cpu"), amp=False)
    (held,) = [held for held in plan.held_out if held.name == "validation"]
    listen = listener(method, "student", held)
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


def test_maestro_and_ave_are_counted_and_measured(copy, capsys):
    code, printed = check(capsys, "maestro")
    assert code == 1
    assert "validation: 0 of 718 clips" in printed
    code, printed = check(capsys, "ave")
    assert code == 1
    assert "test: 0 of " in printed
