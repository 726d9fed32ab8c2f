"""A real SLURM of one node on this machine, without systemd; ends exactly what it started.

    with running() as slurm: ...          in tests
    sudo .venv/bin/python tests/cluster/slurm.py     by hand, until Ctrl-C

The node claims more cores and memory than the machine has, and one GPU that is /dev/null: the
scheduler hands them out just the same. Needs root and Debian's slurmctld, slurmd, slurm-client and
munge; its files in /etc/slurm are removed at the end.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
DAEMONS = ("munged", "slurmctld", "slurmd")
ETC = Path("/etc/slurm")
MARK = "# Written by sedrepro's tests/cluster/slurm.py, which removes it again.\n"
PATIENCE = 120.0
"""Seconds a daemon may take: the machine may be slow and busy."""

SLURM_CONF = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
ProctrackType=proctrack/pgid
TaskPlugin=task/none
MpiDefault=none
SlurmdParameters=config_overrides
# A job that takes more than it asked for is ended, as cgroups do it on a real cluster.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill,NoShared
# Finished jobs stay in sight of squeue, which stands in for accounting.
MinJobAge=3600
SlurmdTimeout=20
SchedulerParameters=sched_interval=5,bf_interval=5
ReturnToService=2
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs=4 RealMemory=200000 Gres=gpu:1 State=UNKNOWN
PartitionName=main Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def program(name: str) -> str | None:
    """Where a program is; daemons lie where not everybody's PATH looks."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def why_not() -> str | None:
    """What keeps SLURM from being run here, or None."""
    if os.getuid() != 0:
        return "SLURM's daemons need root"
    config = ETC / "slurm.conf"
    if config.exists() and not config.read_text().startswith(MARK):
        return f"this machine has a SLURM of its own ({config})"
    if all(map(program, ("slurmctld", "slurmd", "sbatch", "munged"))):
        return None
    if shutil.which("apt-get") is None:
        return f"not installed, and no apt-get to install it: {' '.join(PACKAGES)}"
    return install()


def install() -> str | None:
    """Install the packages; why that failed, or None."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "-y", "--no-install-recommends", *PACKAGES]
    for words in (command, ["apt-get", "update"], command):
        done = subprocess.run(words, env=environment, capture_output=True, text=True)
        if words is command and done.returncode == 0:
            return None
    return f"`{' '.join(command)}` failed: {done.stderr.strip().splitlines()[-1]}"


class Slurm:
    """The daemons of one cluster, and what tests ask of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.host = socket.gethostname().partition(".")[0]
        self.daemons: dict[str, subprocess.Popen] = {}

    def configure(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.touch(mode=0o400)
        key.write_bytes(os.urandom(128))
        ETC.mkdir(parents=True, exist_ok=True)
        ports = {"ctld_port": _free_port(), "node_port": _free_port()}
        conf = SLURM_CONF.format(name=self.name, host=self.host, folder=self.folder, **ports)
        (ETC / "slurm.conf").write_text(MARK + conf)
        (ETC / "gres.conf").write_text(f"{MARK}Name=gpu Count=1 File=/dev/null\n")

    def start(self) -> None:
        names = ("key-file", "socket", "pid-file", "log-file", "seed-file")
        files = [f"--{name}={self.folder}/munge.{name.removesuffix('-file')}" for name in names]
        self._launch("munged", "--foreground", "--force", *files)
        wait("munged", (self.folder / "munge.socket").exists, self._alive)
        self._launch("slurmctld", "-D", "-c")
        self.start_node()

    def start_node(self) -> None:
        self._launch("slurmd", "-D")
        wait("the node", lambda: self.node() in ("idle", "mixed", "allocated"), self._alive)

    def stop_node(self) -> None:
        """The node dies: its daemon and every job on it, at once."""
        self._end("slurmd", kill=True)
        self.kill_jobs()

    def kill_jobs(self) -> None:
        """The daemons that hold the jobs first, or they would report how these ended."""
        holders = [process for process in _processes() if process.info["name"] == "slurmstepd"]
        for process in holders:
            with contextlib.suppress(psutil.Error):
                process.kill()
        for process in _processes():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SLURM_CLUSTER_NAME") == self.name:
                    process.kill()

    def stop(self) -> None:
        subprocess.run(["scancel", "--quiet", "--user=root"], capture_output=True, timeout=60)
        with contextlib.suppress(AssertionError):
            wait("the queue", lambda: not self.jobs("PD,R,CG,S"), self._alive)
        for name in reversed(list(self.daemons)):
            self._end(name)
        self.kill_jobs()
        for name in ("slurm.conf", "gres.conf"):
            (ETC / name).unlink(missing_ok=True)

    # What tests ask

    def node(self) -> str:
        """The node's state in a word."""
        return _output("sinfo", "--noheader", "--format=%T").rstrip("*~#!%$@^-")

    def jobs(self, states: str = "all") -> list[dict[str, str]]:
        """Every job the controller remembers, oldest first."""
        fields = {"id": "%i", "state": "%T", "comment": "%k", "restarts": "%R", "folder": "%Z"}
        text = _output(
            *("squeue", "--noheader", f"--states={states}", "--sort=i"),
            f"--format={'|'.join(fields.values())}",
        )
        return [dict(zip(fields, line.split("|"), strict=True)) for line in text.splitlines()]

    def show(self, job: str) -> dict[str, str]:
        """What scontrol knows about a job."""
        words = _output("scontrol", "--oneliner", "show", "job", job).split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def command(self, *words: str) -> None:
        subprocess.run(words, check=True, capture_output=True, timeout=PATIENCE)

    # Daemons

    def _launch(self, name: str, *options: str) -> None:
        with open(self.folder / f"{name}.out", "a") as log:
            self.daemons[name] = subprocess.Popen(
                [program(name) or name, *options], stdout=log, stderr=log, start_new_session=True
            )

    def _end(self, name: str, kill: bool = False) -> None:
        daemon = self.daemons.pop(name)
        daemon.kill() if kill else daemon.terminate()
        try:
            daemon.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            daemon.kill()
            daemon.wait()

    def _alive(self) -> str:
        """What a daemon that ended said last, or nothing."""
        for name, daemon in self.daemons.items():
            if daemon.poll() is not None:
                return f"{name}: {(self.folder / f'{name}.out').read_text()[-2000:]}"
        return ""


def wait(
    what: str,
    done: Callable[[], object],
    trouble: Callable[[], str] = str,
    patience: float = PATIENCE,
    pause: float = 0.5,
) -> None:
    """Until `done()`; an AssertionError that names `what`, and `trouble`, when that is in vain."""
    deadline = time.monotonic() + patience
    while not done():
        assert not trouble(), f"waiting for {what}: {trouble()}"
        assert time.monotonic() < deadline, f"waited {patience:.0f} s for {what}"
        time.sleep(pause)


def clear() -> None:
    """End what a start that was itself killed left behind."""
    config = ETC / "slurm.conf"
    if not config.exists():
        return
    folder = re.search(r"^AuthInfo=socket=(.*)/munge.socket$", config.read_text(), re.M)[1]
    for process in _processes():
        with contextlib.suppress(psutil.Error):
            name, files = process.name(), [file.path for file in process.open_files()]
            if name in DAEMONS and any(path.startswith(f"{folder}/") for path in files):
                process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def _processes() -> list[psutil.Process]:
    return list(psutil.process_iter(["name"]))


@contextlib.contextmanager
def running() -> Iterator[Slurm]:
    """A cluster, from its configuration to its last daemon's end; one at a time on a machine."""
    with open(Path(tempfile.gettempdir(), "sedrepro-slurm.lock"), "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield from _running()


def _running() -> Iterator[Slurm]:
    clear()
    folder = Path(tempfile.mkdtemp(prefix="slurm", dir="/tmp"))
    folder.chmod(0o755)
    slurm = Slurm(folder)
    try:
        slurm.configure()
        slurm.start()
        yield slurm
    finally:
        slurm.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _output(*words: str) -> str:
    """A command's output, or nothing while the controller does not answer."""
    done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE)
    return done.stdout.strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    reason = why_not()
    if reason:
        raise SystemExit(reason)
    with running() as slurm:
        print(f"SLURM is up ({slurm.folder}); Ctrl-C ends it")
        with contextlib.suppress(KeyboardInterrupt):
            while True:
                time.sleep(3600)
