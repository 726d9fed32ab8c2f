"""`sedrepro score` and `sedrepro export`, through the command."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from world import CLIPS, EXPECTED, HOP, MT, WHOLE, World

from sedrepro import papers, places, settings, tables
from sedrepro.cli import main
from sedrepro.evaluation import evaluate, write
from sedrepro.files import read_json, write_json
from sedrepro.metrics.resamples import Resamples
from sedrepro.settings import Layout, Subset
from written import run_record

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

import documented

MEASURED = ("metrics.json", "resamples.npz")

pytestmark = pytest.mark.slow
OVERLAY = {
    "run": ["lgc_sed"],
    "report": {"bootstrap": 20},
    "papers": {"lgc_sed": {"settings": {"decoding": {"operating_points": 5}}}},
}
VALIDATION = Subset("desed", "validation")
FOLDER = "results/full/runs/external/lgc_sed/theirs/validation"
SHORT = np.where(np.arange(CLIPS + 1) % 3 == 2, 5.03, WHOLE)


@pytest.fixture(autouse=True)
def _here(root, tmp_path, monkeypatch):
    """An empty place with the project's configuration and an overlay."""
    (tmp_path / "config").symlink_to(root / "config")
    places.mark(tmp_path, root)
    (tmp_path / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def project():
    return settings.load(OVERLAY, papers=papers.settings_models())


def made(project, seconds=WHOLE):
    """A scored run of the project; all clips of its tables were scored."""
    plan = settings.plan(project, MT, papers.settings_models()["lgc_sed"])
    world = World(Layout.of(project), list(plan.classes), seconds)
    for name in world.clips:
        path = world.layout.table(Subset("desed", name), "clips")
        clips = tables.read_clip_table(path)
        tables.write(path, clips[clips["clip"].isin(world.clips[name])], tables.CLIPS)
    return plan, world


def command(*words):
    return main([*map(str, words), "--configfile", "overlay.yaml"])


def score(*words):
    return command("score", "lgc_sed", "--set", "validation", "--as", "theirs", *words)


def values(entries, model):
    return {
        (e["metric"], e["implementation"], e["label"]): e
        for e in entries
        if (e["set"], e["model"]) == ("validation", model)
    }


def same(one, other, keys=("value", "ci_low", "ci_high", "n_clips", "n_expected")):
    return all(one[key] == other[key] for key in keys)


@pytest.mark.parametrize("seconds", [WHOLE, SHORT], ids=["whole", "short clips"])
def test_exported_outputs_score_exactly_as_the_run(project, seconds, capsys):
    plan, world = made(project, seconds)
    ours = values(evaluate(plan, project, world.layout)["metrics"], "teacher")
    select = ["--set", "validation", "--model", "teacher"]
    assert command("export", MT, "--scores", "scores", *select) == 0
    assert command("export", MT, "--detections", "detections", *select) == 0
    printed = capsys.readouterr().out
    at = ["--at-threshold", "0.5", "detections/at_threshold/predictions_th_0.5.tsv"]
    assert f"--as NAME --detections detections {' '.join(at)}" in printed
    assert len(list(Path("detections").glob("*.tsv"))) == 5

    assert score("--scores", "scores") == 0
    theirs = values(read_json(f"{FOLDER}/metrics.json")["metrics"], "external")
    del ours["weak_f1", "sedrepro", ""]
    assert theirs.keys() == ours.keys()
    for key, entry in theirs.items():
        if key[1] == "sed_scores_eval" and seconds is SHORT:
            # Its interval alone is taken from scores that lie beyond the end of short clips.
            assert same(entry, ours[key], ["value"]), key
        else:
            assert same(entry, ours[key]), key
        assert (entry["n_clips"], entry["n_expected"]) == (CLIPS, EXPECTED)

    assert score("--detections", "detections", *at) == 0
    theirs = values(read_json(f"{FOLDER}/metrics.json")["metrics"], "external")
    known = {key for key in ours if key[1] != "sed_scores_eval"}  # which needs every threshold
    assert theirs.keys() == known
    assert all(same(theirs[key], ours[key]) for key in known)


def test_what_is_recorded_is_a_whole_run_folder(project):
    made(project)
    command("export", MT, "--detections", "detections", "--model", "student")
    score("--detections", "detections")
    run, metrics = read_json(f"{FOLDER}/run.json"), read_json(f"{FOLDER}/metrics.json")
    assert (run["status"], run["row"], run["paper"]) == ("done", "external", "lgc_sed")
    assert (run["name"], run["set"]) == ("theirs", "validation")
    assert metrics["parents"]["run"]["key"] == run["key"]
    curve = metrics["curves"]["validation"]["external"]["psds1"]
    assert len(curve["efpr"]) == len(curve["etpr"]) > 1
    kept = Resamples(f"{FOLDER}/resamples.npz")
    key = ("validation", "external", "psds1", "psds_eval", "")
    drawn = kept.draws(key)
    assert np.all(drawn.minus(drawn).values == 0)
    assert kept.key == metrics["key"]
    score("--detections", "detections")
    assert read_json(f"{FOLDER}/run.json") == run
    first = sorted(Path("detections").glob("*.tsv"))[0]
    first.write_text("\n".join(first.read_text().splitlines()[:-1]) + "\n")
    score("--detections", "detections")
    assert read_json(f"{FOLDER}/run.json")["key"] != run["key"]


def test_without_an_operating_point_at_the_threshold_there_is_no_f1(project, capsys):
    made(project)
    command("export", MT, "--detections", "detections")
    Path("detections/predictions_th_0.5.tsv").unlink()  # of 5 points the third is at 0.5
    capsys.readouterr()
    assert score("--detections", "detections") == 0
    printed = capsys.readouterr().out
    assert "psds1" in printed
    assert "_f1" not in printed
    assert "no F1: nothing at threshold 0.5 (--at-threshold 0.5 FILE)" in printed


def test_raw_scores_are_smoothed_when_asked(project):
    plan, world = made(project)
    for clip, frames in zip(
        world.clips["validation"], world.frames["validation", "student"], strict=True
    ):
        table = pd.DataFrame(frames, columns=world.classes).astype(float)
        table.insert(0, "onset", np.arange(100) * HOP)
        table.insert(1, "offset", np.arange(1, 101) * HOP)
        Path("raw").mkdir(exist_ok=True)
        table.to_csv(f"raw/{clip}.tsv", sep="\t", index=False)
    assert score("--scores", "raw") == 0
    rough = values(read_json(f"{FOLDER}/metrics.json")["metrics"], "external")
    assert score("--scores", "raw", "--smooth") == 0
    smooth = values(read_json(f"{FOLDER}/metrics.json")["metrics"], "external")
    decoding = plan.settings.decoding.model_copy(update={"event_free": "decoded"})
    alike = replace(plan, settings=plan.settings.model_copy(update={"decoding": decoding}))
    ours = values(evaluate(alike, project, world.layout)["metrics"], "student")
    assert all(same(entry, ours[key]) for key, entry in smooth.items())
    key = ("psds1", "psds_eval", "")
    assert rough[key]["value"] != smooth[key]["value"]


def test_a_clip_without_detections_is_silent_and_times_may_pass_the_end(project, capsys):
    """DESED's own tables: 4 clips, of which one has no event; one detection ends too late."""
    classes = list(project.data.desed.classes)
    truth = [("a.wav", 1.0, 3.0, classes[0]), ("b.wav", 2.0, 4.0, classes[1])]
    rows = [*truth, ("c.wav", 0.5, 6.0, classes[0]), ("d.wav", "", "", "")]
    columns = ["filename", "onset", "offset", "event_label"]
    pd.DataFrame(rows, columns=columns).to_csv("truth.tsv", sep="\t", index=False)
    lengths = [("d.wav", 10.0), ("c.wav", 6.0), ("b.wav", 10.0), ("a.wav", 10.0)]
    pd.DataFrame(lengths, columns=["filename", "duration"]).to_csv(
        "durations.tsv", sep="\t", index=False
    )
    late = [("c", 0.5, 6.4, classes[0])]
    Path("detections").mkdir()
    pd.DataFrame(truth + late, columns=columns).to_csv(
        "detections/th_.5.tsv", sep="\t", index=False
    )
    given = ["--truth", "truth.tsv", "--durations", "durations.tsv"]
    assert score("--detections", "detections", *given) == 0
    assert "4 of 4" in capsys.readouterr().out
    entries = values(read_json(f"{FOLDER}/metrics.json")["metrics"], "external")
    assert entries["psds1", "psds_eval", ""]["value"] == 1.0
    assert entries["event_f1", "sed_eval", ""]["value"] == 1.0  # 0.4 s of 5.5 s is in the collar
    # A clip without events is decoded like any other.
    false = [("d.wav", 1.0, 2.0, classes[0])]
    pd.DataFrame(truth + late + false, columns=columns).to_csv(
        "detections/th_.5.tsv", sep="\t", index=False
    )
    score("--detections", "detections", *given)
    entries = values(read_json(f"{FOLDER}/metrics.json")["metrics"], "external")
    assert entries["event_f1_micro", "sed_eval", ""]["value"] == pytest.approx(6 / 7)


def edited(path, edit):
    """Rewrite a table of text cells, changed."""
    table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    edit(table).to_csv(path, sep="\t", index=False)


def cell(column, value, row=1):
    def edit(table):
        table.loc[row, column] = value
        return table

    return edit


POINT = "detections/predictions_th_0.1.tsv"
CLIP = "scores/validation3.tsv"
DETECTIONS = {
    "unknown clip": (
        lambda: edited(POINT, cell("filename", "nobody.wav")),
        f"{POINT}: row 3: clip 'nobody' is not one of the 14 clips of ",
    ),
    "unknown class": (
        lambda: edited(POINT, cell("event_label", "Barking")),
        f"{POINT}: row 3: label 'Barking' is not a class; classes are Alarm_bell_ringing, ",
    ),
    "reversed": (
        lambda: edited(POINT, cell("offset", "0.0")),
        f"{POINT}: row 3: event ",
    ),
    "negative": (lambda: edited(POINT, cell("onset", "-0.1")), "must have 0 <= onset < offset"),
    "not a number": (
        lambda: edited(POINT, cell("onset", "nan")),
        f"{POINT}: row 3: onset must be a number, not 'nan'",
    ),
    "endless": (lambda: edited(POINT, cell("offset", "inf")), "must have 0 <= onset < offset"),
    "without time": (
        lambda: edited(POINT, cell("onset", "")),
        f"{POINT}: row 3: an event needs both onset and offset",
    ),
    "commas": (
        lambda: Path(POINT).write_text(Path(POINT).read_text().replace("\t", ",")),
        f"{POINT}: columns must be separated by tabs, not commas",
    ),
    "semicolons": (
        lambda: Path(POINT).rename(POINT.replace(".tsv", ".csv")).write_text("a;b;c\n1;2;3\n"),
        "predictions_th_0.1.csv: columns must be separated by commas, not semicolons",
    ),
    "no column": (
        lambda: edited(POINT, lambda table: table.drop(columns="offset")),
        f"{POINT}: column 'offset' is missing; found event_label, onset, filename",
    ),
    "overlap": (
        lambda: edited(POINT, lambda table: pd.concat([table, table.iloc[[0]]])),
        "; events of one class must not",
    ),
    "twice": (
        lambda: shutil.copy(POINT, "detections/again_th_0.10.tsv"),
        f"{POINT}: is of threshold 0.1, and so is again_th_0.10.tsv",
    ),
    "no threshold": (
        lambda: shutil.copy(POINT, "detections/all.tsv"),
        "detections/all.tsv: its name has no threshold",
    ),
    "threshold of another kind": (
        lambda: shutil.copy(POINT, "detections/th_50.tsv"),
        "detections/th_50.tsv: 50 is no threshold: they lie between 0 and 1",
    ),
    "nothing": (
        lambda: [path.unlink() for path in Path("detections").glob("*.tsv")],
        "detections: holds no tables",
    ),
}
SCORES = {
    "missing clip": (
        lambda: Path(CLIP).unlink(),
        "scores: 1 of 14 clips have no scores: 'validation3'",
    ),
    "unknown clip": (
        lambda: shutil.copy(CLIP, "scores/nobody.tsv"),
        "scores/nobody.tsv: 'nobody' is not one of the 14 clips of ",
    ),
    "missing class": (
        lambda: edited(CLIP, lambda table: table.drop(columns="Dog")),
        f"{CLIP}: column 'Dog' is missing",
    ),
    "unknown class": (
        lambda: edited(CLIP, lambda table: table.assign(Wolf=0)),
        f"{CLIP}: column 'Wolf' is not a class; classes are ",
    ),
    "hop": (
        lambda: edited(
            CLIP, lambda t: t.assign(onset=np.arange(100) / 10, offset=np.arange(1, 101) / 10)
        ),
        f"{CLIP}: row 3: begins at 0.1 s, not at 0.064: all frames must be 0.064 s long",
    ),
    "gap": (
        lambda: edited(CLIP, lambda table: table.drop(index=5)),
        f"{CLIP}: row 7: a frame from 0.384 to 0.448 s does not follow the one before",
    ),
    "cut": (
        lambda: edited(CLIP, lambda table: table.iloc[:50]),
        f"{CLIP}: scores end at 3.2 s, the clip lasts 6.4 s",
    ),
    "empty": (lambda: edited(CLIP, lambda table: table.iloc[:0]), f"{CLIP}: has no frames"),
    "no score": (
        lambda: edited(CLIP, cell("Dog", "")),
        f"{CLIP}: row 3: the score of 'Dog' must lie between 0 and 1, not nan",
    ),
    "no probability": (
        lambda: edited(CLIP, cell("Dog", "-3.5")),
        f"{CLIP}: row 3: the score of 'Dog' must lie between 0 and 1, not -3.5",
    ),
    "commas": (
        lambda: Path(CLIP).write_text(Path(CLIP).read_text().replace("\t", ",")),
        f"{CLIP}: columns must be separated by tabs, not commas",
    ),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory, root):
    """A folder with data, results, scores and detections to spoil copies of."""
    folder = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "config").symlink_to(root / "config")
        places.mark(folder, root)
        (folder / "overlay.yaml").write_text(yaml.safe_dump(OVERLAY))
        made(settings.load(OVERLAY, papers=papers.settings_models()))
        command("export", MT, "--scores", "scores")
        command("export", MT, "--detections", "detections")
    return folder


@pytest.fixture
def copies(exported, tmp_path):
    for name in ("data", "results", "scores", "detections"):
        shutil.copytree(exported / name, tmp_path / name)


def refused(capsys, *words):
    """The one line of a command that fails."""
    capsys.readouterr()
    assert score(*words) == 1
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert not Path(FOLDER).exists()
    return printed.err


FAULTS = {"detections": DETECTIONS, "scores": SCORES}


@pytest.mark.parametrize(
    ("what", "fault"), [(what, fault) for what, faults in FAULTS.items() for fault in faults]
)
def test_a_fault_is_one_line(copies, capsys, what, fault):
    spoil, line = FAULTS[what][fault]
    spoil()
    assert line in refused(capsys, f"--{what}", what)


@pytest.mark.system
def test_the_recipe_of_the_docs(project, root, monkeypatch, capsys):
    """docs/how-to.md, "Set my method beside theirs"."""
    plan, world = made(project)
    write_json(world.layout.run(MT, "run.json"), run_record(plan, world.layout))
    write(plan, project, world.layout, *(world.layout.run(MT, name) for name in MEASURED))
    command("export", MT, "--detections", "points")
    command("export", MT, "--scores", "frames")
    monkeypatch.setattr("sedrepro.reporting.draw", lambda *_: None)  # tests of its own draw
    page = documented.read(root / "docs" / "how-to.md")
    recipe = documented.sections(page)["Set my method beside theirs"]
    for words in documented.words(recipe, "sedrepro"):
        capsys.readouterr()
        yours = {"DETECTIONS": "points", "SCORES": "frames"}
        assert command(*(yours.get(word, word) for word in words)) == 0, words
    text = Path(capsys.readouterr().out.strip()).read_text()
    assert "mine (scored here)" in text
    assert "mine_smoothed (scored here)" in text
    with open("results/full/tables/lgc_sed.differences.csv", newline="") as file:
        compared = [line for line in csv.DictReader(file) if line["row"] == "external/mine"]
    assert {line["minus"] for line in compared} == {"mt"}
    assert all(line["ci_low"] and line["ci_high"] for line in compared)


def test_events_of_one_class_may_touch(copies):
    def halved(table):
        whole = table.iloc[0].copy()
        middle = str((float(whole["onset"]) + float(whole["offset"])) / 2)
        table.loc[0, "offset"] = middle
        return pd.concat([table, whole.to_frame().T.assign(onset=middle)])

    edited(POINT, halved)
    assert score("--detections", "detections") == 0


def test_options_that_do_not_fit_are_one_line(copies, capsys):
    given = ["--detections", "detections"]
    assert "give both or neither" in refused(capsys, *given, "--truth", "t.tsv")
    assert "--smooth goes with --scores" in refused(capsys, *given, "--smooth")
    half = ["--at-threshold", "0.4", POINT]
    assert "F1 scores are at threshold 0.5, not 0.4" in refused(capsys, *given, *half)
    assert "goes with --detections" in refused(capsys, "--scores", "scores", *half)
    half = ["--at-threshold", "half", POINT]
    assert "--at-threshold half: not a number" in refused(capsys, *given, *half)
    assert "nowhere: no such folder" in refused(capsys, "--scores", "nowhere")
    assert "--as ../up: a name has letters" in refused(capsys, *given, "--as", "../up")
    assert "no such set 'test'; sets are validation" in refused(capsys, *given, "--set", "test")
    assert command("score", "weak_mtl", "--set", "x", "--as", "x", *given) == 1
    assert "has no set with events that others' systems could detect" in capsys.readouterr().err
    Path(Layout("data/full", "").table(VALIDATION, "clips")).unlink()
    assert "`snakemake data` makes it, or --truth and --durations" in refused(capsys, *given)


def test_durations_are_checked(copies, capsys):
    Path("truth.tsv").write_text("filename\tonset\toffset\tevent_label\na.wav\t0\t1\tDog\n")
    given = ["--detections", "detections", "--truth", "truth.tsv", "--durations", "durations.tsv"]

    def lengths(*rows):
        Path("durations.tsv").write_text("\n".join(["filename\tduration", *rows]) + "\n")

    lengths("b.wav\t10")
    assert "truth.tsv: row 2: clip 'a' is not one of the 1 clips of" in refused(capsys, *given)
    lengths("a.wav\t10", "a.wav\t9")
    assert "durations.tsv: row 3: clip 'a' is listed twice" in refused(capsys, *given)
    lengths("a.wav\t0")
    assert "durations.tsv: row 2: a clip cannot last 0.0 s" in refused(capsys, *given)


def test_an_export_needs_a_finished_run_and_a_new_folder(project, capsys):
    _, world = made(project)

    def line(*words):
        capsys.readouterr()
        assert command("export", *words) == 1
        return capsys.readouterr().err

    Path("here").mkdir()
    Path("here/old.tsv").write_text("")
    assert "here: is there already" in line(MT, "--scores", "here")
    assert "no model 'tutor'; models are student" in line(MT, "--scores", "x", "--model", "tutor")
    assert "sets are validation, public_eval" in line(MT, "--scores", "x", "--set", "y")
    assert "no such paper" in line("none/mt/desed/seed42", "--scores", "x")
    world.sign(status="not_run", reason="no data")
    assert "was not run: no data" in line(MT, "--scores", "x")
    assert not Path("x").exists()


KNOWN = {
    ("psds1", "psds_eval"): 0.334468560216,
    ("psds2", "psds_eval"): 0.528100025564,
    ("intersection_f1", "psds_eval"): 0.637417047852,
    ("event_f1", "sed_eval"): 0.398728161794,
    ("event_f1_micro", "sed_eval"): 0.409501061571,
    ("segment_f1", "sed_eval"): 0.693525560985,
    ("segment_f1_micro", "sed_eval"): 0.754657812212,
}


def test_a_real_system_without_its_audio(acceptance, tmp_path):
    """The command itself, on a machine that has none of the set's data, and no torch."""
    with tarfile.open(acceptance / "desed-operating-points" / "student.tar.xz") as archive:
        archive.extractall(tmp_path / "student")
    words = [
        "score",
        "lgc_sed",
        "--set",
        "validation",
        "--as",
        "theirs",
        "--detections",
        "student/predictions_operating_points",
        "--at-threshold",
        "0.5",
        "student/predictions0.5.csv",
        "--truth",
        "student/validation.tsv",
        "--durations",
        "student/validation_durations.tsv",
    ]
    code = (
        "import sys\nsys.modules['torch'] = None\n"
        "from sedrepro.cli import main\nsys.exit(main(sys.argv[1:]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    lines = {tuple(line.split()[:2]): line for line in done.stdout.splitlines()}
    entries = values(read_json(f"{FOLDER}/metrics.json")["metrics"], "external")
    for key, value in KNOWN.items():
        entry = entries[*key, ""]
        assert entry["value"] == pytest.approx(value, abs=6e-4 if key[0][:5] == "event" else 1e-9)
        assert entry["ci_low"] < entry["value"] < entry["ci_high"]
        assert f"{value:.4f}" in lines[key]
        assert "1,168 of 1,168" in lines[key]
