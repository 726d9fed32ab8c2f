"""The whole DAG, end to end, and what is done again after a change: only what must be."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sedrepro.pipeline.driver import live_drivers, unlock
from sedrepro.settings import Data

from .conftest import SMOKE, SNAKEMAKE, checkout, environment, jobs, snakemake

pytestmark = [pytest.mark.system, pytest.mark.slow]

RESULTS = Path("results/smoke")
LGC = RESULTS / "runs/lgc_sed/lgc/desed/seed42"


def steps(folder: Path) -> dict[str, int]:
    """Optimiser steps each run has on record."""
    return {
        str(path.parent.relative_to(folder / RESULTS)): json.loads(path.read_text())["steps"]
        for path in sorted((folder / RESULTS).rglob("run.json"))
        if ".state" not in path.parts
    }


def made(folder: Path) -> dict[str, int]:
    """When each run was really made: to republish one leaves its finished state as it is."""
    return {
        str(path.parents[1]): path.stat().st_mtime_ns
        for path in sorted((folder / RESULTS).rglob(".state/finished"))
    }


def test_everything_is_there(smoke):
    folder, _ = smoke
    with open(folder / RESULTS / "tables/lgc_sed.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert {"untrained", "mt", "lgc"} <= {row["row"] for row in rows}
    assert any(row["ours_mean"] for row in rows)
    page = (folder / RESULTS / "report/index.html").read_text()
    assert "lgc_sed" in page
    trained = {run: n for run, n in steps(folder).items() if "untrained" not in run}
    assert min(trained.values()) > 0
    decoded = folder / RESULTS / "runs/cross_task_sod/no_sod_test/desed/seed42/metrics.json"
    assert json.loads(decoded.read_text())["status"] == "done"


def test_nothing_is_done_twice(smoke):
    _, again = smoke
    assert "Nothing to be done" in again("all").stderr


def test_a_touched_script_or_another_flag_changes_nothing(smoke):
    folder, again = smoke
    for script in (folder / "workflow/scripts").glob("*.py"):
        os.utime(script)
    assert "Nothing to be done" in again("all").stderr
    assert "Nothing to be done" in again("all", "--latency-wait", "9").stderr


def test_extracting_again_trains_nothing(smoke):
    folder, again = smoke
    before = made(folder)
    done = again("lgc_sed", "--forcerun", "extract", "--verbose")
    ran = jobs(done)
    assert ran["extract"] > 0
    assert ran["train"] > 0
    assert made(folder) == before
    # Snakemake looks for jobs at the start and when one has ended, not all the time.
    assert 0 < done.stderr.count("Resources before job selection") <= 1 + sum(ran.values())


def test_deleting_a_file_and_a_table_rebuilds_the_path_between(smoke):
    folder, again = smoke
    before = made(folder)
    (folder / LGC / "metrics.json").unlink()
    (folder / RESULTS / "tables/lgc_sed.csv").unlink()
    ran = jobs(again("lgc_sed"))
    assert ran["evaluate"] == 1
    assert ran["tabulate"] == 1
    assert not {"train", "extract", "mix"} & set(ran)
    assert made(folder) == before


def test_pages_written_after_a_failure_do_not_pass_for_the_result(smoke):
    folder, again = smoke
    report = [sys.executable, "-m", "sedrepro.cli", "report", "--configfile", *SMOKE[1:]]
    before = (folder / LGC / "metrics.json").read_bytes()
    (folder / LGC / "metrics.json").unlink()
    subprocess.run(report, cwd=folder, env=environment(), check=True, capture_output=True)
    for target in ("all", "lgc_sed"):
        assert jobs(again(target, "-n"))["evaluate"] == 1
    ran = jobs(again("all"))
    assert (ran["evaluate"], ran["tabulate"], ran["publish"]) == (1, 1, 1)
    assert (folder / LGC / "metrics.json").read_bytes() == before


def test_changing_one_row_trains_that_row_only(smoke):
    folder, again = smoke
    before = made(folder)
    table = "{'lgc_sed': {'table': {'lgc': {'settings': {'pgc': {'weight': 0.2}}}}}}"
    ran = jobs(again("lgc_sed", "--config", f"papers={table}", "name=smoke"))
    assert ran["train"] == 1
    changed = {run for run, when in made(folder).items() if before[run] != when}
    assert changed == {str(folder / LGC)}


def test_a_tree_of_ones_own_trains_and_its_losses_are_counted(smoke, tmp_path):
    folder, _ = smoke
    tree = tmp_path / "tree"
    shutil.copytree(folder / "data/mini/raw/desed", tree)
    for table in tree.rglob("*.tsv"):
        table.write_text(table.read_text().replace("Speech", "Heron"))
    (tree / "metadata/eval/public.tsv").unlink()
    shutil.rmtree(tree / "audio/eval/public")
    lost = sorted((tree / "audio/validation/validation").glob("*.wav"))[:3]
    for path in lost:
        path.unlink()
    classes = [name.replace("Speech", "Heron") for name in Data().desed.classes]
    overlay = {
        "name": "mine",
        "run": ["lgc_sed"],
        "data": {"desed": {"local": str(tree), "synthetic": "download", "classes": classes}},
        "papers": {"lgc_sed": {"rows": ["mt"]}},
    }
    (folder / "mine.yaml").write_text(json.dumps(overlay))
    before = sorted(path.name for path in tree.rglob("*"))
    snakemake(folder, "--cores", "2", "all", *SMOKE, "mine.yaml")
    assert sorted(path.name for path in tree.rglob("*")) == before
    run = folder / "results/mine/runs/lgc_sed/mt/desed/seed42"
    metrics = json.loads((run / "metrics.json").read_text())["metrics"]
    validation = [entry for entry in metrics if entry["set"] == "validation"]
    assert {(entry["n_clips"], entry["n_expected"]) for entry in validation} == {(9, 12)}
    assert any(entry["label"] == "Heron" for entry in validation)
    assert {entry["set"] for entry in metrics} == {"validation"}


def test_a_killed_driver_is_taken_over_without_help(root, tmp_path):
    folder = checkout(root, tmp_path / "project")
    run = RESULTS / "runs/lgc_sed/untrained/desed/seed42/run.json"
    words = [*SNAKEMAKE, "--cores", "2", str(run), *SMOKE]
    driver = subprocess.Popen(
        words, cwd=folder, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 300
    while not list(folder.glob("data/mini/features/*/*.h5")):
        assert driver.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert live_drivers(folder) == []
    assert unlock(folder)
    done = subprocess.run(words, cwd=folder, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads((folder / run).read_text())["status"] == "done"


def test_snakemake_bundles_the_results_with_their_captions(smoke):
    folder, again = smoke
    again("all", "--report", "bundle.html")
    bundle = (folder / "bundle.html").read_text()
    for words in (
        "PSD-ROC curves on the real validation set",
        "The tables of lgc_sed, one line per",
    ):
        assert words in bundle
    for name in ("psd_roc.png", "lgc_sed.csv", "lgc_sed.differences.csv", "index.html"):
        assert name in bundle
