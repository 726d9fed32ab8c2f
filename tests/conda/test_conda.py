"""`--use-conda` through a stand-in: each job finds what it imports in its rule's own environment.

The driver is an environment that holds Snakemake and what it needs, so nothing a job imports can be
found by accident.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

from cluster.slurm import running, why_not
from cluster.test_cluster import PROFILE
from workflow.conftest import SMOKE, SNAKEMAKE, begun, environment

from . import standin

CONFIG = [*SMOKE, "tests/conda/conda.yaml"]
DRIVER = ["snakemake", "snakemake-executor-plugin-slurm", "pydantic", "pyyaml", "psutil"]
SCRIPTS = {
    "data": {"fetch", "adapt", "mix", "collect", "recipe", "wavs", "extract"},
    "torch": {"train", "embed"},
    "report": {"evaluate", "tabulate", "draw", "publish"},
}
"""The kinds of jobs that belong to each environment."""
USED = {
    "mix": {"numpy", "scaper"},
    "extract": {"numpy", "h5py", "soundfile"},
    "train": {"torch", "h5py", "pandas"},
    "embed": {"torch", "h5py"},
    "evaluate": {"h5py", "psds_eval", "sed_scores_eval"},
    "tabulate": {"numpy"},
    "draw": {"matplotlib"},
    "publish": {"jinja2"},
}
"""Some of what they import, so that notes that say nothing are no proof."""
STANDARD = Path(sysconfig.get_path("stdlib")).resolve()


class Snakemake:
    """A driver that has nothing but what Snakemake needs, and the stand-in as its conda."""

    def __init__(self, folder: Path, pins: list[str]) -> None:
        self.prefix = folder / "driver"
        self.environments = folder / "environments"
        standin.environment(self.prefix, pins)
        path = os.environ["PATH"].split(os.pathsep)
        own = [name for name in path if Path(name) != Path(sys.executable).parent]
        self.path = os.pathsep.join([str(standin.install(folder / "conda")), *own])

    def __call__(self, project: Path, *words: str) -> str:
        """Run to the end; what was said."""
        options = ["--use-conda", "--conda-prefix", str(self.environments)]
        done = subprocess.run(
            [self.prefix / "bin/python", "-m", "snakemake", *words, *options],
            cwd=project,
            env=environment(PATH=self.path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def forget(self) -> None:
        """Drop what jobs noted so far."""
        for note in self.environments.glob("*/imports/*.json"):
            note.unlink()


@pytest.fixture(scope="module")
def snakemake(root, tmp_path_factory) -> Snakemake:
    spec = importlib.util.spec_from_file_location("write_envs", root / "tools/write_envs.py")
    envs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(envs)
    lock = envs.read_lock((root / "requirements.lock").read_text())
    pins = [f"{name}=={lock[name][0]}" for name in envs.closure(lock, DRIVER)]
    return Snakemake(tmp_path_factory.mktemp("conda"), pins)


@pytest.fixture(scope="module")
def project(root, snakemake, tmp_path_factory) -> Path:
    """A checkout in which one paper was made to its end, and of others what no step of it does."""
    folder = begun(root, tmp_path_factory, tmp_path_factory.mktemp("conda_project") / "project")
    data = "data/mini"
    others = [f"{data}/features/desed/validation.beats.h5", f"{data}/mixtures/snr_mix/snr0.wavs"]
    snakemake(folder, "all", *others, "--cores", "2", *CONFIG)
    return folder


@pytest.fixture(scope="module")
def prefixes(root, project, snakemake) -> dict[str, Path]:
    """Where each environment is: Snakemake puts a copy of the file beside it."""
    built = {
        path.read_text(): path.with_suffix("") for path in snakemake.environments.glob("*.yaml")
    }
    return {path.stem: built[path.read_text()] for path in (root / "envs").glob("*.yaml")}


def script(note: dict) -> str:
    """The kind of job a note is of, or nothing."""
    found = re.fullmatch(r"tmp\w+\.(\w+)\.py", Path(note["argv"][0]).name)
    return found[1] if found else ""


def jobs(prefix: Path) -> list[dict]:
    """What the jobs of an environment noted, without its other processes."""
    notes = [json.loads(path.read_text()) for path in (prefix / "imports").glob("*.json")]
    return [note for note in notes if script(note)]


def strays(note: dict, prefix: Path, driver: Path, project: Path) -> list[str]:
    """Modules of a job that lie where they should not."""
    own, ours = site_packages(prefix), project / "src" / "sedrepro"
    found = []
    for name, files in note["modules"].items():
        for file in map(Path, [files] if isinstance(files, str) else files):
            if name == "__main__" or file.is_relative_to(own) or file.is_relative_to(ours):
                continue
            if not file.is_absolute():  # a name that a module made up for itself (torch.ops)
                continue
            if file.resolve().is_relative_to(STANDARD) and "site-packages" not in file.parts:
                continue
            # Snakemake's own modules come from the driver; what the job has too may not.
            theirs = file.is_relative_to(driver) and file.relative_to(driver)
            if theirs and not (prefix / theirs).exists():
                continue
            found.append(f"{script(note)}: {name} from {file}")
    return found


def site_packages(prefix: Path) -> Path:
    (found,) = prefix.glob("lib/python*/site-packages")
    return found


def assert_own_modules(prefixes, snakemake, project, kinds: dict[str, set[str]]) -> None:
    """Every kind of job ran in its environment and found there what it imports."""
    for name, prefix in prefixes.items():
        noted = jobs(prefix)
        assert {script(note) for note in noted} == kinds[name]
        for note in noted:
            assert strays(note, prefix, snakemake.prefix, project) == []
            assert note["modules"].keys() >= USED.get(script(note), set()) | {"sedrepro"}
            assert note["no_user_site"] == "1"


@pytest.mark.system
def test_jobs_import_from_their_own_environments(project, prefixes, snakemake):
    assert (project / "results/conda/report/index.html").exists()
    assert_own_modules(prefixes, snakemake, project, SCRIPTS)
    assert not list(site_packages(prefixes["report"]).glob("torch*"))
    assert not list(site_packages(snakemake.prefix).glob("sedrepro*"))


@pytest.mark.system
def test_other_software_makes_nothing_again(project):
    """What environments made is as good as what the driver's own would make."""
    command = [*SNAKEMAKE, "-n", "all", "--cores", "1", *CONFIG]
    planned = subprocess.run(
        command, cwd=project, env=environment(), capture_output=True, text=True
    )
    assert "Nothing to be done" in planned.stdout + planned.stderr


@pytest.mark.system
def test_what_needs_no_dependencies_came_from_the_post_deploy_scripts(prefixes, snakemake):
    for name, packages in {"data": {"scaper", "desed"}, "report": {"sed_scores_eval"}}.items():
        listed = prefixes[name].with_suffix(".yaml").read_text()
        for package in packages:
            assert f"- {package.replace('_', '-')}==" not in listed
            (info,) = site_packages(prefixes[name]).glob(f"{package}-*.dist-info")
            assert (info / "INSTALLER").stat().st_nlink == 1  # written here, by pip
            assert not list(site_packages(snakemake.prefix).glob(f"{package}*"))


@pytest.mark.system
def test_commands_of_the_workflow_run_beside_a_bare_driver(project, snakemake):
    said = snakemake(project, "plan", "audit", "--cores", "1", *CONFIG)
    assert "lgc_sed: nothing to get" in said
    assert "lgc_sed can run" in said


@pytest.mark.system
def test_they_do_through_slurm(project, prefixes, snakemake):
    """A job for each environment; they don't wait for each other."""
    if reason := why_not():
        pytest.skip(reason)
    snakemake.forget()
    runs = "results/conda/runs/lgc_sed/mt/desed"
    (project / runs / "seed42/metrics.json").unlink()
    # Else they would only be published again.
    shutil.rmtree(project / runs / "seed42/.state/measured")
    wanted = ["data/mini/features/desed/public_eval.wave16k.h5", f"{runs}/seed7/run.json"]
    wanted += [f"{runs}/seed42/metrics.json"]
    with running() as slurm:
        said = snakemake(project, *wanted, *CONFIG, *PROFILE)
        submitted = {job["comment"]: job["state"] for job in slurm.jobs()}
    assert set(submitted.values()) == {"COMPLETED"}, said
    assert len(submitted) == 3, submitted
    assert "Creating conda environment" not in said
    kinds = {"data": {"extract"}, "torch": {"train"}, "report": {"evaluate"}}
    assert_own_modules(prefixes, snakemake, project, kinds)


# --- the stand-in --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dependencies", "complaint"),
    [
        ([{"pip": ["pyyaml==0.0.1"]}], "pyyaml==0.0.1 is asked for"),
        ([{"pip": ["pyyaml"]}], "not pinned"),
        ([{"pip": ["jinja2==" + metadata.version("jinja2")]}], "jinja2 .* requires markupsafe"),
        (["python=3.9"], "PackagesNotFoundError: python=3.9"),
        (["no-such-program"], "PackagesNotFoundError: no-such-program"),
    ],
)
def test_an_environment_that_conda_would_build_otherwise_is_refused(
    dependencies, complaint, tmp_path
):
    with pytest.raises(standin.Refused, match=complaint):
        standin.create({"dependencies": dependencies}, tmp_path / "prefix")


def test_a_question_it_does_not_know_is_refused(tmp_path):
    conda = standin.install(tmp_path) / "conda"
    done = subprocess.run([conda, "list", "--explicit"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "does not know: conda list --explicit" in done.stderr
