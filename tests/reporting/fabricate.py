"""Run folders made of random but plausible numbers, to try reporting without training.

`python tests/reporting/fabricate.py FOLDER [PAPER …]` writes a result set and its report there;
without papers all of them, with every headline row and two seeds.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import h5py
import numpy as np
import soundfile

from sedrepro import papers, settings
from sedrepro.clips import COLUMNS
from sedrepro.metrics.resamples import Draws
from sedrepro.settings import Layout, Plan, Project, Run
from sedrepro.settings.runs import TABLES

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests"))

from written import numbers, rewrite, run_record  # noqa: E402 (this file is also a script)

SECONDS = 10.0
CLIPS = 12
Events = list[tuple[str, str, float, float]]
QUALITY = {"untrained": 0.02, "mt_median7": 0.33, "mt": 0.37, "clc": 0.40, "pgc": 0.38, "lgc": 0.43}
PACKAGES = (
    ("psds1", "psds_eval", 1.0),
    ("psds2", "psds_eval", 1.35),
    ("psds1", "sed_scores_eval", 1.04),
    ("psds2", "sed_scores_eval", 1.4),
    ("intersection_f1", "psds_eval", 1.6),
    ("intersection_f1", "sedrepro (strict)", 1.55),
    ("event_f1", "sed_eval", 0.95),
    ("segment_f1", "sed_eval", 1.5),
    ("weak_f1", "sedrepro", 1.6),
)


MINIATURE = {
    "scale": "mini",
    "data": {"origin": "render"},
    "run": ["lgc_sed"],
    "seeds": [42, 43],
    "papers": {
        "lgc_sed": {
            "rows": ["untrained", "mt_median7", "mt", "clc", "pgc", "lgc"],
            "table": {"mt_median7": {"from": "mt"}},  # so that one paper is enough
        }
    },
}
"""A miniature of one paper with every row selected and two seeds."""


def project_of(**overlay) -> Project:
    """The miniature, or what `overlay` makes of it."""
    return settings.load(
        settings.merge(MINIATURE, overlay), papers=papers.settings_models(), root=ROOT
    )


def layout_of(folder: Path, project: Project) -> Layout:
    return Layout(str(folder / project.data_folder), str(folder / project.result_folder))


def fabricate(folder: Path, project: Project, *, origin: str = "official") -> Layout:
    """Data tables, audio and every selected run of the project's papers under `folder`.

    `origin`: whose the recordings are, as clip tables tell it.
    """
    layout = layout_of(folder, project)
    truths: dict[settings.Subset, Events] = {}
    made: list[tuple[Plan, np.random.Generator]] = []
    for paper in project.selected_papers():
        for index, run in enumerate(settings.runs(project, paper)):
            plan = settings.plan(project, run, papers.settings_models()[paper])
            for held_out in plan.held_out:
                if held_out.subset not in truths:
                    truths[held_out.subset] = _data(
                        layout, held_out.subset, plan.classes, len(truths), origin
                    )
            made.append((plan, np.random.default_rng(index)))
            if plan.kind == "reevaluate" and plan.source not in [one.run for one, _ in made]:
                source = settings.plan(
                    project, plan.source, papers.settings_models()[plan.source.paper]
                )
                made.append((source, np.random.default_rng(index)))
    # A row that decodes another's scores comes after it.
    for plan, rng in sorted(made, key=lambda one: one[0].kind == "reevaluate"):
        _run(project, layout, plan, truths, rng)
    return layout


def _data(
    layout: Layout, home: settings.Subset, classes: list[str], seed: int, origin: str
) -> Events:
    """Clips with one tone per event, and their tables."""
    rng = np.random.default_rng(seed)
    subset = home.name
    audio = Path(layout.raw(home.corpus)) / "audio" / subset
    audio.mkdir(parents=True, exist_ok=True)
    clips, events = [], []
    time = np.arange(int(SECONDS * 16000)) / 16000
    for name in _names(home):
        samples = rng.normal(0, 0.004, len(time))
        for place in range(rng.integers(1, 4)):
            label = int(rng.integers(len(classes)))
            onset = round(float(rng.uniform(0, 3) + 3 * place), 3)
            offset = round(onset + float(rng.uniform(0.3, 2.6)), 3)
            events.append((name, classes[label], onset, offset))
            inside = (time >= onset) & (time < offset)
            for harmonic in (1, 2, 3):
                pitch = 2 * np.pi * (150 + 60 * label) * harmonic
                samples += inside * 0.1 / harmonic * np.sin(pitch * time)
        path = audio / f"{name}.wav"
        soundfile.write(path, samples, 16000)
        clips.append((name, subset, SECONDS, home.portion or "", str(path), "", "", ""))
    _table(layout.table(home, "clips"), COLUMNS, clips)
    columns = ["clip", "label", "onset", "offset", "confidence"]
    _table(layout.table(home, "events"), columns, [(*event, 1.0) for event in events])
    audit = [(subset, CLIPS + 1, CLIPS, "one recording is no longer available", origin)]
    columns = ["subset", "expected", "found", "note", "origin"]
    _table(layout.table(home, "audit"), columns, audit)
    for path in {*layout.truths(home).values()} - {layout.table(home, name) for name in TABLES}:
        _table(path, ["clip"], [])  # of what mixed clips are made
    name = f"{home.corpus}_{subset}"
    status = Path(layout.status(name))
    status.parent.mkdir(parents=True, exist_ok=True)
    state = {"resource": name, "status": "partial", "reason": "1 recording is gone"}
    status.write_text(json.dumps(state | {"files": CLIPS, "bytes": CLIPS * 320044}))
    return events


def whole_data(layout: Layout) -> None:
    """Every expected clip is there after all."""
    for path in Path(layout.results).rglob("metrics.json"):
        content = json.loads(path.read_text())
        for entry in content["metrics"]:
            entry["n_clips"] = entry["n_expected"]
        rewrite(path, content)
    for path in Path(layout.results).rglob("run.json"):
        content = json.loads(path.read_text())
        for audit in content["data"].values():
            audit["found"] = audit["expected"]
        path.write_text(json.dumps(content))


def _names(home: settings.Subset) -> list[str]:
    return [f"{home.name}_{index:02d}" for index in range(CLIPS)]


def _table(path: str, columns: list[str], rows: list[tuple], delimiter: str = "\t") -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as handle:
        writer = csv.writer(handle, delimiter=delimiter, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _run(
    project: Project, layout: Layout, plan: Plan, truths: dict[settings.Subset, Events], rng
) -> None:
    run, classes = plan.run, plan.classes
    held_out = {h.name: h for h in plan.held_out if h.reports}
    events = {name: truths[h.subset] for name, h in held_out.items()}
    folder = Path(layout.run(run))
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(project.papers[run.paper].table)
    rising = 0.25 + 0.2 * rows.index(run.row) / len(rows) if plan.kind == "train" else 0.02
    quality = float(np.clip(QUALITY.get(run.row, rising) + rng.normal(0, 0.012), 0.0, 1))
    epochs = 0 if plan.kind != "train" else 20
    rng.integers(1 << 60)
    if epochs:
        _history(folder, run, epochs, quality, rng)
    columns = columns_of(project, run.paper, classes)
    models = list(dict.fromkeys(model.removesuffix("@last") for _, model, *_ in columns))
    _scores(folder, plan, held_out, events, quality, rng, models)
    _write(
        folder / "run.json",
        run_record(
            plan,
            layout,
            **{
                "code": {
                    "version": "0.1.0",
                    "commit": "0123abc",
                    "dirty": False,
                    "digest": "made-up",
                },
                "packages": {"python": "3.11.2", "torch": "2.11.0", "numpy": "1.26.4"},
                "hardware": {"device": "cpu", "cpu": "a processor", "cores": 2, "gpu": None},
                "data": {
                    "desed/validation.mel128": {
                        "corpus": "desed",
                        "subset": "validation",
                        "note": "",
                        "content_key": "77aa00",
                        "clips": CLIPS,
                        "expected": CLIPS + 1,
                        "found": CLIPS,
                    }
                },
                "cost": {
                    "wall_s": 31.4 if epochs else 2.1,
                    "peak_memory_mb": 812.0,
                    "energy_j": None,
                    "device": "cpu",
                },
                "parameters": {"student": 1112420, "teacher": 1112420},
                "steps": 12 * epochs,
                "selected": {"epoch": 17, "value": 0.51} if epochs else None,
            },
        ),
    )
    measured = metrics_of(classes, events, quality, rng, columns)
    told = numbers(measured, plan, project, layout)
    _write(folder / "metrics.json", told)
    drawn = dict.fromkeys(events, "the same"), dict.fromkeys(events, CLIPS)
    kept = Draws({}, *drawn, key=told["key"])
    shared = np.random.default_rng(7).normal(0, 0.015, 100)
    for entry in measured["metrics"]:
        key = tuple(entry[k] for k in ("set", "model", "metric", "implementation", "label"))
        kept.values[key] = entry["value"] + shared + rng.normal(0, 0.004, 100)
    kept.write(folder / "resamples.npz")


Key = tuple[str, str, str, str, str]


def columns_of(project: Project, paper: str, classes: list[str]) -> list[Key]:
    """What the paper's tables print: set, model, metric, implementation, class."""
    found: dict[Key, None] = {}
    for table in project.papers[paper].tables.values():
        for c in table.columns:
            for label in classes if c.label == "*" else [c.label or ""]:
                found[c.set, c.model, c.metric, c.implementation, label] = None
    return list(found)


def _write(path: Path, value) -> None:
    path.write_text(json.dumps(value))


def _history(folder: Path, run: Run, epochs: int, quality: float, rng) -> None:
    names = ["supervised", "mean_teacher"]
    names += ["clc"] if run.row in ("clc", "lgc") else []
    names += ["pgc"] if run.row in ("pgc", "lgc") else []
    rows, seconds = [], []
    for epoch in range(epochs):
        decay = np.exp(-epoch / 6)
        row = {"epoch": epoch, "step": 12 * (epoch + 1), "rate": 1e-3 * min(1, (epoch + 1) / 5)}
        for place, name in enumerate(names):
            row[f"loss/{name}"] = (0.7 * decay + 0.08) / (1 + 4 * place) * rng.uniform(0.9, 1.1)
            row[f"weight/{name}"] = (
                1 if place == 0 else 2 * np.exp(-5 * (1 - min(1, epoch / 10)) ** 2)
            )
        for model in ("student", "teacher"):
            reached = 1.5 * quality * (1 - decay)
            value = max(0, reached + rng.normal(0, 0.02))
            row[f"select/synth_validation/{model}/intersection_f1"] = row["select"] = value
        rows.append(row)
        seconds.append((epoch, round(1.4 + rng.normal(0, 0.1), 3)))
    _table(folder / "history.csv", list(rows[0]), [tuple(row.values()) for row in rows], ",")
    _table(folder / "timing.csv", ["epoch", "seconds"], seconds, ",")


def _scores(folder: Path, plan: Plan, held_out, events, quality: float, rng, models) -> None:
    classes, hop = plan.classes, plan.grid.seconds
    frames = int(SECONDS / hop)
    with (
        h5py.File(folder / "scores.h5", "w") as scores,
        h5py.File(folder / "examples.h5", "w") as shown,
    ):
        scores.attrs.update(classes=json.dumps(classes), hop=hop, models=json.dumps(models))
        for subset, truth in events.items():
            names = _names(held_out[subset].subset)
            group = scores.create_group(subset)
            group["clips"] = np.array(names, dtype=h5py.string_dtype())
            group["seconds"] = np.full(CLIPS, SECONDS)
            clean = np.zeros((CLIPS, frames, len(classes)))
            for clip, label, onset, offset in truth:
                inside = slice(int(onset / hop), max(int(offset / hop), int(onset / hop) + 1))
                clean[names.index(clip), inside, classes.index(label)] = 1
            for model in models:
                noise = rng.normal(0, 1.2 - quality, clean.shape)
                for _ in range(3):
                    noise = (np.roll(noise, 1, 1) + noise + np.roll(noise, -1, 1)) / 2
                logit = (clean * 2 - 1) * 8 * quality - 1.2 + noise
                frame = 1 / (1 + np.exp(-logit))
                group[f"{model}/frame"] = frame.astype(np.float32)
                group[f"{model}/clip"] = frame.max(1).astype(np.float32)
        first = next(iter(held_out.values()))
        shown.attrs.update(set=first.name, front_end=first.inputs[0], hop=hop)
        shown.attrs["order"] = json.dumps(_names(first.subset)[:4])
        for name in _names(first.subset)[:4]:
            mel = np.abs(np.random.default_rng(1).normal(0.02, 0.01, (64, 313)))
            for clip, label, onset, offset in events[first.name]:
                if clip == name:
                    bands = np.arange(64)[:, None]
                    shape = np.exp(-((bands % 17 - classes.index(label) % 17) ** 2) / 8)
                    mel[:, int(onset * 31.25) : int(offset * 31.25)] += 3 * shape
            shown[f"{name}/input"] = mel.astype(np.float16)


def metrics_of(classes, events, quality: float, rng, columns: Sequence[Key] = ()) -> dict:
    """DESED's metrics of every set and model, and whatever else `columns` ask for."""
    metrics, curves = [], {}
    desed = not columns or any(metric == "psds1" for _, _, metric, *_ in columns)
    for subset in events if desed else ():
        for model in ("student", "teacher", "student@last", "teacher@last"):
            for metric, implementation, factor in PACKAGES:
                value = quality * factor * (0.96 if "student" in model else 1)
                metrics.append(_entry(metric, implementation, subset, model, "", value))
            for label in classes:
                value = float(np.clip(quality * rng.uniform(0.5, 1.6), 0, 1))
                metrics.append(_entry("event_f1", "sed_eval", subset, model, label, value))
            efpr = np.linspace(0, 100, 60)
            curves.setdefault(subset, {})[model] = {
                metric: {"efpr": list(efpr), "etpr": list(quality * k * (1 - np.exp(-efpr / 15)))}
                for metric, k in (("psds1", 1.2), ("psds2", 1.7))
            }
    keys = ("set", "model", "metric", "implementation", "label")
    have = {tuple(entry[key] for key in keys) for entry in metrics}
    for subset, model, metric, implementation, label in columns:
        if (subset, model, metric, implementation, label) not in have and subset in events:
            value = float(np.clip(quality * (rng.uniform(0.5, 1.6) if label else 1.7), 0, 1))
            metrics.append(_entry(metric, implementation, subset, model, label, value))
    return {"status": "done", "reason": "", "metrics": metrics, "curves": curves}


def _entry(metric, implementation, subset, model, label, value) -> dict:
    return {
        "metric": metric,
        "implementation": implementation,
        "set": subset,
        "model": model,
        "label": label,
        "value": value,
        "ci_low": value - 0.03,
        "ci_high": value + 0.03,
        "n_clips": CLIPS,
        "n_expected": CLIPS + 1,
    }


def everything(*chosen: str) -> Project:
    """Every headline row of the papers (all there are), two seeds."""
    return project_of(
        run=list(chosen or papers.PAPERS),
        papers={paper: {"rows": "headline"} for paper in papers.PAPERS},
    )


def report(project: Project, layout: Layout) -> Path:
    """Tables, figures and the page of what was made up."""
    from sedrepro.reporting import draw, publish, tabulate

    for paper in project.selected_papers():
        tabulate(project, paper, layout, root=ROOT)
        draw(project, paper, layout)
    return publish(project, layout, root=ROOT)


if __name__ == "__main__":
    made = everything(*sys.argv[2:])
    print(report(made, fabricate(Path(sys.argv[1]), made)))
