"""The workflow in a folder that is not its checkout: by --directory, and as another's module."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sedrepro.settings import merge, read_yaml

from .conftest import environment, jobs, snakemake

MODULE = """
module sedrepro:
    snakefile: "{clone}/workflow/Snakefile"
    config: config

use rule * from sedrepro
"""


def by_directory(clone: Path, folder: Path, *words: str, **options):
    """Snakemake, started in neither place."""
    folder.mkdir(exist_ok=True)
    where = ["--directory", str(folder), "-s", str(clone / "Snakefile")]
    return snakemake(folder.parent, *words, *where, **options)


def by_module(clone: Path, folder: Path, *words: str, **options):
    """Snakemake, in a folder whose own workflow imports this one."""
    (folder / "workflow").mkdir(parents=True, exist_ok=True)
    (folder / "workflow" / "Snakefile").write_text(MODULE.format(clone=clone))
    return snakemake(folder, *words, **options)


def command(clone: Path, folder: Path, *words: str):
    """A `sedrepro` command of a checkout, called in `folder`."""
    return subprocess.run(
        [sys.executable, "-m", "sedrepro.cli", *words],
        cwd=folder,
        env=environment(PYTHONPATH=str(clone / "src")),
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def mini(clone) -> list[str]:
    return ["--configfile", str(clone / "config/mini.yaml")]


@pytest.fixture(scope="module")
def planned(clone, mini) -> dict[str, int]:
    """What is planned in the checkout itself."""
    return jobs(snakemake(clone, "-n", "all", *mini))


@pytest.mark.parametrize("way", [by_directory, by_module])
def test_the_same_is_planned_as_in_the_checkout(clone, mini, planned, tmp_path, way):
    folder = tmp_path / "work"
    assert jobs(way(clone, folder, "-n", "all", *mini)) == planned
    assert json.loads((folder / ".snakemake/sedrepro.json").read_text()) == {"checkout": str(clone)}


def test_a_module_may_be_renamed_and_given_a_part_of_the_configuration(clone, tmp_path):
    (tmp_path / "all.yaml").write_text("other: 1\nsed: {run: [lgc_sed], seeds: [7]}\n")
    text = 'configfile: "all.yaml"\n' + MODULE.format(clone=clone)
    text = text.replace("config: config", 'config: config["sed"]')
    text = text.replace("* from sedrepro", "* from sedrepro as sed_*")
    (tmp_path / "Snakefile").write_text(text)
    done = snakemake(tmp_path, "-n", "sed_lgc_sed")
    assert jobs(done)["sed_tabulate"] == 1
    assert "seed 7" in done.stdout + done.stderr


def test_a_module_that_is_no_checkout_is_refused_in_a_line(clone, tmp_path):
    git = ["git", "-C", str(clone), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    remote = f'gitfile("{clone}", path="workflow/Snakefile", ref="main")'
    text = MODULE.format(clone=clone).replace(f'"{clone}/workflow/Snakefile"', remote)
    (tmp_path / "Snakefile").write_text(text)
    done = snakemake(tmp_path, "-n", "all", check=False)
    assert "sedrepro needs its files on disk: clone it" in done.stdout + done.stderr


@pytest.mark.system
def test_a_module_runs_its_jobs(clone, mini, tmp_path):
    weights = "data/mini/status/beats.json"
    clips = "data/mini/corpora/desed/validation/clips.tsv"
    smoke = str(clone / "tests/workflow/smoke.yaml")
    by_module(clone, tmp_path, "--cores", "2", weights, clips, *mini, smoke)
    assert json.loads((tmp_path / weights).read_text())["status"] == "ok"
    assert len((tmp_path / clips).read_text().splitlines()) > 1
    assert not (clone / "data").exists()


@pytest.mark.slow
@pytest.mark.system
def test_a_table_is_made_elsewhere_and_commands_find_it_from_any_folder(clone, tmp_path):
    folder = tmp_path / "work"
    (folder / "config").mkdir(parents=True)
    overlays = [clone / "config/mini.yaml", clone / "tests/workflow/smoke.yaml"]
    own: dict = {}
    for layer in map(read_yaml, overlays):
        own = merge(own, layer)
    lgc = {"run": ["lgc_sed"], "papers": {"lgc_sed": {"rows": ["untrained"]}}}
    (folder / "config/config.yaml").write_text(yaml.safe_dump(merge(own, lgc)))
    by_directory(clone, folder, "--cores", "2", "results/smoke/tables/lgc_sed.csv")
    assert not (clone / "results/smoke").exists()

    tables = folder / "results/smoke/tables"
    status = command(clone, tables, "status")
    assert ["lgc_sed/untrained/desed/seed42", "done"] in [
        line.split()[:2] for line in status.stdout.splitlines()
    ]
    printed = command(clone, tables, "table", "lgc_sed", "--all", "--format", "md").stdout
    assert printed.strip() == (tables / "lgc_sed.md").read_text().strip()
    verified = command(clone, tables, "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    same = command(clone, folder / "results", "diff", "smoke", "smoke")
    assert same.returncode == 0, same.stdout + same.stderr


def test_outside_a_line_says_what_to_do(root, tmp_path):
    done = command(root, tmp_path, "status")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path}: sedrepro is not at work here: go to its")
    assert done.stderr.count("\n") == 1
