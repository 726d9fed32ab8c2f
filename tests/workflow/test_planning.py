"""What happens before anything runs: plans at both scales, light imports, errors in one line."""

from __future__ import annotations

import re
import subprocess

import pytest
from snakemake.cli import parse_config

from sedrepro.errors import SedreproError
from sedrepro.pipeline.flow import Flow

from .conftest import MINI, jobs, snakemake

BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "numpy", "h5py", "pandas", "scipy", "matplotlib"):
            raise ImportError(f"{name} is blocked: planning must not need it")

sys.meta_path.insert(0, Blocker())

# The SLURM plugin imports pandas: plan as in an environment that has Snakemake alone.
import pkgutil

listed = pkgutil.iter_modules
pkgutil.iter_modules = lambda *a, **k: (
    module for module in listed(*a, **k) if "executor_plugin_slurm" not in module.name
)
"""


@pytest.fixture(scope="module")
def light(tmp_path_factory) -> str:
    """A folder that, on PYTHONPATH, blocks everything heavy from import."""
    folder = tmp_path_factory.mktemp("blocked")
    (folder / "sitecustomize.py").write_text(BLOCKER)
    return str(folder)


@pytest.mark.parametrize("options", [[], MINI], ids=["full", "mini"])
def test_everything_is_planned_without_data_gpu_or_heavy_imports(clone, light, options):
    done = snakemake(clone, "-n", "all", *options, PYTHONPATH=light, CUDA_VISIBLE_DEVICES="")
    planned = done.stdout + done.stderr
    for rule in ("fetch", "adapt", "extract", "train", "evaluate", "tabulate", "publish"):
        assert f"\n{rule} " in planned, rule


def test_one_target_per_paper_and_one_for_the_data(clone):
    from sedrepro.papers import PAPERS

    assert "Job stats" in snakemake(clone, "-n", *PAPERS, "data").stdout


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("sedes=[1]", "--config: unknown key sedes (did you mean seeds?)"),
        ("seeds=one", "--config: seeds: should be a valid list"),
        ("scale=huge", "--config: scale: should be 'full' or 'mini'"),
        ("papers=null", "--config: papers: should be a block of `key: value`, not 'null'"),
        ("run=['lgc_sad']", "run names paper 'lgc_sad'"),
        (
            "papers={'lgc_sed': {'settings': {'decoding': {'median': {'Dishs': 5}}}}}",
            "--config: papers.lgc_sed.settings.decoding.median.Dishs: no class 'Dishs' (did you "
            "mean Dishes?)",
        ),
        (
            "papers={'weak_mtl': {'figures': {'class_dot': {'caption': 'C'}}}}",
            "papers.weak_mtl.figures.class_dot: no figure 'class_dot' (did you mean class_dots?)",
        ),
        (
            "papers={'lgc_sed': {'table': {'mt': {'settings': {'pgc': {'weigth': 1}}}}}}",
            "unknown key papers.lgc_sed.table.mt.settings.pgc.weigth (did you mean weight?)",
        ),
    ],
)
def test_a_wrong_setting_is_refused_where_planning_begins(root, setting, message):
    with pytest.raises(SedreproError, match=re.escape(message)):
        Flow.load(parse_config([setting]), root=root)


def test_a_wrong_setting_is_one_clear_line(clone):
    done = snakemake(clone, "-n", "all", "--config", "sedes=[1]", check=False)
    assert done.returncode != 0
    assert "--config: unknown key sedes (did you mean seeds?)" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_what_only_other_papers_cannot_bear_is_said_when_they_are_asked_for(clone):
    narrow = ["--config", "front_ends={'wave16k': {'n_mels': 32}}"]
    assert "Job stats" in snakemake(clone, "-n", "lgc_sed", *narrow).stdout
    expected = "--config: papers.cross_task_sod: row untrained: backbone.pooling makes"
    for words in (["cross_task_sod", *narrow], ["all", *narrow, "run=['cross_task_sod']"]):
        done = snakemake(clone, "-n", *words, check=False)
        assert done.returncode != 0
        assert expected in done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("method", ["weak_mtl", "dcase_baselines/beats"])
def test_a_method_that_is_not_there_is_named(clone, method):
    path = clone / "src/sedrepro/papers" / method / "method.py"
    text = path.read_text()
    path.unlink()
    done = snakemake(clone, "-n", "lgc_sed", check=False)
    path.write_text(text)
    assert done.returncode != 0
    said = done.stdout + done.stderr
    assert f"{path}: no such file: the settings beside it need a class Method" in said
    assert "Traceback" not in said


def test_the_small_schedule_serves_the_papers_it_names(clone):
    small = ["--configfile", "config/small.yaml"]
    planned = snakemake(clone, "-n", "all", *small)
    assert jobs(planned)["train"] == 7
    assert jobs(planned)["tabulate"] == 3
    other = snakemake(clone, "-n", "mtda_hsed", *small, check=False)
    said = other.stdout + other.stderr
    assert "config/small.yaml: papers.mtda_hsed: row untrained: network.pooling" in said


def test_a_run_that_does_not_exist_cannot_be_asked_for(clone):
    target = "results/full/runs/lgc_sed/nope/desed/seed42/metrics.json"
    done = snakemake(clone, "-n", target, check=False)
    assert "MissingRuleException" in done.stdout + done.stderr


def test_the_file_that_holds_the_mistake_is_named(clone, tmp_path):
    wrong = tmp_path / "mine.yaml"
    wrong.write_text("front_ends: {mel128: {n_mels: many}}\n")
    done = snakemake(clone, "-n", "all", "--configfile", str(wrong), check=False)
    assert f"{wrong}: front_ends.mel128.n_mels" in done.stdout + done.stderr


def test_settings_import_nothing_heavy(light):
    import sys

    code = "import sedrepro.pipeline.flow, sedrepro.papers as p; p.settings_models()"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": light}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_clips_from_youtube_come_last_and_hold_no_core(clone, tmp_path):
    """Snakemake prints a job's priority and threads where its rule says nothing of its own."""
    (tmp_path / "Snakefile").write_text(
        f'module whole:\n    snakefile: "{clone}/workflow/Snakefile"\n'
        "use rule * from whole\n"
        'use rule fetch from whole as fetch with:\n    message: ""\n'
    )
    plan = snakemake(tmp_path, "-n", "data").stdout
    entries = re.findall(r"wildcards: resource=(\w+)\n((?: +\w+: \w+\n)*)", plan)
    found = {name: set(re.findall(r"(?:priority|threads): \d", said)) for name, said in entries}
    clips = {name for name, said in found.items() if said == {"threads: 0", "priority: 2"}}
    assert clips == {"desed_weak", "desed_unlabelled", "desed_validation", "desed_strong_real"}
    archives = {name for name, said in found.items() if said == {"priority: 3"}}
    assert archives == found.keys() - clips
    assert len(archives) > 10


def test_data_go_first_then_one_run_of_each_paper(clone, tmp_path):
    rules = "".join(
        f'use rule {rule} from whole as {rule} with:\n    message: ""\n'
        for rule in ("extract", "train")
    )
    (tmp_path / "Snakefile").write_text(
        f'module whole:\n    snakefile: "{clone}/workflow/Snakefile"\n    config: config\n'
        f"use rule * from whole\n{rules}"
    )
    mini = str(clone / "config" / "mini.yaml")
    plan = snakemake(tmp_path, "-n", "all", "--configfile", mini).stdout
    said = {"extract": set(), "train": set()}
    for entry in re.split(r"\nrule ", plan)[1:]:
        rule, _, rest = entry.partition(":")
        if rule in said:
            priority = re.search(r"priority: (\d)", rest.partition("resources:")[0])
            run = re.search(r"paper=(\w+), row=(\w+)", rest)
            said[rule].add((run.groups() if run else None, int(priority[1]) if priority else 0))
    assert said["extract"] == {(None, 2)}
    trains = said["train"]
    first = {
        "dcase_baselines": "mt2021",
        "lgc_sed": "mt",
        "weak_mtl": "gwrp",
        "cross_task_sod": "full",
        "mtda_hsed": "baseline_coherent",
        "dmsf_avel": "a",
    }
    assert {run for run, priority in trains if priority} == set(first.items())
    assert len(trains) > 12
