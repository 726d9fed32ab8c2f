"""`sedrepro doctor`: the minutes before the days. Is everything there that the plan needs?

Every check is one line that says what was found and, where something is wrong, what to do. All
checks run at the same time, and each has a limit: whatever does not answer is a line too.
"""

from __future__ import annotations

import email.utils
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .. import __version__, locks
from ..errors import SedreproError
from ..pipeline import downloads
from ..pipeline.text import size
from ..settings import Layout, Project
from ..settings.data import Fetch
from ..sources import policies, registry, ytdlp
from ..sources.policies import Policy
from ..sources.registry import Registry
from ..sources.session import DRIVE, HOSTS, Session

if TYPE_CHECKING:
    import torch

PATIENCE = 8.0
"""Seconds a host may take to answer."""
LIMITS = {"device": 180.0, "": 40.0}
"""Seconds after which a check is given up; importing torch takes its time."""
OLD = 90
"""Days after which YouTube has probably outrun a yt-dlp."""
SKEW = 300.0
"""Seconds by which our clock may differ from a host's."""
WRITABLE = "make the folder writable, or set data.folder to one that is"
USABLE = "update the driver, look whether others use it (nvidia-smi), or set device: cpu"
REPORTED = "mend what it names; if that is nothing of yours, report it"
SILENT = {
    "device": USABLE,
    "disk": "a network disk may hang: look at it, or set data.folder to another",
    "yt-dlp": "try `python -m yt_dlp --version` yourself; its disk may hang",
    "conda": "try `conda --version` yourself; its disk may hang",
    "": "look at the network and its proxy (HTTPS_PROXY); try again",
}
"""What to do about a check that does not end."""
SAMPLE = "jNQXAC9IVRw"
"""The first video of YouTube, 19 seconds long and there since 2005."""


State = Literal["fine", "note", "wrong"]


@dataclass(frozen=True)
class Line:
    """What one check found; `wrong` makes the whole command fail, `note` does not."""

    what: str
    state: State
    found: str
    do: str = ""

    def __str__(self) -> str:
        remedy = f"; {self.do}" if self.do else ""
        return f"{self.state:<5}  {self.what}: {self.found}{remedy}"


Check = Callable[[], Line]


@dataclass
class Doctor:
    """The checks that are needed for what is still to be fetched and trained here."""

    project: Project
    known: Registry
    conda: bool = False
    models: downloads.Models = field(default_factory=dict)
    """The papers' settings; without them everything in the registry is thought to be needed."""
    needed: list[str] = field(default_factory=list)
    """Resources that are to come."""
    _times: list[float] = field(default_factory=list)
    """How far each host's clock is ahead of ours."""

    def __post_init__(self) -> None:
        project, layout = self.project, Layout.of(self.project)
        if project.data.origin == "download":
            self.needed = [
                name
                for name in downloads.needs(project, self.models, self.known)
                if not Path(layout.status(name)).exists()
                and not registry.local(project.data, self.known[name].corpus)
            ]
        folder = Path(project.data_folder) / "downloads" / HOSTS
        self.session = Session(project.data.fetch, folder)

    def lines(self) -> list[Line]:
        """What all checks found, in their order."""
        checks: dict[str, Check] = {}
        for (host, vital), address in self.addresses().items():
            checks[host] = partial(self.host, address, vital)
        if any(self.known[name].clips for name in self.needed):
            checks |= {"yt-dlp": self.yt_dlp, "YouTube": self.youtube}
        if self.needed:
            checks["contact"] = self.contact
        if self.project.data.desed.synthetic == "mix":
            checks["sox"] = self.sox
        if self.conda:
            checks["conda"] = self.conda_program
        checks |= {"device": self.device, "disk": self.disk}
        return [*run_all(checks), self.clock()]

    # Hosts

    def addresses(self) -> dict[tuple[str, bool], str]:
        """Per host its smallest file that is to come; and whether it is the first to be asked."""
        found: dict[tuple[str, bool], tuple[float, str]] = {}

        def add(url: str, vital: bool, amount: float) -> None:
            host = policies.host_of(url)
            if not vital and (host, True) in found:
                return
            if vital:
                found.pop((host, False), None)
            if amount < found.get((host, vital), (float("inf"), ""))[0]:
                found[host, vital] = (amount, url)

        mirrors = self.project.data.fetch.mirrors
        for name in self.needed:
            resource = self.known[name]
            for file in resource.files:
                amount = file.bytes or file.about or 0
                for rank, url in enumerate(file.asked(mirrors)):
                    add(url, rank == 0, amount)
        return {key: url for key, (_, url) in found.items()}

    def host(self, url: str, vital: bool) -> Line:
        """Ask a host for the first byte of a file."""
        host = policies.host_of(url)
        policy = policies.of(host)
        bad: State = "wrong" if vital else "note"
        address = url.replace(registry.DRIVE_PAGE, DRIVE)
        if left := self.session.gate(host).wall(address).left():
            return Line(host, bad, "it refused a fetch and is left alone", _later(left))
        request = self.session.request(url)
        request.add_header("Range", "bytes=0-0")
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                answer.read(1)
                self._note_time(answer.headers.get("Date"))
                return Line(host, "fine", f"it gives {url.rpartition('/')[2].partition('?')[0]}")
        except urllib.error.HTTPError as error:
            self._note_time(error.headers.get("Date"))
            return Line(host, bad, f"HTTP {error.code} for {url}", _meaning(error.code, policy))
        except OSError as error:
            why = getattr(error, "reason", None) or error
            return Line(host, bad, f"unreachable ({why})", _unreachable(vital))

    def _note_time(self, told: str | None) -> None:
        try:
            moment = email.utils.parsedate_to_datetime(told or "").timestamp()
        except ValueError:
            return
        self._times.append(moment - time.time())

    def contact(self) -> Line:
        """What hosts are told of who asks."""
        told = self.project.data.fetch.contact
        if told == Fetch().contact:
            remedy = "a page or an address of your own is better (data.fetch.contact)"
            return Line("contact", "note", f"hosts are told {told}", remedy)
        return Line("contact", "fine", f"hosts are told {told}")

    def yt_dlp(self) -> Line:
        """The program that talks to YouTube, and the JavaScript runtime it needs."""
        settings = self.project.data.fetch
        interpreter = str(Path(settings.yt_dlp or sys.executable).expanduser())
        version = _said([interpreter, "-m", "yt_dlp", "--version"])
        if not version:
            remedy = "install it, or name another installation's Python in data.fetch.yt_dlp"
            return Line("yt-dlp", "wrong", f"{interpreter} has none", remedy)
        deno = ytdlp.runtime(Path(interpreter).parent)
        if deno is None or not (ran := _said([deno, "--version"])):
            remedy = "`make` installs one; without it YouTube keeps many videos from yt-dlp"
            return Line("yt-dlp", "wrong", f"{version} without a JavaScript runtime (deno)", remedy)
        found = f"{version} with {ran}"
        if (days := _age(version)) > OLD:
            remedy = "if YouTube has outrun it, name a newer one's Python in data.fetch.yt_dlp"
            return Line("yt-dlp", "note", f"{found}, {days} days old", remedy)
        return Line("yt-dlp", "fine", found)

    def youtube(self) -> Line:
        """Ask YouTube for one short video, as a fetch does."""
        if left := self.session.gate(ytdlp.HOST).wall().left():
            return Line("YouTube", "note", "it refused a fetch and is left alone", _later(left))
        try:
            lock = locks.take(self.session.folder / f"{ytdlp.HOST}.0")
        except OSError as error:
            return Line("YouTube", "wrong", f"not asked: {error}", WRITABLE)
        if lock is None:
            return Line("YouTube", "fine", "not asked: a fetch is asking it just now")
        with lock, tempfile.TemporaryDirectory(prefix="sedrepro-doctor-") as folder:
            settings = self.project.data.fetch.model_copy(update={"timeout": PATIENCE})
            asked = ytdlp.player(settings, say=lambda _: None)
            try:
                asked.fetch(SAMPLE, Path(folder))
            except LookupError as error:
                said = " ".join(str(error).split())[:160]
                return _youtube_said(ytdlp.classify(str(error), asked.scripted), said)
        return Line("YouTube", "fine", "it gives a video's sound")

    # This machine

    def sox(self) -> Line:
        if found := shutil.which("sox"):
            return Line("sox", "fine", found)
        remedy = "`sudo apt-get install sox` or `conda install -c conda-forge sox`"
        return Line("sox", "wrong", "not there, and soundscapes are mixed with it", remedy)

    def conda_program(self) -> Line:
        for name in ("conda", "mamba"):
            if (path := shutil.which(name)) and (version := _said([path, "--version"])):
                return Line("conda", "fine", version)
        remedy = "install Miniforge, or leave out --use-conda"
        return Line("conda", "wrong", "not there", remedy)

    def device(self) -> Line:
        """One training step where runs would train."""
        asked = self.project.device
        try:
            import torch

            from ..inference.devices import choose

            gpus = 0 if asked == "cpu" or (asked == "auto" and not torch.cuda.is_available()) else 1
            device = choose(asked, gpus)
            loss = _step(device)
        except ModuleNotFoundError:
            return Line("device", "note", "not tried: torch is not in this environment")
        except (SedreproError, RuntimeError) as error:
            return Line("device", "wrong", str(error).splitlines()[0], USABLE)
        if loss != loss:
            return Line("device", "wrong", f"a training step on {device} gives no number", USABLE)
        if device.type == "cpu":
            remedy = "full-size rows take days there; see `sedrepro plan --long`"
            return Line(
                "device", "note", "a training step works on the CPU, no GPU is used", remedy
            )
        name = torch.cuda.get_device_name(device)
        return Line("device", "fine", f"a training step works on {name}")

    def disk(self) -> Line:
        """Leave to write, and room for what is to come: archives, and as much again unpacked."""
        folder = Path(self.project.data_folder)
        while not folder.exists():
            folder = folder.parent
        try:
            with tempfile.TemporaryFile(dir=folder) as trial:
                trial.write(b"x")
        except OSError as error:
            said = f"nothing can be written into {folder} ({error.strerror})"
            return Line("disk", "wrong", said, WRITABLE)
        found = downloads.plan(self.project, self.models, self.known)
        left = [item for item in found.items if not item.there]
        wanted = sum((2 - (item.count > 1)) * (item.bytes or item.about or 0) for item in left)
        free = shutil.disk_usage(folder).free
        text = f"{size(free)} free, about {size(wanted)} planned for the data"
        if free < wanted:
            return Line("disk", "wrong", text, "make room, or set data.folder to a larger disk")
        return Line("disk", "fine", text)

    def clock(self) -> Line:
        """Compare our clock with the hosts': waits and dates of files depend on it."""
        now = time.strftime("%Y-%m-%d %H:%M %Z")
        if not self._times:
            return Line("clock", "note", f"{now}; no host told the time, so it was not compared")
        off = min(self._times, key=abs)
        if abs(off) > SKEW:
            return Line("clock", "wrong", f"{now}, off by {abs(off) / 60:.0f} min", "set it right")
        return Line("clock", "fine", now)


def text(lines: list[Line]) -> str:
    """What to read, and to paste into a bug report."""
    head = f"sedrepro {__version__}, Python {platform.python_version()}, {platform.platform()}"
    wrong = sum(line.state == "wrong" for line in lines)
    end = f"{wrong} of {len(lines)} checks failed" if wrong else "ready"
    return "\n".join([head, *map(str, lines), end])


def run_all(checks: dict[str, Check]) -> list[Line]:
    """Run all checks at the same time; one that does not end in time is a line as well."""
    found: dict[str, Line] = {}

    def run(name: str, check: Check) -> None:
        try:
            found[name] = check()
        except (SedreproError, OSError) as error:
            found[name] = Line(name, "wrong", f"the check itself failed: {error}", REPORTED)
        except Exception as error:  # whatever it is, it must not look like a host that is silent
            said = f"the check itself failed: {type(error).__name__}: {error}"
            found[name] = Line(name, "wrong", " ".join(said.split()), REPORTED)

    threads = {
        name: threading.Thread(target=run, args=(name, check), daemon=True)
        for name, check in checks.items()
    }
    for thread in threads.values():
        thread.start()
    begun = time.monotonic()
    lines = []
    for name, thread in threads.items():
        limit = LIMITS.get(name, LIMITS[""])
        thread.join(max(0.0, begun + limit - time.monotonic()))
        remedy = SILENT.get(name, SILENT[""])
        silent = Line(name, "wrong", f"no answer within {limit:g} s", remedy)
        lines.append(found.get(name, silent))
    return lines


def _step(device: torch.device) -> float:
    """The loss after one update of a small network."""
    import torch

    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten()]
    network = torch.nn.Sequential(*layers, torch.nn.Linear(8 * 16 * 16, 4)).to(device)
    optimiser = torch.optim.Adam(network.parameters())
    inputs, targets = torch.randn(4, 1, 16, 16, device=device), torch.zeros(4, 4, device=device)
    for _ in range(2):
        loss = torch.nn.functional.mse_loss(network(inputs), targets)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return float(loss.detach())


def _said(command: list[str]) -> str:
    """The first line a program says, or nothing where it does not run."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip().partition("\n")[0] if done.returncode == 0 else ""


def _age(version: str) -> int:
    """Days since a version that is a date."""
    try:
        year, month, day = (int(part) for part in version.split(".")[:3])
        return (date.today() - date(year, month, day)).days
    except ValueError:
        return 0


def _later(seconds: float) -> str:
    return f"ask again after {time.strftime('%d %b %H:%M', time.localtime(time.time() + seconds))}"


def _meaning(code: int, policy: Policy) -> str:
    """What to do about an answer that is no file."""
    if code in policy.gone:
        return "it is no longer there; look for a newer sedrepro, or place the file by hand"
    if code in policy.refused:
        return "it refuses this machine or its address for now; try later or from another network"
    return "a trouble of the moment; try later"


def _unreachable(vital: bool) -> str:
    if not vital:
        return "what it has can be had elsewhere too"
    return (
        "mend the network or its proxy, or fetch elsewhere and set data.<corpus>.local; if it "
        "stays closed, set data.fetch.unreachable: absent"
    )


def _youtube_said(state: str, said: str) -> Line:
    if state == "offline":
        return Line("YouTube", "wrong", f"unreachable ({said})", _unreachable(True))
    if state == "refused":
        remedy = "wait an hour, try another network, or give an account (data.fetch.cookies)"
        return Line("YouTube", "wrong", f"it refuses this machine ({said})", remedy)
    if state in ("client", "unknown"):
        remedy = "name a newer yt-dlp's Python in data.fetch.yt_dlp"
        return Line("YouTube", "wrong", f"it gives yt-dlp nothing ({said})", remedy)
    return Line("YouTube", "fine", f"it answers, of one video: {said}")
