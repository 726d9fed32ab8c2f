"""A working folder with a checkout, recordings of one's own, and jobs that take milliseconds."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import random
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import soundfile
import yaml

from sedrepro import papers, settings
from sedrepro.pipeline.flow import Flow
from sedrepro.reporting import render
from sedrepro.settings import Layout, Plan, Project, Run
from sedrepro.settings.classes import DESED_CLASSES
from sedrepro.sources import desed

from . import stubs

ROOT = Path(__file__).resolve().parents[2]
PAPER = "lgc_sed"
SUBSETS = ("weak", "unlabelled", "synth_train", "synth_validation", "validation", "public_eval")
CLIPS = 2
RATE = 16000
SAMPLES = 24000
HEARD = 1.0
"""Seconds of a clip that a front end hears; a clip is longer."""
LATE = 1.4
"""Where an event ends of which not all is heard."""

SHAPE: dict[str, Any] = {
    "run": [PAPER],
    "name": "life",
    "front_ends": {"mel128": {"seconds": HEARD, "n_mels": 4, "n_fft": 64, "hop": 4000}},
    "report": {"bootstrap": 20, "confidence": 0.95, "examples": 1},
}
PAPER_SETTINGS: dict[str, Any] = {
    "title": "A paper",
    "authors": "nobody",
    "venue": "nowhere",
    "url": "https://example.org",
    "status": "made up",
    "corpora": ["desed"],
    "conditions": {"desed": {}},
    "headline": ["mt", "lgc", "again"],
    "settings": {
        "network": {"filters": [2, 2], "pooling": [[1, 2], [1, 2]]},
        "decoding": {"median": 7},
        "training": {"epochs": 3},
    },
    "table": {
        "mt": {"label": "Mean teacher"},
        "lgc": {"label": "LGC", "from": "mt"},
        "again": {"label": "Again", "kind": "reevaluate", "from": "mt"},
        "clc": {"label": "CLC", "settings": {"pgc": {"use": False}}},
    },
    "tables": {
        "main": {
            "caption": "A table",
            "columns": [
                {
                    "set": subset,
                    "model": "teacher",
                    "metric": "psds1",
                    "implementation": "psds_eval",
                    "heading": subset,
                }
                for subset in ("validation", "public_eval")
            ],
        }
    },
    "figures": {},
}
PUBLISHED = (
    "table,row,condition,set,model,metric,implementation,"
    "published,published_std,source,status\n"
    "main,mt,desed,validation,teacher,psds1,psds_eval,{},,a paper,\n"
)


def lay_checkout(folder: Path, published: str) -> None:
    """A checkout's configuration with one small paper."""
    home = folder / "config" / "papers" / PAPER
    home.mkdir(parents=True, exist_ok=True)
    (folder / "config" / "config.yaml").write_text("{}\n")
    shutil.copyfile(ROOT / "config" / "datasets.yaml", folder / "config" / "datasets.yaml")
    (home / "paper.yaml").write_text(yaml.safe_dump(PAPER_SETTINGS, sort_keys=False))
    (home / "published.csv").write_text(PUBLISHED.format(published))


def lay_recordings(root: Path, audio: int, labels: int, dated: float) -> None:
    """A tree of one's own: recordings of one version under labels of another, with one date."""
    for subset in SUBSETS:
        place = desed.PLACES[subset]
        folder, table = root / place.audio, root / place.table
        folder.mkdir(parents=True, exist_ok=True)
        table.parent.mkdir(parents=True, exist_ok=True)
        lines = [_head(place.labels)]
        for index in range(CLIPS):
            name = f"{subset}_{index}.wav"
            draw = np.random.default_rng([audio, index, *subset.encode()])
            soundfile.write(folder / name, draw.normal(0, 0.1, SAMPLES), RATE, subtype="PCM_16")
            offset = LATE if labels and not index else 0.02
            lines.append(_line(place.labels, name, DESED_CLASSES[(labels + index) % 10], offset))
            os.utime(folder / name, (dated, dated))
        table.write_text("\n".join(lines) + "\n")
        os.utime(table, (dated, dated))
    os.utime(root, (dated, dated))


def _head(labels: str) -> str:
    heads = {"strong": "filename\tonset\toffset\tevent_label", "weak": "filename\tevent_labels"}
    return heads.get(labels, "filename")


def _line(labels: str, name: str, label: str, offset: float) -> str:
    lines = {"strong": f"{name}\t0.0\t{offset}\t{label}", "weak": f"{name}\t{label}"}
    return lines.get(labels, name)


FIRST: dict[str, Any] = {
    "median": 7,
    "epochs": 3,
    "confidence": 0.95,
    "bootstrap": 20,
    "caption": "A table",
    "seeds": (42,),
    "rows": ("mt", "lgc", "again"),
    "split": 0.9,
    "published": "0.4",
}
"""What is set when a life begins."""
CHOSEN = ("median", "epochs", "confidence", "bootstrap", "caption", "seeds", "rows", "split")
"""What of it the user's file of settings says."""


class World:
    """Everything a result set lives in: settings, checkout, recordings, working folder."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.checkout = base / "checkout"
        self.own = base / "own"
        self.tree = base / "tree0"
        self.tree.mkdir(parents=True)
        self.now = 1_000_000_000
        self.copies = 0
        self.set: dict[str, Any] = dict(FIRST)
        lay_checkout(self.checkout, FIRST["published"])
        self.swap(0, 0)

    def again(self) -> World:
        """Another result set that begins as this one is now."""
        other = World.__new__(World)
        other.__dict__.update(self.__dict__)
        other.set = dict(self.set)
        other.tree = self.base / "life"
        shutil.rmtree(other.tree, ignore_errors=True)
        for path in self.base.glob("copy*"):
            shutil.rmtree(path)
        copy_tree(self.tree, other.tree, dates=True)
        stubs.forget_files()
        other.choose("published", self.set["published"])
        other.swap(self.set["audio"], self.set["labels"], self.dated)
        return other

    # Settings and data

    def later(self) -> int:
        """The next moment. Real dates are as coarse as the kernel's clock: jobs of milliseconds
        would share one."""
        self.now += 10
        return self.now

    def choose(self, name: str, value: Any) -> None:
        self.set[name] = value
        if name == "published":
            path = self.checkout / "config" / "papers" / PAPER / "published.csv"
            path.write_text(PUBLISHED.format(value))
            os.utime(path, (self.later(), self.now))

    def swap(self, audio: int, labels: int, dated: float | None = None) -> None:
        """Put these recordings and labels under `local`."""
        self.set |= {"audio": audio, "labels": labels}
        self.dated = self.later() if dated is None else dated
        laid = (self.own, audio, labels, self.dated)
        if stubs.under_local != laid:
            shutil.rmtree(self.own, ignore_errors=True)
            lay_recordings(self.own, audio, labels, self.dated)
            stubs.under_local = laid

    @property
    def project(self) -> Project:
        return project_of(self.own, self.checkout, self._chosen)

    @property
    def flow(self) -> Flow:
        return flow_of(self.own, self.checkout, self._chosen)

    @property
    def _chosen(self) -> tuple[Any, ...]:
        """What the file of settings says; published cells and recordings lie elsewhere."""
        return tuple(self.set[name] for name in CHOSEN)

    @property
    def layout(self) -> Layout:
        return Layout.of(self.project)

    @property
    def data(self) -> stubs.Data:
        """The data as the project's adapter describes them today."""
        return _data(*self._today, self.checkout)

    def plan(self, run: Run) -> Plan:
        return settings.plan(self.project, run, papers.settings_models()[PAPER])

    def runs(self) -> list[Run]:
        return settings.runs(self.project, PAPER)

    # What a clean run gives

    def value(self, run: Run) -> dict[tuple[str, str], float]:
        """Set and model → the value of a run, computed without files."""
        plan = self.plan(run)
        memo = (self._today, id(plan))
        if memo not in _VALUES:
            scored = self.plan(plan.scored)
            network = self.network(scored)
            _VALUES[memo] = (plan, stubs.values_of(plan, scored, self.data, network))
        return _VALUES[memo][1]

    @property
    def _today(self) -> tuple[str, int, int, float]:
        return (str(self.own), self.set["audio"], self.set["labels"], self.set["split"])

    def cut(self, name: str) -> int:
        """How many events of a set go on after what is heard of their clips."""
        memo = (self._today, name)
        if memo not in _CUTS:
            _CUTS[memo] = int((self.data.events[name]["offset"] > HEARD).sum())
        return _CUTS[memo]

    def network(self, plan: Plan) -> bytes:
        source = b"" if plan.source is None else self.network(self.plan(plan.source))
        memo = (self._today, stubs.mix(plan.describe_training()), source)
        if memo not in _NETWORKS:
            _NETWORKS[memo] = stubs.network_of(plan, self.data, source)
        return _NETWORKS[memo]

    # The working folder

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        with contextlib.chdir(self.tree):
            yield

    def files(self) -> list[Path]:
        """Every file of the working folder but what Snakemake keeps."""
        kept = f"{self.tree}/.snakemake/"
        return sorted(Path(one.path) for one in below(self.tree) if not one.path.startswith(kept))

    def stamp(self) -> tuple[Any, ...]:
        """What is another when anything was written, dated, exchanged or chosen."""
        found = []
        for one in below(self.tree):
            there = one.stat()
            found.append((one.path, there.st_ino, there.st_ctime_ns))
        return dict(self.set), self.dated, sorted(found)

    def settle(self) -> None:
        """Date whatever was written just now as of this moment."""
        moment = self.later()
        for one in below(self.tree):
            if one.stat().st_mtime > self.now + 1000:
                os.utime(one.path, (moment, moment))

    def report(self) -> None:
        with self.inside(), contextlib.redirect_stdout(None):
            render(self.project, root=self.checkout)
        self.settle()

    def copy(self, *, dates: bool, links: bool, records: bool, draw: int) -> None:
        """Go on in a copy of the working folder."""
        self.copies += 1
        target = self.base / f"copy{self.copies}"
        begun = None if dates else self.now
        self.now += 1000
        copy_tree(
            self.tree, target, dates=dates, links=links, records=records, draw=draw, now=begun
        )
        shutil.rmtree(self.tree)
        self.tree = target
        stubs.forget_files()

    def clean(self) -> World:
        """Another working folder under the same settings and data, in which nothing was done."""
        other = object.__new__(World)
        other.__dict__.update(self.__dict__)
        other.tree = self.base / "clean"
        shutil.rmtree(other.tree, ignore_errors=True)
        other.tree.mkdir()
        return other


def below(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    """Every file in a folder and in the folders in it."""
    with os.scandir(folder) as found:
        entries = list(found)
    for entry in entries:
        if entry.is_dir():
            yield from below(entry.path)
        else:
            yield entry


def copy_tree(
    source: Path,
    target: Path,
    *,
    dates: bool,
    links: bool = True,
    records: bool = True,
    draw: int = 0,
    now: int | None = None,
) -> None:
    """Copy a working folder: with its dates or in a moment, with or without hard links and what
    Snakemake knows of it."""
    made: dict[int, Path] = {}
    rng = random.Random(draw)
    for place, _, names in os.walk(source):
        if place.endswith(".snakemake") and not records:
            continue
        folder = target / Path(place).relative_to(source)
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            path, copied = Path(place, name), folder / name
            there = path.stat()
            if links and there.st_ino in made:
                os.link(made[there.st_ino], copied)
                continue
            shutil.copyfile(path, copied)
            made[there.st_ino] = copied
            date = there.st_mtime if dates else now + rng.randrange(1000)
            os.utime(copied, (date, date))


_VALUES: dict[Any, tuple[Plan, dict[tuple[str, str], float]]] = {}
"""With the plan, so that no other gets its id."""
_NETWORKS: dict[Any, bytes] = {}
_CUTS: dict[Any, int] = {}


def overlay_of(own: Path, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What a user's own file of settings says."""
    median = chosen["median"]
    if median == "by class":
        median = dict.fromkeys(DESED_CLASSES, 3) | {DESED_CLASSES[0]: 9}
    paper = {
        "rows": list(chosen["rows"]),
        "settings": {
            "decoding": {"median": median},
            "training": {"epochs": chosen["epochs"]},
        },
        "tables": {"main": {"caption": chosen["caption"]}},
    }
    told = {
        "data": {"desed": _desed(own, chosen["split"])},
        "seeds": list(chosen["seeds"]),
        "report": {"confidence": chosen["confidence"], "bootstrap": chosen["bootstrap"]},
        "papers": {PAPER: paper},
    }
    return settings.merge(SHAPE, told)


@functools.lru_cache(4096)
def project_of(own: Path, checkout: Path, chosen: tuple[Any, ...]) -> Project:
    overlay = overlay_of(own, dict(zip(CHOSEN, chosen, strict=True)))
    return settings.load(overlay, papers={PAPER: papers.settings_models()[PAPER]}, root=checkout)


@functools.lru_cache(4096)
def flow_of(own: Path, checkout: Path, chosen: tuple[Any, ...]) -> Flow:
    return Flow(project_of(own, checkout, chosen), checkout)


def _desed(own: str | Path, split: float) -> dict[str, Any]:
    return {"local": str(own), "weak_split": {"fraction": split}}


@functools.lru_cache(64)
def _data(own: str, audio: int, labels: int, split: float, checkout: Path) -> stubs.Data:
    project = Project.model_validate({"data": {"desed": _desed(own, split)}})
    found = {subset: desed.adapt(subset, project) for subset in SUBSETS}
    return stubs.Data(
        {name: clips for name, (clips, _, _) in found.items()},
        {name: events for name, (_, events, _) in found.items()},
    )


# Jobs, as the project's own scripts


@functools.cache
def script(name: str) -> Any:
    path = ROOT / "workflow" / "scripts" / f"{name}.py"
    return compile(path.read_text(), str(path), "exec")


class Outputs(list):
    """A job's outputs, by place and by name."""


def carry_out(job: Any, checkout: Path) -> None:
    """Run a job's script as Snakemake does; a failed one raises SystemExit."""
    outputs = Outputs(job.outputs)
    for name, path in job.names.items():
        setattr(outputs, name, path)
    for path in job.outputs:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    told = SimpleNamespace(
        input=SimpleNamespace(statuses=[], own=list(job.own)),
        output=outputs,
        params=SimpleNamespace(task=job.task),
        log=[job.log],
        resources={},
        threads=1,
        scriptdir=str(checkout / "workflow" / "scripts"),
    )
    exec(script(job.script), {"snakemake": told, "__name__": "__main__"})


def content(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=16).hexdigest()
