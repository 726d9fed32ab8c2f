"""Result sets that leave their machine: merged, packed, and shown without recordings."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import zipfile
from pathlib import Path

import fabricate
import pytest
import yaml

from sedrepro import places
from sedrepro.cli import main
from sedrepro.reporting import publish, tabulate
from sedrepro.settings import Layout

ROWS = ["untrained", "mt_median7", "mt", "clc", "pgc", "lgc"]
HERE = Path("results/mini")
SEEDS = ("seed42", "seed43")


@pytest.fixture
def words(copy, monkeypatch) -> list[str]:
    """The settings of the made-up result set, which lies in the working folder."""
    Path(copy.folder, "made.yaml").write_text(yaml.safe_dump(fabricate.MINIATURE))
    places.mark(copy.folder, copy.root)
    monkeypatch.chdir(copy.folder)
    return ["--configfile", "made.yaml"]


@pytest.fixture
def apart(words) -> Path:
    """The second seed's runs, on another machine: in a result set elsewhere."""
    other = Path("elsewhere/results/mini")
    shutil.copytree(HERE, other)
    for home, seed in ((HERE, SEEDS[1]), (other, SEEDS[0])):
        for folder in home.glob(f"runs/*/*/*/{seed}"):
            shutil.rmtree(folder)
    return other


def test_two_machines_make_what_one_would_have_printed(copy, words, apart, capsys):
    both = Layout("data/mini", "whole")
    shutil.copytree("results/mini", "whole")
    shutil.copytree(apart / "runs", "whole/runs", dirs_exist_ok=True)
    tabulate(copy.project, "lgc_sed", both, copy.root)
    assert main(["merge", str(apart), "--machine", "the lab", *words]) == 0
    assert "6 runs taken, 0 were here already, 0 refused" in capsys.readouterr().out
    here = Layout("data/mini", str(HERE))
    tabulate(copy.project, "lgc_sed", here, copy.root)
    for form in ("csv", "differences.csv", "md", "tex"):
        merged = Path(here.paper_table("lgc_sed", form)).read_bytes()
        assert merged == Path(both.paper_table("lgc_sed", form)).read_bytes()
    page = publish(copy.project, here, copy.root).read_text()
    assert page.count("<dd>the lab</dd>") == 6
    assert main(["merge", str(apart), *words]) == 0
    assert "0 runs taken, 6 were here already, 0 refused" in capsys.readouterr().out


def test_what_is_not_of_this_result_set_is_named_and_refused(words, apart, capsys):
    runs = apart / "runs" / "lgc_sed"
    other = runs / "lgc" / "desed" / "seed43" / "run.json"
    described = json.loads(other.read_text())
    described["settings"]["training"]["epochs"] += 1
    other.write_text(json.dumps(described))
    with open(runs / "clc" / "desed" / "seed43" / "scores.h5", "ab") as scores:
        scores.write(b"more")
    data = runs / "pgc" / "desed" / "seed43" / "run.json"
    described = json.loads(data.read_text())
    described["parents"]["events"]["desed/synth_validation"] = "other"
    data.write_text(json.dumps(described))
    shutil.copytree(runs / "mt", runs / "nobody")
    assert main(["merge", str(apart), *words]) == 1
    told = capsys.readouterr().out.splitlines()
    reasons = {
        line.split("lgc_sed/")[1].split("/")[0]: line for line in told if "refused: " in line
    }
    assert set(reasons) == {"lgc", "clc", "pgc", "nobody"}
    assert "the run was made with another settings.training.epochs" in reasons["lgc"]
    assert "scores.h5 was changed after it was written" in reasons["clc"]
    assert "no such run in the configuration" in reasons["nobody"]
    assert "3 runs taken, 0 were here already, 4 refused" in told[-2]
    assert not (HERE / "runs/lgc_sed/lgc/desed/seed43").exists()
    assert main(["merge", "nowhere", *words]) == 1
    assert "nowhere: has no runs" in capsys.readouterr().err


def test_an_archive_is_checked_anywhere(copy, words, tmp_path_factory, monkeypatch, capsys):
    assert main(["archive", *words]) == 1
    assert "has no tables yet" in capsys.readouterr().err
    layout = Layout("data/mini", str(HERE))
    tabulate(copy.project, "lgc_sed", layout, copy.root)
    own = ["--config", "data={desed: {local: /somewhere/birds}}"]
    assert main(["archive", "--out", "one.zip", *words, *own]) == 1  # the tables are of other data
    assert "lgc_sed.key.json: made of other numbers or settings" in capsys.readouterr().err
    tabulate(
        fabricate.project_of(data={"desed": {"local": "/somewhere/birds"}}),
        "lgc_sed",
        layout,
        copy.root,
    )
    assert main(["archive", "--out", "one.zip", *words, *own]) == 0
    assert main(["archive", "--out", "two.zip", *words, *own]) == 0
    assert Path("one.zip").read_bytes() == Path("two.zip").read_bytes()
    packed = Path("one.zip").absolute()
    with zipfile.ZipFile(packed) as file:
        names = set(file.namelist())
        assert "somewhere" not in file.read("settings.json").decode()
        assert "numpy" in json.loads(file.read("environment.json"))["packages"]
    assert {"tables/lgc_sed.csv", "tables/lgc_sed.key.json", "CITATION.cff"} <= names
    assert "runs/lgc_sed/lgc/desed/seed42/run.json" in names
    assert not [name for name in names if name.endswith((".h5", ".pt", ".wav"))]
    monkeypatch.chdir(tmp_path_factory.mktemp("anywhere"))
    assert main(["verify", str(packed)]) == 0
    assert "every link holds" in capsys.readouterr().out


def test_an_archive_holds_where_runs_do_not_count(copy, words):
    """They were measured with other settings: the tables say so, and none of their numbers."""
    project = fabricate.project_of(report={"bootstrap": 10})
    tabulate(project, "lgc_sed", Layout("data/mini", str(HERE)), copy.root)
    assert main(["archive", "--out", "one.zip", *words, "--config", "report={bootstrap: 10}"]) == 0
    assert main(["verify", "one.zip"]) == 0


@pytest.mark.parametrize(
    ("part", "change", "told"),
    [
        (
            "tables/lgc_sed.csv",
            lambda b: b.replace(b"0.4", b"0.5"),
            "was changed after it was pack",
        ),
        ("runs/lgc_sed/lgc/desed/seed42/metrics.json", None, "is gone"),
    ],
)
@pytest.mark.parametrize("resealed", [False, True])
def test_an_archive_that_was_changed_is_found_out(
    copy, words, part, change, told, resealed, capsys
):
    tabulate(copy.project, "lgc_sed", Layout("data/mini", str(HERE)), copy.root)
    assert main(["archive", "--out", "one.zip", *words]) == 0
    with zipfile.ZipFile("one.zip") as file:
        parts = {name: file.read(name) for name in file.namelist()}
    content = parts.pop(part)
    if change:
        parts[part] = change(content)
    if resealed:  # by somebody who knows of the checksums
        told = "lgc_sed.csv is not what was written" if change else "made of other numbers of"
        sums = [
            f"{hashlib.sha256(c).hexdigest()}  {n}" for n, c in parts.items() if n != "SHA256SUMS"
        ]
        parts["SHA256SUMS"] = "\n".join(sums).encode()
    with zipfile.ZipFile("changed.zip", "w") as file:
        for name, value in parts.items():
            file.writestr(name, value)
    assert main(["verify", "changed.zip"]) == 1
    assert told in capsys.readouterr().out
    Path("changed.zip").write_bytes(b"PK nothing")
    assert main(["verify", "changed.zip"]) == 1
    assert "not a whole archive" in capsys.readouterr().err


def test_a_page_without_recordings(copy):
    project = fabricate.project_of(report={"audio": False})
    silent = publish(project, copy.layout, copy.root).read_text()
    assert "data:audio" not in silent
    assert "is left out of this page" in silent
    assert "data:audio" in publish(copy.project, copy.layout, copy.root).read_text()


def test_the_source_of_a_published_number_is_a_link(copy):
    page = publish(copy.project, copy.layout, copy.root).read_text()
    table = copy.root / "config" / "papers" / "lgc_sed" / "published.csv"
    sources = {row["source"] for row in csv.DictReader(table.open()) if row["published"]}
    assert any(source.startswith("DCASE-REPO/DESED_task") for source in sources)
    assert '<a href="https://github.com/DCASE-REPO/DESED_task" title="source: DCASE-REPO' in page
