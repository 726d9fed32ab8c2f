"""The `sedrepro` command: what each word prints, and that a mistake is one line."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from sedrepro import papers, places, settings
from sedrepro.cli import main, status
from sedrepro.cli.status import Standing, Status, Step, hours, remaining, standings, text
from sedrepro.liveness import identity
from sedrepro.pipeline.job import job
from sedrepro.settings import Layout, Project, Run
from sedrepro.settings.tasks import Task
from sedrepro.training.stopping import Interrupted
from written import numbers, run_record

MINI = ["--configfile", "config/mini.yaml"]
RECORD = "results/mini/logs/train/lgc_sed.mt.desed.seed42.progress.json"


@pytest.fixture(autouse=True)
def _in_checkout(root, tmp_path, monkeypatch):
    """An empty place with the project's configuration."""
    (tmp_path / "config").symlink_to(root / "config")
    places.mark(tmp_path, root)
    monkeypatch.chdir(tmp_path)


def here(**more) -> dict:
    """A progress record that this process writes now."""
    now = {"process": identity(), "host": platform.node(), "time": time.time()}
    return now | {"said": "epoch 3 of 10", "running": True, "ended": False, "left": None} | more


def folder(row: str) -> str:
    return f"results/mini/runs/lgc_sed/{row}/desed/seed42"


def resumable(row: str) -> None:
    """What a run that was stopped leaves for the next start."""
    write(f"{folder(row)}/.state/resume.pt", "networks")


def write(path: str, value: object) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as handle:
        handle.write(value if isinstance(value, str) else json.dumps(value))


def finished(row: str) -> tuple:
    """A run that took 30 seconds; its plan, project and layout."""
    project = settings.load(files=MINI[1:], papers=papers.settings_models())
    plan = settings.plan(
        project, Run("lgc_sed", row, "desed", 42), papers.settings_models()["lgc_sed"]
    )
    layout = Layout.of(project)
    write(f"{folder(row)}/scores.h5", "scores")
    write(f"{folder(row)}/run.json", run_record(plan, layout, cost={"wall_s": 30.0}))
    return plan, project, layout


def test_status_tells_done_running_failed_and_waiting(capsys):
    plan, project, layout = finished("untrained")
    for held_out in plan.held_out:
        for table in ("clips", "events", "audit"):
            write(layout.table(held_out.subset, table), "nothing\n")
    finished("untrained")
    nothing = {"status": "done", "reason": "", "metrics": [], "curves": {}}
    write(f"{folder('untrained')}/metrics.json", numbers(nothing, plan, project, layout))
    progress = here(done=0.25, seconds=20.0, left=1200.0)
    write(RECORD, progress)
    log = "results/mini/logs/train/lgc_sed.lgc.desed.seed42.log"
    write(log, "some noise\nerror: the loss is nan at epoch 2, batch 1\n\n")
    assert main(["status", *MINI, "--config", "run=[lgc_sed]"]) == 0
    printed = capsys.readouterr().out
    assert "untrained/desed/seed42  done     30 s" in printed
    assert "running  25%, epoch 3 of 10, about 20.0 min left" in printed
    assert f"failed   the loss is nan at epoch 2, batch 1 ({log})" in printed
    assert "train     1 of 3 done, 1 running, 1 failed; about 40.3 min of work left" in printed
    assert "1 of 3 runs done; the time left is known once a run has finished" in printed


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({}, "running"),
        ({"process": f"{os.getpid()}:1"}, "stopped"),  # another process has its number now
        ({"host": "elsewhere"}, "running"),
        ({"host": "elsewhere", "time": time.time() - 3600}, "stopped"),
    ],
)
def test_a_run_is_running_while_its_own_process_is(capsys, changed, word):
    write(RECORD, here(done=0.75, seconds=20.0) | changed)
    resumable("mt")
    main(["status", *MINI, "--config", "run=[lgc_sed]"])
    assert f"mt/desed/seed42         {word}" in capsys.readouterr().out


def test_a_run_that_was_asked_to_stop_has_not_failed(root, capsys):
    write(RECORD, here(process="1:1", done=0.5, seconds=20.0))
    resumable("mt")
    log = "results/mini/logs/train/lgc_sed.mt.desed.seed42.log"
    task = Task(given={"folders": ["data/mini", "results/mini"]})
    asked = SimpleNamespace(log=[log], params=SimpleNamespace(task=task.describe()))
    with pytest.raises(SystemExit), job(asked, Task):
        raise Interrupted("lgc_sed/mt: stopped by SIGTERM at epoch 5; start again to go on")
    main(["status", *MINI, "--config", "run=[lgc_sed]"])
    assert "stopped  at 50%; the next start goes on there" in capsys.readouterr().out


def test_a_run_is_done_when_it_is_evaluated(capsys):
    finished("mt")
    finished("lgc")
    log = "results/mini/logs/evaluate/lgc_sed.lgc.desed.seed42.log"
    write(log, "Traceback …\nerror: scores.h5: not a whole score file\n\n")
    main(["status", *MINI, "--config", "run=[lgc_sed]"])
    printed = capsys.readouterr().out
    assert "mt/desed/seed42         waiting  for its evaluation" in printed
    assert f"failed   scores.h5: not a whole score file ({log})" in printed
    assert "0 of 3 runs done" in printed


def test_what_failed_before_training_comes_first(capsys):
    write("data/mini/logs/fetch/desed_weak.log", "…\nerror: 3 of 1578 clips are damaged\n")
    write("data/mini/logs/fetch/desed_real.log", "all there\n")
    main(["status", *MINI, "--config", "run=[lgc_sed]"])
    printed = capsys.readouterr().out
    log = "data/mini/logs/fetch/desed_weak.log"
    assert printed.startswith("fetch     0 of 5 done, 1 failed, 4 waiting\n")
    told = f"fetch desed_weak  failed: 3 of 1578 clips are damaged ({log})"
    assert printed.index(told) < printed.index("lgc_sed/untrained/desed/seed42")


def test_time_left_is_that_of_the_runs_most_alike():
    def standing(paper, row, word, seconds=None, done=0.0, kind="train"):
        return Standing(Run(paper, row, "c", 1), word, "", seconds, done, kind=kind)

    past = [standing("p", "a", "done", 100.0), standing("p", "b", "done", 300.0)]
    past.append(standing("q", "a", "done", 1000.0))
    past.append(standing("p", "u", "done", 1.0, kind="untrained"))
    assert remaining([*past, standing("p", "a", "waiting")]) == 100.0
    assert remaining([*past, standing("p", "c", "waiting")]) == 200.0
    assert remaining([*past, standing("r", "c", "failed")]) == 600.0  # of papers
    assert remaining([*past, standing("r", "u", "waiting", kind="untrained")]) == 1.0
    assert remaining([*past, standing("p", "a", "stopped", done=0.75)]) == 25.0
    assert remaining([*past, standing("p", "a", "waiting", 100.0, 1.0)]) == 0.0


def test_status_of_a_run_that_could_not_be_made(capsys):
    plan, _, layout = finished("mt")
    told = run_record(plan, layout, status="not_run", reason="desed weak: none")
    write(f"{folder('mt')}/run.json", told)
    main(["status", *MINI])
    assert "not run  desed weak: none" in capsys.readouterr().out


def test_time_left_is_unknown_before_anything_is_done():
    runs = [Standing(Run("p", "r", "c", s), "waiting") for s in range(2)]
    assert remaining(runs) is None
    steps = [Step("train", run.run.folder, "waiting") for run in runs]
    assert text(Status(runs, steps)).endswith(
        "0 of 2 runs done; the time left is known once a run has finished"
    )


def test_time_left_counts_what_waits_and_how_many_work_at_once():
    runs = [Standing(Run("p", "r", "c", 1), "running", "", 100.0, 0.6, 40.0)]
    runs += [Standing(Run("p", "r", "c", seed), "waiting") for seed in (2, 3)]
    train = [Step("train", run.run.folder, run.word, left=run.left) for run in runs]
    stores = [Step("extract", "a", "done", seconds=10.0), Step("extract", "b", "running", left=4.0)]
    stores += [Step("extract", "c", "waiting"), Step("publish", "page", "waiting")]
    found = Status(runs, [*stores, *train])
    assert found.stage_left("train") == 240.0
    assert found.stage_left("extract") == 14.0
    assert found.stage_left("publish") == 10.0
    assert found.left == 264.0 / 2


def test_between_two_jobs_as_many_run_side_by_side_as_just_before():
    now = time.time()

    def ended(begin: float, end: float) -> Step:
        return Step("train", "p/a/c/seed1", "done", span=(now - begin, now - end))

    running = Step("train", "p/b/c/seed1", "running", elapsed=20.0)
    assert Status([], [running]).at_once == 1
    assert Status([], [running, ended(60, 10)]).at_once == 2
    assert Status([], [running, ended(60, 30), ended(30, 21)]).at_once == 1  # one by one
    assert Status([], [running, ended(60, 10), ended(60, 10)]).at_once == 3
    assert Status([], [running, ended(900, 200), ended(900, 200)]).at_once == 1  # long ago


def test_time_left_is_at_least_that_of_the_longest_run_and_what_follows():
    """Two cores do not halve what cannot run side by side."""
    runs = [Standing(Run("p", "a", "c", 1), "running", "", 400.0, 0.25, 300.0)]
    runs.append(Standing(Run("p", "b", "c", 1), "waiting", "for its evaluation", 100.0, 1.0))
    first, second = (run.run.folder for run in runs)
    steps = [Step("train", first, "running", left=300.0), Step("train", second, "done")]
    steps += [Step("evaluate", first, "waiting"), Step("publish", "page", "waiting")]
    steps.append(Step("evaluate", second, "running", elapsed=50.0))
    steps.append(Step("extract", "a", "done", seconds=10.0))
    found = Status(runs, steps)
    assert found.at_once == 2
    # The evaluation that runs shows that the next one takes 50 seconds at least.
    assert found.left == 300 + 50 + 10


def test_status_for_programs_and_line_by_line(capsys, monkeypatch):
    write(RECORD, here(done=0.75, seconds=20.0))
    one = ["--config", "run=[lgc_sed]"]
    assert main(["status", "--json", *MINI, *one]) == 0
    found = json.loads(capsys.readouterr().out)
    (train,) = [stage for stage in found["stages"] if stage["stage"] == "train"]
    assert (train["jobs"], train["running"], train["waiting"]) == (3, 1, 2)
    (mt,) = [run for run in found["runs"] if run["run"] == "lgc_sed/mt/desed/seed42"]
    assert (mt["word"], mt["done"]) == ("running", 0.75)

    def finish(_):
        Path(RECORD).unlink()

    monkeypatch.setattr(status.time, "sleep", finish)
    assert main(["status", "--watch", *MINI, *one]) == 1
    first, second, last = capsys.readouterr().out.splitlines()
    assert "running: train lgc_sed/mt/desed/seed42 75%, epoch 3 of 10; time left unknown" in first
    assert "running: nothing" in second
    assert last == "nobody works on what is left; start the workflow again"


def test_plan_and_audit_for_programs(capsys):
    one = ["--config", "run=[lgc_sed]"]
    assert main(["plan", "--json", *one]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["papers"]["lgc_sed"]["files"] > 0
    assert {item["resource"] for item in plan["files"]} <= set(plan["resources"])
    assert main(["audit", "--json", *one]) == 0
    audit = json.loads(capsys.readouterr().out)
    assert {verdict["state"] for verdict in audit["verdicts"]} == {"not known yet"}


def test_hours_are_measured_or_unknown_never_guessed():
    def standing(paper, word, seconds=None, done=0.0):
        return Standing(Run(paper, "r", "c", 1), word, "", seconds, done)

    runs = [standing("p", "done", 5400.0), standing("p", "waiting", 1800.0, 1.0)]
    runs += [standing("p", "waiting"), standing("p", "stopped", done=0.5), standing("q", "waiting")]
    cost = SimpleNamespace(cost="as long as it takes")
    project = SimpleNamespace(scale="full", papers={"p": cost, "q": cost})
    known = "  p: 4 runs, 2 of them to train; measured 2.00; to come: about 1.50"
    unknown = (
        "  q: 1 runs, 1 of them to train; measured 0.00; to come: unknown until a run has finished"
    )
    told = "    what is known: as long as it takes"
    assert hours(project, runs).splitlines()[1:] == [known, unknown, told]
    project.scale = "mini"
    assert hours(project, runs).splitlines()[1:] == [known, unknown]


def test_the_same_words_without_results(capsys):
    assert standings(Project(), Layout("data", "results")) == []
    assert main(["table", "lgc_sed", *MINI]) == 1
    assert (
        "no run is finished, `sedrepro status` says why; `snakemake lgc_sed`"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["table", "nope"], "nope: no such paper"),
        (["forget", "nonsense"], "nonsense: no such paper; papers are"),
        (["forget", "lgc_sed/lcg"], "lgc_sed has no row 'lcg' (did you mean lgc?); rows are"),
        (["forget", "lgc_sed/mt/dessed"], "after lgc_sed/mt comes one of desed"),
        (["forget", "lgc_sed/mt/desed/sed1"], "not a run; runs look like"),
        (["export", "lgc_sed", "--scores", "x"], "lgc_sed: names 3 runs; say which: lgc_sed/un"),
        (["table", "--format", "tex"], "--format tex: name a paper, too"),
        (["plan", "--config", "rows=[mt, lcg]"], "rows names row 'lcg' (did you mean lgc?)"),
        (["forget", "lgc_sed/mt/desed/seed1"], "no such run folder"),
        (["status", "--config", "seeds"], "--config seeds: expected KEY=VALUE"),
        (["status", "--config", "sedes=1"], "unknown key sedes (did you mean seeds?)"),
        (
            ["status", "--config", "papers={lgc_sed: {corpora: [dessed]}}"],
            "--config: papers.lgc_sed.corpora.0: no corpus 'dessed' (did you mean desed?)",
        ),
        (
            ["status", "--config", "run=[weak_mtl]", "front_ends={logmel64: {kind: mel}}"],
            "--config: papers.weak_mtl: row untrained: logmel64 must be of kind stft_logmel",
        ),
        (["status", "--configfile", "absent.yaml"], "absent.yaml: no such file"),
    ],
)
def test_a_mistake_is_one_line(words, message, capsys):
    assert main(words) == 1
    printed = capsys.readouterr().err
    assert message in printed
    assert printed.count("\n") == 1


def test_plan_and_audit_speak_without_any_data(capsys):
    assert main(["plan"]) == 0
    assert "To be faster" in capsys.readouterr().out
    assert main(["plan", "--long"]) == 0
    printed = capsys.readouterr().out
    assert "md5 a5f66487feaea5c5d8f028bf1ef5bd41" in printed
    assert "measured 0.00; to come: unknown until a run has finished" in printed
    assert main(["audit"]) == 0
    assert "desed" in capsys.readouterr().out


def test_the_headline_of_every_paper_stands_beside_the_published(capsys, monkeypatch):
    write(f"{folder('mt')}/run.json", {"status": "done", "cost": {"wall_s": 30.0}})
    monkeypatch.setenv("COLUMNS", "200")
    assert main(["table", "--all", *MINI]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["PSDS", "1", "(psds_eval,", "student,", "validation)", "ours", "published"] in lines
    assert [
        "+",
        "pseudo-label",
        "selection",
        "(full)",
        "not",
        "run",
        "0.440",
        "not",
        "run",
    ] in lines
    assert ["DCASE", "2021", "baseline", "0.353"] in lines
    assert ["CACE-Net", "0.808", "(best", "test)"] in lines


@pytest.mark.parametrize("sink", ["full", "closed", "ascii"])
def test_output_that_cannot_be_written_is_at_most_one_line(sink):
    words = [sys.executable, "-m", "sedrepro.cli", "table", "lgc_sed", "--all", *MINI]
    if sink == "full":
        with open("/dev/full", "w") as full:
            done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.stderr == "error: the output: No space left on device\n"
        assert done.returncode == 1
    elif sink == "closed":
        end, begin = os.pipe()
        os.close(end)
        done = subprocess.run(words, stdout=begin, stderr=subprocess.PIPE, text=True)
        os.close(begin)
        assert (done.returncode, done.stderr) == (0, "")
    else:
        narrow = os.environ | {"PYTHONIOENCODING": "ascii"}
        done = subprocess.run(words, env=narrow, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        assert "DCASE 2021 baseline" in done.stdout


def test_unlock_says_when_there_is_nothing_to_unlock(capsys):
    assert main(["unlock"]) == 0
    assert "there was no lock" in capsys.readouterr().out


def test_report_renders_from_nothing(capsys):
    assert main(["report", *MINI, "--config", "run=[lgc_sed]"]) == 0
    page = capsys.readouterr().out.strip()
    assert "lgc_sed" in Path(page).read_text()


def test_an_environment_that_lacks_a_package_is_one_line():
    """As a driver's is under `--use-conda`."""
    program = "import sys; sys.modules['scipy'] = None; from sedrepro.cli import main"
    words = [sys.executable, "-c", f"{program}; sys.exit(main(sys.argv[1:]))", "report", *MINI]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 1
    expected = (
        "error: scipy is not in this environment; call it in the environment that `make` builds"
    )
    assert done.stderr == f"{expected}\n"


def test_the_table_of_a_run_that_was_killed(capsys):
    """It has begun, and left nothing but what the next start goes on with."""
    resumable("mt")
    words = [*MINI, "--config", "run=[lgc_sed]"]
    assert main(["table", "lgc_sed/mt", *words]) == 1
    assert "lgc_sed/mt: no run is finished, `sedrepro status` says why" in capsys.readouterr().err
    for form in ("text", "csv", "md", "tex", "json"):
        assert main(["table", "lgc_sed/mt", "--all", "--format", form, *words]) == 0
    assert "started, did not finish" in capsys.readouterr().out


def test_published_numbers_are_the_checkouts(capsys):
    """Whichever folder a command is called in."""
    os.unlink("config")
    words = ["table", "--all", "--config", "run=[weak_mtl]"]
    assert main(words) == 0
    assert "0.699" in capsys.readouterr().out


CTRL_C = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["CTRL_C_AT"] and not os.path.exists("pressed"):
            open("pressed", "w").close()
            os.killpg(0, signal.SIGINT)

sys.meta_path.insert(0, Finder())
# What a shell runs in the background is deaf to Ctrl-C, and so is what that starts.
if os.getpid() == os.getsid(0):
    signal.signal(signal.SIGINT, signal.default_int_handler)
"""
"""Ctrl-C at a terminal, in the moment in which a module is asked for."""


def interrupted(folder: Path, module: str, *words: str) -> subprocess.CompletedProcess[str]:
    (folder / "sitecustomize.py").write_text(CTRL_C)
    paths = [str(folder), *filter(None, sys.path)]
    kept = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}  # it talks too
    return subprocess.run(
        [sys.executable, *words],
        env=kept | {"CTRL_C_AT": module, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize(
    ("command", "module"),
    [("plan", "pydantic"), ("plan", "sedrepro.pipeline.costs"), ("report", "matplotlib")],
)
def test_ctrl_c_is_one_line(tmp_path, command, module):
    """While the command is loaded, and while it works."""
    done = interrupted(tmp_path, module, "-m", "sedrepro.cli", command, *MINI)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "stopped; what was done is kept\n"


JOB = """
from types import SimpleNamespace
from sedrepro.features.extract import _mapping
from sedrepro.pipeline.job import job
from sedrepro.settings.tasks import Task

def make():
    import wave
    return len

if __name__ == "__main__":
    task = Task(given={"folders": ["data/mini"]})
    asked = SimpleNamespace(log=["a.log"], params=SimpleNamespace(task=task.describe()))
    with job(asked, Task), _mapping(make, 2) as mapping:
        list(mapping(["clip"] * 9))
"""


def test_ctrl_c_is_the_last_line_of_a_job_and_nothing_of_its_workers(tmp_path):
    (tmp_path / "script.py").write_text(JOB)
    done = interrupted(tmp_path, "wave", "script.py")
    stopped = "stopped; the next start makes it anew\n"
    assert (done.returncode, done.stderr) == (1, stopped)
    assert (tmp_path / "a.log").read_text() == stopped
