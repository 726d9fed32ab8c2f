"""One run: read its scores and the truth, let each family measure, collect metrics.json."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .. import chain, progress, tables
from ..clips import read_clips
from ..errors import SedreproError
from ..files import digest, file_digest, write_json
from ..kept import Kept
from ..metrics.boxes import Tuned
from ..metrics.resamples import Draws
from ..settings import HeldOut, Layout, Plan, Project, Run, Subset, declared
from ..settings.project import Report
from ..training.state import home_of_numbers
from . import sed, taken
from .measures import Measures, Scored, Truth
from .units import units


def write(
    plan: Plan, project: Project, layout: Layout, metrics: str | Path, resamples: str | Path
) -> None:
    """metrics.json, and beside it what every resample gave; made, or published again."""
    link = metrics_link(plan, project, layout)

    def make() -> None:
        draws = Draws(key=link["key"])
        found = evaluate(plan, project, layout, draws)
        draws.write(resamples)
        contents = {"content": digest(found), "resamples": file_digest(resamples)}
        write_json(metrics, {**link, **contents, **found})

    home = home_of_numbers(Path(metrics).parent)
    Kept(home, [metrics, resamples]).or_make(link["key"], make)


def metrics_link(plan: Plan, project: Project, layout: Layout) -> dict[str, Any]:
    """The run's numbers in the chain of keys: its scores, the truth, and how they are measured."""
    scored = plan.scored
    described = _described(scored, layout)
    if why := chain.other_schema("run", described):
        raise SedreproError(
            f"{layout.run(scored, 'run.json')}: {why}; `sedrepro forget {scored}`, then start again"
        )
    for subset in dict.fromkeys(Subset(truth.corpus, truth.name) for truth in plan.truths):
        chain.refuse_changed(layout.tables_key(subset), "tables")
    told = plan.describe_measuring(project.report)
    parents = {
        "run": {"key": described["key"], "scores": described["content"]["scores.h5"]},
        "truth": layout.digests(plan.truths),
    }
    return chain.link("metrics", told, parents) | {"settings": told}


def evaluate(
    plan: Plan, project: Project, layout: Layout, draws: Draws | None = None
) -> dict[str, Any]:
    """What is measured: every reported set, every model, every metric.

    A row that re-evaluates reads its source's scores and decodes them with its own settings.
    `draws` takes what every resample gives.
    """
    draws = Draws() if draws is None else draws
    run = plan.scored
    reason = why_not_run(run, layout)
    if reason is not None:
        reason = reason if run == plan.run else f"{run}: {reason}"
        return {"status": "not_run", "reason": reason, "metrics": [], "curves": {}}
    metrics: list[dict[str, Any]] = []
    curves: dict[str, Any] = {}
    tuned: dict[str, Any] = {}
    pairs = itertools.count()
    for held_out, truth, scores in read(plan, layout):
        curves[held_out.name] = {}
        draws.clips[held_out.name] = digest([truth.clips, truth.units])
        draws.units[held_out.name] = truth.n_units
        for scored in scores:
            progress.current().note(next(pairs))
            found = measure(scored, truth, held_out, plan, project.report)
            metrics += found.entries(scored.set, scored.model, truth)
            draws.values |= found.resampled(scored.set, scored.model)
            if found.curves:
                curves[held_out.name][scored.model] = found.curves
            if scored.tuned:
                tuned[scored.model] = _described_boxes(truth.classes, scored.tuned)
    made = {"status": "done", "reason": "", "metrics": metrics, "curves": curves}
    return made | ({"tuned": tuned} if tuned else {})


def _described_boxes(classes: Sequence[str], tuned: Sequence[Tuned]) -> dict[str, Any]:
    """The values that were chosen for each class, and its PSDS 1 where they were."""
    return {
        label: one.shape._asdict() | {"psds1": one.psds1}
        for label, one in zip(classes, tuned, strict=True)
    }


def read(plan: Plan, layout: Layout) -> Iterator[tuple[HeldOut, Truth, Iterator[Scored]]]:
    """Every reported set that was scored: what is true of its clips, and each model's scores."""
    run = plan.scored
    with _open(run, layout) as file:
        models = json.loads(file.attrs.get("models", "[null]"))
        progress.current().expect(len(plan.reported) * len(models), "pairs of a set and a model")
        tuned = _tuned(file, plan, layout)
        for held_out in plan.reported:
            if _absent(file, held_out, layout):
                continue
            if plan.brings_truth:
                yield held_out, *taken.read(file, held_out, plan)
                continue
            truth, scores = read_set(file, held_out, plan, layout)
            yield held_out, truth, (replace(one, tuned=tuned.get(one.model, ())) for one in scores)


def _tuned(file: h5py.File, plan: Plan, layout: Layout) -> dict[str, list[Tuned]]:
    """How each model's scores become boxes, chosen on a set that no numbers are reported of."""
    if plan.tuned_on is None:
        return {}
    truth, scores = read_set(file, plan.tuned_on, plan, layout)
    found = {}
    for scored in scores:
        progress.current()(0.0, f"boxes of {scored.model}, on {plan.tuned_on.name}")
        found[scored.model] = sed.tuned(scored, truth, plan.settings.decoding)
    return found


def read_set(
    file: h5py.File, held_out: HeldOut, plan: Plan, layout: Layout
) -> tuple[Truth, Iterator[Scored]]:
    """What is true of the clips of one set, and each model's scores.

    Clips without an event are left out or silenced as `decoding.event_free` says.
    """
    truth = _truth(file, held_out, plan, plan.scored, layout)
    silent = _without_events(truth, held_out)
    counted = _counted(silent, held_out, plan)
    undecoded = silent[counted] & (plan.settings.decoding.event_free == "duration")
    scores = _scores(file, held_out, counted, plan.scored)
    return truth.only(counted), (scored.silenced(undecoded) for scored in scores)


def measure(
    scored: Scored, truth: Truth, held_out: HeldOut, plan: Plan, report: Report
) -> Measures:
    """What every family of the set's metrics says of a model."""
    if scored.detections is not None:
        return sed.measure_detections(scored.detections, truth, report)
    found = Measures()
    for name in held_out.metrics:
        family = declared.METRICS[name]
        if lacking := [scores for scores in family.reads if scores not in scored.arrays]:
            raise SedreproError(
                f"{plan.run}: metrics {name!r} of set {held_out.name!r} read the {lacking[0]} "
                f"scores of {scored.model}; it has {', '.join(scored.arrays)}"
            )
        part = declared.resolve(family.measure)(scored, truth, plan.settings, report)
        found.values |= part.values
        found.curves |= part.curves
    return found


def why_not_run(run: Run, layout: Layout) -> str | None:
    """Why a run was not run; None if it was."""
    described = _described(run, layout)
    return described.get("reason", "") if described.get("status") == "not_run" else None


def _described(run: Run, layout: Layout) -> dict[str, Any]:
    try:
        return chain.read(layout.run(run, "run.json"))
    except FileNotFoundError:
        raise SedreproError(f"{layout.run(run)}: no run.json; the run was never finished") from None


def _absent(file: h5py.File, held_out: HeldOut, layout: Layout) -> bool:
    """Whether a set was not scored because none of its clips could be had."""
    if held_out.name in file:
        return False
    audit = tables.read(layout.table(held_out.subset, "audit"), tables.AUDIT)
    return int(audit["found"].sum()) == 0


def _open(run: Run, layout: Layout) -> h5py.File:
    path = Path(layout.run(run, "scores.h5"))
    try:
        if file_digest(path) != _described(run, layout)["content"]["scores.h5"]:
            raise SedreproError(
                f"{path}: not the scores that the run wrote; "
                f"`sedrepro forget {run}`, then start again, makes the run anew"
            )
        return h5py.File(path, "r", locking=False)
    except FileNotFoundError:
        raise SedreproError(f"{path}: no such file; the run wrote no scores") from None
    except OSError as error:
        raise SedreproError(f"{path}: not a whole score file ({error})") from None


def _truth(file: h5py.File, held_out: HeldOut, plan: Plan, run: Run, layout: Layout) -> Truth:
    classes = json.loads(file.attrs["classes"])
    if classes != list(plan.classes):
        raise SedreproError(f"{run}: scores.h5 is of other classes than {plan.run}")
    if held_out.name not in file:
        raise SedreproError(
            f"{run}: scores.h5 has no set {held_out.name!r}; it has {', '.join(file)}"
        )
    clips = [name.decode() for name in file[held_out.name]["clips"][:]]
    if not clips:
        raise SedreproError(f"{run}: no clip of set {held_out.name!r} was scored")
    events = tables.read_events(layout.table(held_out.subset, "events"))
    listed = {clip.name: clip for clip in read_clips(layout.table(held_out.subset, "clips"))}
    return Truth(
        clips=clips,
        seconds=file[held_out.name]["seconds"][:],
        classes=classes,
        events=events[events["clip"].isin(clips)],
        n_expected=expected(held_out.subset, layout),
        paths={name: clip.path for name, clip in listed.items()},
        units=units(held_out, clips, listed),
        unit=held_out.unit,
        hop=float(file.attrs["hop"]),
    )


def _without_events(truth: Truth, held_out: HeldOut) -> np.ndarray:
    """Which clips have no event (clip); only of sets that are scored as sound events."""
    if "sed" not in held_out.metrics:
        return np.zeros(len(truth.clips), dtype=bool)
    return ~np.isin(truth.clips, truth.events["clip"].unique())


def _counted(silent: np.ndarray, held_out: HeldOut, plan: Plan) -> np.ndarray:
    """Which clips everything is measured on (clip)."""
    if plan.settings.decoding.event_free != "omitted":
        return np.ones_like(silent)
    if silent.all():
        raise SedreproError(
            f"{plan.run}: no clip of set {held_out.name!r} has an event; "
            "decoding.event_free: omitted leaves none"
        )
    return ~silent


def expected(subset: Subset, layout: Layout) -> int | None:
    """Clips the set should have; of a portion, those that the table gives it."""
    if subset.portion is not None:
        clips = tables.read_clip_table(layout.table(subset, "clips"))
        return int(clips["fold"].map(subset.holds).sum())
    audit = tables.read(layout.table(subset, "audit"), tables.AUDIT)
    known = audit["expected"].dropna()
    return int(known.iloc[0]) if len(known) else None


def _scores(file: h5py.File, held_out: HeldOut, counted: np.ndarray, run: Run) -> Iterator[Scored]:
    group = file[held_out.name]
    for model in json.loads(file.attrs["models"]):
        if model not in group:
            raise SedreproError(f"{run}: scores.h5 has no scores of {model} on {held_out.name!r}")
        arrays = {name: values[:] for name, values in group[model].items()}
        for name, values in arrays.items():
            if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
                raise SedreproError(
                    f"{run}: the {name} scores of {model} on {held_out.name!r} hold NaN or infinity"
                )
        arrays = {name: values[counted] for name, values in arrays.items()}
        yield Scored(held_out.name, model, float(file.attrs["hop"]), arrays)
