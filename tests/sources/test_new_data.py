"""`sedrepro new-data`: every fault of a tree in one run, and settings that fit a clean one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from sedrepro import papers, places, settings
from sedrepro.cli import main
from sedrepro.errors import SedreproError
from sedrepro.pipeline.flow import Flow
from sedrepro.sources.desed import PLACES

RATE = 16000
CLASSES = ("Heron", "Röhrsänger", "Reed warbler")
SETS = ("weak", "unlabelled", "validation", "synth_train", "synth_validation")
CLIPS = 6


def wav(path: Path, seconds: float = 4.0, rate: int = RATE, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full((int(seconds * rate), channels), 0.1), rate)


def table_of(tree: Path, subset: str) -> Path:
    return tree / PLACES[subset].table


@pytest.fixture
def tree(tmp_path) -> Path:
    """Six clips of each set; every class in each, and a clip without events."""
    root = tmp_path / "My Birds"
    for subset in SETS:
        place = PLACES[subset]
        lines = {"weak": ["filename\tevent_labels"], "none": ["filename"]}.get(
            place.labels, ["filename\tonset\toffset\tevent_label"]
        )
        for number in range(CLIPS):
            name = f"{subset}{number}.wav"
            wav(root / place.audio / name, channels=1 + number % 2)
            label = CLASSES[number % 3]
            events = {"weak": f"{name}\t{label},{CLASSES[0]}", "none": name}
            silent = f"{name}\t\t\t" if number == CLIPS - 1 else f"{name}\t0.5\t2.0\t{label}"
            lines.append(events.get(place.labels, silent))
        if subset.startswith("synth"):
            lines[-1] = f"{name}\t1.0\t3.9\tReed warbler"
        if subset == "validation":
            lines.append(f"{subset}0.wav\t1.0\t2.5\tReed warbler")
        path = table_of(root, subset)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return root


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, root, monkeypatch):
    (tmp_path / "work").mkdir()
    places.mark(tmp_path / "work", root)
    monkeypatch.chdir(tmp_path / "work")


def test_a_clean_tree_gets_settings_that_fit(tree, root, capsys):
    assert main(["new-data", str(tree)]) == 0
    said = capsys.readouterr().out
    command = "snakemake --cores 2 all --configfile config/small.yaml"
    assert f"  {command} " in said
    assert "30" not in said.splitlines()[0]
    assert said.startswith("6 weak, 6 unlabelled, 6 validation, 6 synth_train, 6 synth_validation")
    text = Path("my_birds.yaml").read_text(encoding="utf-8")
    assert "&" not in text  # no anchors: people edit this file
    written = yaml.safe_load(text)
    assert written["data"]["desed"]["classes"] == sorted(CLASSES)
    assert written["front_ends"] == {"mel128": {"seconds": 4.0}, "wave16k": {"seconds": 4.0}}
    windows = written["papers"]["lgc_sed"]["settings"]["decoding"]["median"]
    assert windows["Heron"] == 7  # 1.5 s / 3 / 64 ms = 7.8 frames
    assert all(window % 2 for window in windows.values())
    files = [str(root / "config" / "small.yaml"), "my_birds.yaml"]
    models = papers.settings_models()
    loaded = settings.load(files=files, papers=models, root=root)
    plan = settings.plan(loaded, settings.runs(loaded, "lgc_sed")[1], models["lgc_sed"])
    assert plan.classes == sorted(CLASSES)
    assert plan.settings.decoding.windows(["Heron"]) == [7]
    assert plan.grid.seconds == pytest.approx(0.064)
    assert main(["new-data", str(tree)]) == 1
    assert "my_birds.yaml: is there already" in capsys.readouterr().err


def test_fifteen_faults_are_named_in_one_run(tree, capsys):
    weak, valid = table_of(tree, "weak"), table_of(tree, "validation")
    train, dev = table_of(tree, "synth_train"), table_of(tree, "synth_validation")
    audio = {subset: tree / PLACES[subset].audio for subset in SETS}

    def line(path: Path, number: int, text: str) -> str:
        lines = path.read_text(encoding="utf-8").splitlines()
        lines[number - 1 :] = [text, *lines[number:]] if number <= len(lines) else [text]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return f"{path.relative_to(tree)}:{number}: "

    planted = {}
    unlabelled = table_of(tree, "unlabelled")
    (audio["unlabelled"] / "unlabelled1.wav").unlink()
    planted[f"{unlabelled.relative_to(tree)}:3: "] = "unlabelled1.wav is not in audio/train"
    (audio["unlabelled"] / "unlabelled2.wav").write_bytes(b"no sound")
    planted[f"{unlabelled.relative_to(tree)}:4: "] = "cannot be read as audio"
    wav(audio["unlabelled"] / "unlabelled3.wav", seconds=0.01)
    planted[f"{unlabelled.relative_to(tree)}:5: "] = "lasts 0.01 s"
    wav(audio["unlabelled"] / "unlabelled4.wav", rate=8000)
    planted[f"{unlabelled.relative_to(tree)}:6: "] = "has 8000 Hz"
    wav(audio["unlabelled"] / "unlabelled5.wav", seconds=31)
    planted[f"{unlabelled.relative_to(tree)}:7: "] = "lasts 31 s"
    planted[line(dev, 1, "filename,onset,offset,event_label")] = "separated by commas"
    planted[line(valid, 2, "validation0.wav\t0,5\t2.0\tHeron")] = "write decimals with a point"
    planted[line(valid, 3, "validation1.wav\t2.0\t2.0\tHeron")] = "is not after onset"
    planted[line(valid, 4, "validation2.wav\t1.0\t9.0\tHeron")] = "the event ends at 9.0 s"
    planted[line(valid, 5, "validation3.wav\t-1\t2.0\tHeron")] = "before the recording begins"
    planted[line(valid, 6, "validation4.wav\t1.0\t\tHeron")] = "no offset"
    planted[line(train, 2, "synth_train0.wav\t1.0\t2.0")] = "3 cells where the heading has 4"
    planted[line(train, 3, "synth_train1.wav\t1.0\t2.0\theron")] = "elsewhere 'Heron'"
    planted[line(train, 4, "synth_train2.wav\t1.0\t2.0\t")] = "no label"
    planted[line(weak, 3, "weak1.wav\tHeron, Reed warbler")] = "spaces around the label"
    wav(audio["weak"] / "validation5.wav")
    line(weak, 7, "validation5.wav\tHeron")
    planted[f"{valid.relative_to(tree)}:7: "] = "validation5.wav is in weak, too: a leak"
    assert len(planted) >= 15
    assert main(["new-data", str(tree), "--out", "birds.yaml"]) == 1
    said = capsys.readouterr()
    told = said.out.splitlines()
    for where, what in planted.items():
        assert [one for one in told if one.startswith(where) and what in one], (where, what, told)
    assert said.err == f"{len(told)} faults; nothing was written\n"
    assert not Path("birds.yaml").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "weak.tsv: no such file; its columns are filename, event_labels"),
        (b"", "weak.tsv:1: empty"),
        (b"\xef\xbb\xbffilename\tevent_labels\n", "weak.tsv:1: begins with a byte order mark"),
        (b"filename\tevent_labels\nweak0.wav\tR\xf6hr\n", "weak.tsv:2: not UTF-8"),
        (b"file\tevent_labels\n", "weak.tsv:1: no column filename; found file, event_labels"),
    ],
)
def test_a_table_that_is_none(tree, content, message, capsys):
    path = table_of(tree, "weak")
    path.unlink() if content is None else path.write_bytes(content)
    assert main(["new-data", str(tree)]) == 1
    assert message in capsys.readouterr().out


def test_what_is_no_fault_is_noted(tree, capsys):
    folder = tree / PLACES["weak"].audio
    (folder / "weak0.wav").unlink()
    wav(folder / "spare.wav")
    assert main(["new-data", str(tree), "--incomplete", "--name", "birds"]) == 0
    said = capsys.readouterr().out
    assert "weak.tsv: 1 recordings are missing; scores count them" in said
    assert "1 recordings that no table lists are not used" in said


def test_a_tree_that_is_not_there_is_told_while_planning(root, tmp_path):
    overlay = {"data": {"desed": {"local": str(tmp_path / "gone")}}}
    with pytest.raises(SedreproError, match=r"data\.desed\.local: .*gone"):
        Flow.load(overlay, root=root)
