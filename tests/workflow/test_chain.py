"""The chain of keys through the real commands: nothing is printed that is not what lies there, and
what lies there is not made again for nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from sedrepro.kept import REPUBLISHED

from .conftest import SMOKE, copied, environment, finished, jobs, snakemake
from .test_smoke import LGC, RESULTS, made

pytestmark = [pytest.mark.system, pytest.mark.slow]

TABLE = RESULTS / "tables/lgc_sed.csv"
ONE_PAPER = [*SMOKE, "one_paper.yaml"]


@pytest.fixture(scope="module")
def smoke(root, tmp_path_factory):
    """A finished smoke run of one paper, and how to run Snakemake on it again."""
    folder = tmp_path_factory.mktemp("chain") / "project"
    copied(finished(root, tmp_path_factory), folder)
    (folder / "one_paper.yaml").write_text(json.dumps({"run": ["lgc_sed"]}))
    for kind in ("runs", "tables", "figures"):
        for paper in (folder / RESULTS / kind).iterdir():
            if not paper.name.startswith("lgc_sed"):
                shutil.rmtree(paper) if paper.is_dir() else paper.unlink()

    def again(*words: str):
        return snakemake(folder, "--cores", "2", *words, *ONE_PAPER)

    assert not {"extract", "train", "evaluate"} & set(jobs(again("all")))
    return folder, again


def sedrepro(folder: Path, *words: str, check: bool = True, configured: bool = True):
    """A real command, under the smoke run's settings."""
    options = ["--configfile", *ONE_PAPER[1:]] if configured else []
    done = subprocess.run(
        [sys.executable, "-m", "sedrepro.cli", *words, *options],
        cwd=folder,
        env=environment(PYTHONPATH=str(folder / "src")),
        capture_output=True,
        text=True,
    )
    if check and done.returncode:
        raise AssertionError(f"sedrepro {' '.join(words)}\n{done.stdout}\n{done.stderr}")
    return done


@pytest.fixture(scope="module")
def before(smoke) -> Path:
    """The tables of the finished run, to compare with. Every test leaves the run finished."""
    folder, _ = smoke
    shutil.copytree(folder / RESULTS / "tables", folder / "before/tables")
    return folder / "before"


def same(folder: Path, before: Path) -> bool:
    """Whether `sedrepro diff` finds no cell that differs."""
    done = sedrepro(folder, "diff", str(before), str(RESULTS), check=False, configured=False)
    assert "cells compared" in done.stdout, done.stdout + done.stderr
    return done.returncode == 0


def republished(folder: Path, rule: str, home: str) -> Counter:
    """Jobs of a rule whose log says that they only published again, and the others."""
    logs = sorted((folder / home / "logs" / rule).glob("*.log"))
    return Counter(REPUBLISHED in log.read_text() for log in logs)


def test_a_whole_result_set_is_verified(smoke):
    folder, _ = smoke
    done = sedrepro(folder, "verify")
    assert "every link holds" in done.stdout


def test_another_result_set_takes_the_data_as_they_are(smoke):
    _, again = smoke
    ran = jobs(again("all", "-n", "--config", "name=another"))
    assert ran.keys() == {"train", "evaluate", "tabulate", "draw_lgc_sed", "publish", "all"}


def test_a_forgotten_run_is_not_printed_and_trained_anew_alone(smoke, before):
    folder, again = smoke
    when = made(folder)
    sedrepro(folder, "forget", "lgc_sed/lgc/desed/seed42")
    for name in ("metrics.json", "run.json", "scores.h5"):
        assert not (folder / LGC / name).exists()
    assert "lgc/desed/seed42" in sedrepro(folder, "status").stdout
    sedrepro(folder, "report")
    lines = [line for line in (folder / TABLE).read_text().splitlines() if ",lgc,desed," in line]
    assert lines
    assert all(",not run," in line for line in lines)
    ran = jobs(again("all"))
    assert ran["train"] == 1
    changed = {run for run, time in made(folder).items() if when.get(run) != time}
    assert changed == {str(folder / LGC)}
    assert same(folder, before)


def test_a_copy_with_other_dates_computes_nothing(smoke, before, tmp_path):
    folder, _ = smoke
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", folder, copy], check=True)
    shutil.rmtree(copy / ".snakemake")
    for kind in ("data/mini/logs", f"{RESULTS}/logs"):
        shutil.rmtree(copy / kind)
    # What a clock or a copy can do to dates: every input is newer than what was made of it.
    subprocess.run(["find", "data", "-name", "*.tsv", "-exec", "touch", "{}", "+"], cwd=copy)
    for raw in (copy / "data/mini/status").glob("*.json"):
        raw.touch()
    done = snakemake(copy, "--cores", "2", "all", *ONE_PAPER)
    ran = jobs(done)
    assert ran.get("extract", 0) + ran.get("train", 0) > 0
    for rule, home in (("extract", "data/mini"), ("embed", "data/mini"), ("train", str(RESULTS))):
        assert republished(copy, rule, home)[False] == 0, rule
    done = sedrepro(copy, "diff", str(before), str(RESULTS), configured=False)
    assert "no difference" in done.stdout
    assert "every link holds" in sedrepro(copy, "verify").stdout


@pytest.mark.parametrize("change", ["edited", "of another run"])
def test_numbers_that_are_not_the_runs_are_refused_and_named(smoke, before, change):
    folder, again = smoke
    path = folder / LGC / "metrics.json"
    if change == "edited":
        text = path.read_text()
        value = json.loads(text)["metrics"][0]["value"]
        path.unlink()
        path.write_text(text.replace(f'"value": {value}', '"value": 0.99', 1))
    else:
        other = folder / RESULTS / "runs/lgc_sed/mt/desed/seed42/metrics.json"
        path.unlink()
        shutil.copyfile(other, path)
    found = sedrepro(folder, "verify", check=False)
    assert found.returncode == 1
    assert "lgc/desed/seed42: metrics.json" in found.stdout
    sedrepro(folder, "report")
    lines = [line for line in (folder / TABLE).read_text().splitlines() if ",lgc,desed," in line]
    assert all(",not run," in line for line in lines)
    path.unlink()
    assert jobs(again("all"))["evaluate"] == 1
    assert same(folder, before)


def test_an_interval_is_not_printed_without_its_resamples(smoke, before):
    folder, again = smoke
    (folder / LGC / "resamples.npz").unlink()
    found = sedrepro(folder, "verify", check=False)
    assert found.returncode == 1
    assert "lgc/desed/seed42: resamples.npz is not what was written" in found.stdout
    assert "if it finds nothing to do, delete metrics.json first" in found.stdout
    sedrepro(folder, "report")
    lines = [line for line in (folder / TABLE).read_text().splitlines() if ",lgc,desed," in line]
    assert all(",not run," in line for line in lines)
    (folder / LGC / "metrics.json").unlink()
    assert jobs(again("all"))["evaluate"] == 1
    assert same(folder, before)


ONSET = {"soundscapes": {"onset": [0.5, 0.5, 0.0, 0.9]}}


def test_data_that_were_made_with_other_settings_print_nothing(smoke, before):
    """The settings are changed; the workflow has not been started since."""
    folder, _ = smoke
    (folder / "onset.yaml").write_text(json.dumps({"data": {"desed": ONSET}}))

    def asked(*words: str, **options):
        words = (*words, "--configfile", *ONE_PAPER[1:], "onset.yaml")
        return sedrepro(folder, *words, configured=False, **options)

    found = asked("verify", check=False)
    assert found.returncode == 1
    assert "made with another data.desed.soundscapes.onset" in found.stdout
    shown = asked("table", "lgc_sed", check=False)
    assert shown.returncode == 1
    assert "lgc_sed: no run is finished, `sedrepro status` says why" in shown.stderr
    assert "made with another data.desed.soundscapes.onset" in asked("status").stdout
    packed = asked("archive", "--out", "packed.zip", check=False)
    assert packed.returncode == 1
    assert "made of other numbers or settings" in packed.stderr
    asked("report")
    lines = [line for line in (folder / TABLE).read_text().splitlines() if ",lgc,desed," in line]
    assert all(",not run," in line for line in lines)
    sedrepro(folder, "report")
    assert same(folder, before)


def test_an_interrupted_forced_run_leaves_no_old_numbers(smoke, before):
    """As if it had been killed at once: Snakemake has removed the outputs, the job has begun."""
    folder, again = smoke
    for name in ("checkpoint.pt", "history.csv", "timing.csv", "scores.h5", "examples.h5"):
        (folder / LGC / name).unlink()
    (folder / LGC / "run.json").unlink()
    sedrepro(folder, "report")
    lines = [line for line in (folder / TABLE).read_text().splitlines() if ",lgc,desed," in line]
    assert all(",not run," in line for line in lines)
    when = made(folder)
    assert jobs(again("all"))["train"] == 1
    assert made(folder) == when
    assert same(folder, before)


PAPER = """papers={'lgc_sed': {'settings': {'decoding': {'median': 5}}, 'tables': %s}}"""
CHANGES = [  # each adds one setting to those before: a decoding, the confidence, a caption
    ([PAPER % "{}"], {"evaluate", "tabulate"}, {"train", "extract"}),
    (
        [PAPER % "{}", "report={'confidence': 0.5}"],
        {"evaluate", "tabulate", "publish"},
        {"train", "extract"},
    ),
    (
        [PAPER % "{'teacher': {'caption': 'Another caption'}}", "report={'confidence': 0.5}"],
        {"tabulate", "publish"},
        {"train", "extract", "evaluate"},
    ),
]


def test_a_setting_makes_again_what_it_must_and_prints_what_a_clean_run_prints(smoke, tmp_path):
    folder, again = smoke
    for settings, runs, rests in CHANGES:
        ran = jobs(again("all", "--config", *settings))
        assert runs <= set(ran)
        assert not rests & set(ran)
    changed = tmp_path / "changed"
    shutil.copytree(folder / RESULTS / "tables", changed / "tables")
    # Cleanly: the same settings, every number measured anew.
    for name in ("metrics.json", "resamples.npz"):
        for path in (folder / RESULTS / "runs").rglob(name):
            path.unlink()
    for kept in (folder / RESULTS / "runs").rglob(".state/measured"):
        shutil.rmtree(kept)
    shutil.rmtree(folder / RESULTS / "tables")
    again("all", "--config", *settings)
    assert same(folder, changed)
