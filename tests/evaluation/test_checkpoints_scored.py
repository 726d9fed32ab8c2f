"""Checkpoints of anybody, through `sedrepro score --checkpoint` and `sedrepro export`."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import soundfile
import torch
import yaml
from world import lay_set, under_recipes_names

from sedrepro import chain, papers, places, settings
from sedrepro.checkpoints import load_checkpoint
from sedrepro.cli import main
from sedrepro.evaluation import write
from sedrepro.files import read_json, write_json
from sedrepro.progress import reporting
from sedrepro.reporting.tables import tabulate
from sedrepro.settings import Layout, Subset
from sedrepro.settings.given import without_folders
from sedrepro.settings.tasks import tables_of
from sedrepro.sources.fetch import status_of
from sedrepro.training.run import train

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import documented
import structured

pytestmark = pytest.mark.slow

PAPER = "dcase_baselines"
SECONDS, RATE = 1.0, 16000
TINY = {
    "run": [PAPER],
    "report": {"bootstrap": 20},
    "front_ends": {"wave16k": {"kind": "waveform", "seconds": SECONDS, "n_mels": 16, "n_fft": 512}},
    "papers": {
        PAPER: {
            "rows": ["untrained", "mt2023"],
            "settings": {
                "network": {"filters": [4, 6], "pooling": [[2, 4], [2, 4]], "hidden": 5},
                "decoding": {"operating_points": 2, "median": 3},
            },
        }
    },
}


@pytest.fixture(autouse=True)
def _here(root, tmp_path, monkeypatch):
    (tmp_path / "config").symlink_to(root / "config")
    places.mark(tmp_path, root)
    monkeypatch.chdir(tmp_path)


def plan_of(overlay: dict, paper: str, row: str):
    project = settings.load(overlay, papers=papers.settings_models())
    run = next(run for run in settings.runs(project, paper) if run.row == row)
    return project, settings.plan(project, run, papers.settings_models()[paper])


def external(paper: str, name: str) -> Path:
    return Path(f"results/full/runs/external/{paper}/{name}/validation")


@pytest.mark.parametrize(
    ("paper", "row", "file"),
    [
        ("dcase_baselines", None, "dcase2021_baseline_like"),
        ("cross_task_sod", "full", "cross_task_sod_like"),
    ],
)
def test_a_checkpoint_of_others_gives_its_golden_scores(acceptance, paper, row, file):
    golden = np.load(acceptance / f"released/{file}.npz")
    few = {paper: {"settings": {"decoding": {"operating_points": 2}}}}
    overlay = {"run": [paper], "report": {"bootstrap": 5}, "papers": few}
    project, plan = plan_of(overlay, paper, row or "untrained")
    (held_out,) = [held_out for held_out in plan.held_out if held_out.name == "validation"]
    lay_set(Layout.of(project), plan, held_out.subset, list(golden["audio"]))
    Path("overlay.yaml").write_text(yaml.safe_dump(overlay))
    for model in ("student", "teacher"):
        words = ["score", paper, "--set", "validation", "--as", model, "--model", model]
        words += ["--checkpoint", str(acceptance / f"released/{file}.ckpt")]
        words += ["--row", row] if row else []
        assert main([*words, "--configfile", "overlay.yaml"]) == 0
        with h5py.File(external(paper, model) / "scores.h5") as scores:
            for kind in ("frame", "clip"):
                found = scores[f"validation/external/{kind}"][:]
                np.testing.assert_allclose(found, golden[f"{model}_{kind}"], atol=1e-4)
        about = read_json(external(paper, model) / "run.json")
        assert about["network"]["model"] == model
        assert about["content"].keys() == {"scores.h5"}


def tiny():
    """The tiny project, with every set an untrained network is scored on."""
    Path("tiny.yaml").write_text(yaml.safe_dump(TINY))
    project, plan = plan_of(TINY, PAPER, "untrained")
    draw = np.random.default_rng(0)
    for held_out in plan.held_out:
        samples = [draw.normal(0, 3000, round(SECONDS * RATE)).astype(np.int16) for _ in range(3)]
        subset = Subset(held_out.subset.corpus, held_out.subset.name)
        lay_set(Layout.of(project), plan, subset, samples, SECONDS, (0.2, 0.7))
    return project, plan


def score(*words: str) -> int:
    given = ["score", PAPER, "--set", "validation", *words, "--configfile", "tiny.yaml"]
    return main(given)


def numbers(path: Path, model: str) -> dict:
    keys = ("metric", "implementation", "label")
    return {
        tuple(entry[key] for key in keys): [entry["value"], entry["ci_low"], entry["n_clips"]]
        for entry in read_json(path)["metrics"]
        if (entry["set"], entry["model"]) == ("validation", model)
    }


@pytest.fixture(scope="module")
def finished(root, tmp_path_factory) -> Path:
    """A folder with an untrained run that was scored and evaluated."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "config").symlink_to(root / "config")
        places.mark(folder, root)
        project, plan = tiny()
        layout = Layout.of(project)
        train(plan, project, layout)
        made = Path(layout.run(plan.run))
        write(plan, project, layout, made / "metrics.json", made / "resamples.npz")
    return folder


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """The run's folder, in a copy of all."""
    for name in ("data", "results"):
        shutil.copytree(finished / name, tmp_path / name)
    shutil.copy(finished / "tiny.yaml", tmp_path)
    return Path(f"results/full/runs/{PAPER}/untrained/desed/seed42")


def test_an_exported_checkpoint_scores_as_its_run_on_a_machine_without_it(run, capsys):
    teacher, own = numbers(run / "metrics.json", "teacher"), run / "checkpoint.pt"
    assert main(["export", str(run), "--checkpoint", "out", "--configfile", "tiny.yaml"]) == 0
    printed = capsys.readouterr().out
    assert f"sedrepro score {PAPER} --set SET --as NAME --checkpoint out/checkpoint.pt" in printed
    soundfile.write("noise.wav", np.random.default_rng(1).normal(0, 0.1, 3 * RATE), RATE)
    predict = ["predict", "noise.wav", "--no-png"]
    assert main([*predict, "--run", str(run), "--out", "there"]) == 0
    assert len(load_checkpoint(own)["networks"]) == 1
    shutil.rmtree("results")
    assert main([*predict, "--run", "out/checkpoint.pt", "--out", "here"]) == 0
    there, here = (read_json(Path(name, "noise.json")) for name in ("there", "here"))
    assert here == there
    assert score("--as", "copy", "--model", "teacher", "--checkpoint", "out/checkpoint.pt") == 0
    assert numbers(external(PAPER, "copy") / "metrics.json", "external") == teacher
    assert teacher["weak_f1", "sedrepro", ""][2] == 3


def test_the_recipes_of_the_docs_for_weights(run, root, capsys):
    """docs/how-to.md: its commands that take or give a checkpoint, on this run's row."""
    shutil.copy(run / "checkpoint.pt", "theirs.ckpt")
    soundfile.write("noise.wav", np.random.default_rng(1).normal(0, 0.1, 3 * RATE), RATE)
    page = documented.read(root / "docs" / "how-to.md")
    yours = {
        "THEIRS.ckpt": "theirs.ckpt",
        "RECORDING": "noise.wav",
        "WEIGHTS": "weights",
        "WEIGHTS/checkpoint.pt": "weights/checkpoint.pt",
        "lgc_sed/lgc": f"{PAPER}/untrained",
    }
    said = {}
    for words in documented.words(page, "sedrepro"):
        if {"--checkpoint", "predict"} & set(words):
            capsys.readouterr()
            given = [yours.get(word, word) for word in words]
            assert main([*given, "--configfile", "tiny.yaml"]) == 0, words
            said[words[0]] = capsys.readouterr().out
    assert said.keys() == {"score", "export", "predict"}
    assert numbers(external(PAPER, "theirs") / "metrics.json", "external")
    assert {path.name for path in Path("weights").iterdir()} == {"checkpoint.pt", "README.md"}
    assert Path("predictions/noise.tsv").is_file()


def test_the_card_says_what_the_weights_are(run):
    main(["export", str(run), "--checkpoint", "out", "--configfile", "tiny.yaml"])
    text = Path("out/README.md").read_text()
    described = read_json(run / "run.json")
    assert described["key"] in text
    (data,) = [d for name, d in described["data"].items() if "/validation." in name]
    assert data["content_key"] in text
    value = numbers(run / "metrics.json", "student")["psds1", "psds_eval", ""][0]
    assert f"| validation | student | psds1 | psds_eval | {value:.4f} |" in text
    card = load_checkpoint("out/checkpoint.pt")["card"]
    assert (
        yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])["settings"] == card["settings"]
    )
    assert card["settings"]["decoding"]["median"] == 3


def test_real_files_have_the_fields_that_the_docs_name_and_no_others(run, root):
    """docs/formats.md, both ways."""
    project = settings.load(TINY, papers=papers.settings_models())
    layout = Layout.of(project)
    tabulate(project, PAPER, layout, root)
    write_json(layout.status("desed_weak"), status_of("desed_weak", "ok", "", 3, 96_000))
    weak = Subset("desed", "weak")
    made_with = {"settings": without_folders(tables_of(project, weak)), "recordings": "b"}
    parents, trees = {"desed_weak": "a"}, {"/t": "c"}
    chain.seal(layout.tables_key(weak), "tables", [], parents=parents, trees=trees, **made_with)
    with reporting("results/full/logs/train/some.log", "train") as told:
        told(0.5, "half", force=True)
    for name, place in {
        "RESOURCE.json": "data/full/status/*.json",
        "SUBSET/key.json": "data/full/corpora/desed/*/key.json",
        "FRONT_END.h5": "data/full/features/*/*.h5",
        "/run.json": str(run / "run.json"),
        "/scores.h5": str(run / "scores.h5"),
        "/examples.h5": str(run / "examples.h5"),
        "/metrics.json": str(run / "metrics.json"),
        "/resamples.npz": str(run / "resamples.npz"),
        "/checkpoint.pt": str(run / "checkpoint.pt"),
        "PAPER.key.json": f"results/full/tables/{PAPER}.key.json",
        "JOB.progress.json": "results/full/logs/train/*.progress.json",
    }.items():
        paths = [path for path in Path().glob(place) if path.is_file()]
        assert paths, place
        assert structured.differences(structured.file_of(name), paths) == []


def line(capsys, words: list[str]) -> str:
    capsys.readouterr()
    assert main([*words, "--configfile", "tiny.yaml"]) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    return printed.err


def test_an_export_of_weights_that_were_changed_is_refused(run, capsys):
    words = ["export", str(run), "--checkpoint", "out"]
    with open(run / "checkpoint.pt", "ab") as file:
        file.write(b"more")
    assert "checkpoint.pt: was changed after it was written" in line(capsys, words)
    assert not Path("out").exists()


def test_one_network_alone_scores_under_names_of_ours_or_of_a_recipe(run):
    """A flat dictionary is the network of whichever model is asked for."""
    ours = load_checkpoint(run / "checkpoint.pt")["networks"]["headline"]["student"]
    theirs = under_recipes_names(ours)
    assert len(theirs) == len(ours)
    torch.save(ours, "ours.pt")
    torch.save({"state_dict": theirs}, "theirs.pt")
    wanted = numbers(run / "metrics.json", "student")
    for name in ("ours", "theirs"):
        assert score("--as", name, "--checkpoint", f"{name}.pt") == 0
        assert numbers(external(PAPER, name) / "metrics.json", "external") == wanted


def test_a_checkpoint_that_cannot_be_scored_is_one_line(run, capsys):
    def refused(*words: str) -> str:
        return line(capsys, ["score", PAPER, "--set", "validation", "--as", "x", *words])

    torch.save({"a.weight": torch.zeros(2)}, "strange.pt")
    own, strange = ["--checkpoint", str(run / "checkpoint.pt")], ["--checkpoint", "strange.pt"]
    assert "strange.pt: does not fit the network of row 'untrained'; --row" in refused(*strange)
    assert "no such row 'best'; rows are untrained, " in refused(*strange, "--row", "best")
    assert "has no model 'tutor'; models are student, teacher" in refused(*own, "--model", "tutor")
    assert "is of row 'untrained'; leave --row out" in refused(*own, "--row", "mt2021")
    assert "nowhere.pt: no such checkpoint" in refused("--checkpoint", "nowhere.pt")
    Path("json.pt").write_text(json.dumps({}))
    assert "json.pt: not a readable checkpoint" in refused("--checkpoint", "json.pt")
    given = ["--truth", "t.tsv", "--durations", "d.tsv"]
    assert "do not go with --checkpoint" in refused(*own, *given)
    capsys.readouterr()
    words = ["score", "cross_task_sod", "--set", "validation", "--as", "x", *own]
    assert main(words) == 1
    assert f"is of {PAPER}; `sedrepro score {PAPER}` scores it" in capsys.readouterr().err
    layout = Layout("data/full", "")
    Path(layout.store(Subset("desed", "validation"), "wave16k")).unlink()
    path = "data/full/features/desed/validation.wave16k.h5"
    assert f"{path}: not made yet; `snakemake {path}` makes it" in refused(*own)


def rows_of(path: str, row: str) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return [line for line in csv.DictReader(file) if line["row"] == row]


def test_a_scored_system_is_compared_verified_and_forgotten(run, root, capsys):
    """Beside the run it comes from: the same scores differ by nothing, on any other clips too."""
    own = ["--checkpoint", str(run / "checkpoint.pt")]
    for name in ("student", "teacher"):
        assert score("--as", name, "--model", name, *own) == 0
    project = settings.load(TINY, papers=papers.settings_models())
    layout = Layout.of(project)
    tabulate(project, PAPER, layout, root)
    path = f"results/full/tables/{PAPER}.differences.csv"
    cells = [
        row
        for row in rows_of(path, "external/student")
        if (row["table"], row["metric"], row["minus"]) == ("student", "psds1", "untrained")
    ]
    assert {row["implementation"] for row in cells} == {"psds_eval", "sed_scores_eval"}
    for row in cells:
        assert (row["difference"], row["ci_low"], row["ci_high"]) == ("0", "0", "0")
    pairs = [row["minus"] for row in rows_of(path, "external/teacher")]
    assert "external/student" in pairs

    def verified() -> str:
        capsys.readouterr()
        main(["verify", "--configfile", "tiny.yaml"])
        lines = capsys.readouterr().out.splitlines()[:-1]
        return "\n".join(line for line in lines if "/features/" not in line)  # not extracted here

    assert verified() == ""
    folder = external(PAPER, "student")
    scores = (folder / "scores.h5").read_bytes()
    (folder / "scores.h5").write_bytes(scores + b"more")
    assert f"{folder}/scores.h5: was changed after it was written" in verified()
    (folder / "scores.h5").write_bytes(scores)
    shutil.copy(run / "checkpoint.pt", "other.pt")
    assert score("--as", "teacher", "--model", "teacher", "--checkpoint", "other.pt") == 0
    with open("other.pt", "ab") as file:
        file.write(b"more")
    found = verified()
    assert "other.pt was changed since it was scored" in found
    # A system that came, went or changed makes the tables old.
    assert f"tables/{PAPER}.key.json: made of other numbers" in found
    tabulate(project, PAPER, layout, root)
    assert main(["forget", f"external/{PAPER}/teacher", "--configfile", "tiny.yaml"]) == 0
    assert not external(PAPER, "teacher").exists()
    assert external(PAPER, "student").exists()
    assert f"tables/{PAPER}.key.json: made of other numbers" in verified()
    assert main(["forget", str(folder), "--configfile", "tiny.yaml"]) == 0
    assert not Path("results/full/runs/external").exists()
    assert "no such system was scored" in line(capsys, ["forget", f"external/{PAPER}/student"])
    assert "a system is external/<paper>/<name>" in line(capsys, ["forget", "external/x"])
