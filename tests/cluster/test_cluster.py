"""The workflow on a real SLURM, and every way a cluster lets a job down.

Nothing here is timed: a run that is to be disturbed is stopped (SIGSTOP) in mid-training until the
disturbance has reached it.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from sedrepro.pipeline.driver import queued, unlock
from sedrepro.progress import record_of
from workflow.conftest import SMOKE, SNAKEMAKE, begun, environment

from .slurm import Slurm, running, wait, why_not

pytestmark = [pytest.mark.system, pytest.mark.slow]

PROFILE = [
    *("--workflow-profile", "profiles/slurm", "--cores", "2", "--latency-wait", "30"),
    *("--slurm-status-command", "squeue", "--slurm-init-seconds-before-status-checks", "2"),
]
ROWS = ("mt", "clc", "lgc")
PATIENCE = 900.0


@pytest.fixture(scope="module")
def slurm() -> Iterator[Slurm]:
    reason = why_not()
    if reason:
        pytest.skip(reason)
    with running() as slurm:
        yield slurm


class Driver:
    """Snakemake at work in a folder; its output is shown when something goes wrong."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.log = folder / "driver.log"
        with open(self.log, "w") as out:
            command = [*SNAKEMAKE, *words, *PROFILE]
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment(), stdout=out, stderr=out
            )

    @property
    def text(self) -> str:
        return self.log.read_text()

    def trouble(self) -> str:
        """For `wait`: what an ended driver said."""
        return "" if self.process.poll() is None else f"the driver ended\n{self.text[-5000:]}"

    def finish(self) -> None:
        assert self.process.wait(PATIENCE) == 0, self.text[-5000:]

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def drive() -> Iterator[Callable[..., Driver]]:
    """Start drivers; what still runs ends with the test."""
    started: list[Driver] = []

    def start(*words) -> Driver:
        started.append(Driver(*words))
        return started[-1]

    yield start
    for driver in started:
        driver.kill()


@pytest.fixture(scope="module")
def project(root, tmp_path_factory, slurm) -> Path:
    """A checkout in which every kind of job ran through SLURM, undisturbed."""
    folder = begun(root, tmp_path_factory, tmp_path_factory.mktemp("cluster") / "project")
    # Three submissions beside training, so that the test waits in few queues.
    small = [f"{rule}=tables" for rule in ("mix", "collect", "adapt", "extract")]
    small += [f"{rule}=pages" for rule in ("evaluate", "tabulate", "draw_lgc_sed", "publish")]
    config = [*SMOKE, "tests/cluster/cluster.yaml"]
    driver = Driver(folder, "all", *config, "--groups", *small)
    try:
        driver.finish()
    finally:
        driver.kill()
    return folder


class Run:
    """One training run of a result set."""

    def __init__(self, project: Path, name: str, row: str) -> None:
        self.target = f"results/{name}/runs/lgc_sed/{row}/desed/seed42/run.json"
        self.row = row
        self.folder = (project / self.target).parent
        log = project / f"results/{name}/logs/train/lgc_sed.{row}.desed.seed42.log"
        self.progress = record_of(log)
        self._halted: set[int] = set()

    def bytes(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    @property
    def record(self) -> dict:
        return json.loads(self.bytes("run.json"))

    def scores(self) -> dict[str, np.ndarray]:
        """Every array of scores.h5; its bytes also hold times."""
        found: dict[str, np.ndarray] = {}

        def note(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = item[()]

        with h5py.File(self.folder / "scores.h5") as file:
            file.visititems(note)
        return found

    def halt(self, driver: Driver) -> int:
        """Stop the run in mid-training, with a checkpoint behind it; its process id."""
        wait(f"{self.row} to train", self._halt, driver.trouble, PATIENCE, pause=0.05)
        return max(self._halted)

    def _halt(self) -> bool:
        state = self.folder / ".state"
        with contextlib.suppress(OSError, ValueError):
            progress = json.loads(self.progress.read_text())
            pid = int(progress["process"].partition(":")[0])
            if pid not in self._halted and (state / "resume.pt").exists():
                os.kill(pid, signal.SIGSTOP)
                self._halted = {pid}
                assert (state / "resume.pt").exists(), f"{self.row} had already ended"
                return True
        return False


def job_of(slurm: Slurm, row: str) -> str:
    """The latest job of a row that is running."""
    name = f"rule_train_wildcards_lgc_sed_{row}_desed_42"
    found = [j["id"] for j in slurm.jobs() if j["comment"] == name and j["state"] == "RUNNING"]
    return found[-1]


def hurry(slurm: Slurm, job: str, driver: Driver) -> None:
    """A job that was requeued starts soon, not two minutes later, and has an hour.

    Not within the same second: the node takes it for the attempt it has just ended, and refuses it.
    """

    def waiting() -> bool:
        shown = slurm.show(job)
        return shown["Restarts"] == "1" and shown["JobState"] == "PENDING"

    wait("the job to be requeued", waiting, driver.trouble, PATIENCE)
    slurm.command("scontrol", "update", f"JobId={job}", "TimeLimit=60", "StartTime=now+3")


def words(runs: dict[str, Run], name: str, *more: str) -> list[str]:
    """Train the runs under another name, side by side on the CPU."""
    targets = [run.target for run in runs.values()]
    config = [*SMOKE, "tests/cluster/cluster.yaml", "--config", f"name={name}", "gpu=0"]
    return [*targets, *config, *more]


def assert_undisturbed(project: Path, runs: dict[str, Run]) -> None:
    for row, run in runs.items():
        expected = Run(project, "undisturbed", row)
        assert run.bytes("history.csv") == expected.bytes("history.csv"), row
        scores, expected_scores = run.scores(), expected.scores()
        assert scores.keys() == expected_scores.keys()
        for name, values in scores.items():
            np.testing.assert_array_equal(values, expected_scores[name], f"{row}: {name}")


def test_all_of_it_runs_through_slurm(project, slurm):
    assert (project / "results/undisturbed/report/index.html").exists()
    assert (project / "results/undisturbed/tables/lgc_sed.csv").exists()
    jobs = {job["comment"]: job["state"] for job in slurm.jobs()}
    assert set(jobs.values()) == {"COMPLETED"}
    assert len(jobs) == 2 + len(ROWS), jobs
    fetching = (project / "data/mini/logs/fetch").glob("*.log")
    assert list(fetching)  # ran, but not as a job
    assert not [comment for comment in jobs if "fetch" in comment]


def test_gpu_jobs_run_one_after_the_other(project, slurm):
    jobs = [slurm.show(j["id"]) for j in slurm.jobs() if j["comment"].startswith("rule_train")]
    assert len(jobs) == len(ROWS)
    assert all(job["TresPerJob"] == "gres:gpu:1" for job in jobs)
    spans = sorted((job["StartTime"], job["EndTime"]) for job in jobs)
    for (_, end), (start, _) in itertools.pairwise(spans):
        assert end <= start
    # They would have fitted side by side: all were submitted before the second one started.
    assert max(job["SubmitTime"] for job in jobs) < spans[-1][0]


def test_jobs_that_are_cancelled_out_of_time_or_short_of_memory(project, slurm, drive):
    """Each ends as if nothing had happened, and a time limit is not counted as a failure."""
    runs = {row: Run(project, "let_down", row) for row in ROWS}
    short = "train:mem_mb=350 if attempt == 1 and wildcards.row == 'lgc' else 4000"
    extra = "train:slurm_extra='--signal=23@300'"
    driver = drive(project, *words(runs, "let_down", "--set-resources", short, extra))

    runs["mt"].halt(driver)
    slurm.command("scancel", job_of(slurm, "mt"))

    runs["clc"].halt(driver)
    job = job_of(slurm, "clc")
    slurm.command("scontrol", "update", f"JobId={job}", "TimeLimit=5")  # SLURM wakes it up itself
    hurry(slurm, job, driver)

    driver.finish()
    assert_undisturbed(project, runs)
    # Snakemake names a job once per attempt.
    attempts = {row: driver.text.count(f"_{row}_desed_42/") for row in ROWS}
    assert runs["mt"].record["cost"]["starts"] == 2
    assert runs["clc"].record["cost"]["starts"] == 2
    assert slurm.show(job)["Restarts"] == "1"
    assert attempts["clc"] == 1, driver.text
    assert attempts["mt"] > 1
    assert attempts["lgc"] > 1
    assert "memory limit" in "".join(
        log.read_text() for log in (project / ".snakemake/slurm_logs").rglob("*lgc_desed_42/*.log")
    )


def test_a_killed_driver_and_a_node_that_goes_down(project, slurm, drive):
    runs = {row: Run(project, "abandoned", row) for row in ("mt", "clc")}
    driver = drive(project, *words(runs, "abandoned"))
    halted = [run.halt(driver) for run in runs.values()]
    driver.kill()
    assert len(queued(project)) == 2
    assert unlock(project)
    assert not queued(project)
    assert not any(map(alive, halted))

    again = drive(project, *words(runs, "abandoned"))
    for run in runs.values():
        run.halt(again)
    jobs = [job_of(slurm, row) for row in runs]
    slurm.stop_node()
    slurm.start_node()
    for job in jobs:
        hurry(slurm, job, again)
    again.finish()
    assert_undisturbed(project, runs)
    ends = [(shown["Restarts"], shown["JobState"]) for shown in map(slurm.show, jobs)]
    assert ends == [("1", "COMPLETED")] * 2, again.text


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()
