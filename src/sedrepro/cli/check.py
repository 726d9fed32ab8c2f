"""`sedrepro check`: is this machine's copy of a corpus the one its organisers have?"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from .. import papers, settings
from ..errors import SedreproError
from ..files import write_text
from ..places import typed
from ..settings import Layout, Project, Run, declared
from ..settings.project import Released
from ..sources import registry, released

if TYPE_CHECKING:
    from ..evaluation.copies import Copy

PAPER, SYSTEM, FOUND = "dcase_baselines", "checkpoint2021", "student2021_detections"
"""The rows whose weights and detections `check desed` compares."""
NAMED = 12
"""Clips that a line names; the table has all."""
CORPORA = {"maestro": ("train", "validation"), "ave": ("train", "validation", "test")}


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument("corpus", choices=["desed", *CORPORA])
    parser.add_argument(
        "--checkpoint",
        type=typed,
        metavar="FILE",
        help="desed: weights of the system that hears the clips; by default the DCASE 2021 "
        "baseline's",
    )


def check(options: argparse.Namespace, project: Project) -> int:
    """0 if nothing is wrong, else 1."""
    if options.corpus == "desed":
        return _check_desed(options.checkpoint, project)
    if options.checkpoint is not None:
        raise SedreproError("--checkpoint goes with desed")
    problems = 0
    for compared in (_files, _subsets, _faults):
        for line, good in compared(options.corpus, project):
            print(line)
            problems += not good
    wrong = f"{problems} of these lines are not as they should be"
    print(wrong if problems else "as the organisers'")
    return 1 if problems else 0


def _check_desed(checkpoint: Path | None, project: Project) -> int:
    from ..evaluation import copies
    from ..evaluation.released import detections, known, operating_points
    from ..inference.listening import listener
    from ..sources import desed
    from ..training.others import Checkpoint

    rows, layout = project.papers[PAPER].table, Layout.of(project)
    system, found = _of(rows[SYSTEM].released), _of(rows[FOUND].released)
    for one in (found,) if checkpoint else (found, system):
        if why := released.lacking(one, project):
            raise SedreproError(f"{why}; `sedrepro fetch {one.resource}` brings it")
    run = Run(PAPER, SYSTEM, next(iter(project.papers[PAPER].conditions)), project.seeds[0])
    plan = settings.plan(project, run, papers.settings_models()[PAPER])
    (held_out,) = [held_out for held_out in plan.held_out if held_out.name == found.set]
    given = released.tables(found, project)
    truth = known(held_out, plan, layout, given["truth"], given["durations"])
    folder = released.place(found, project)
    points = detections(folder, truth, plan.settings.decoding.threshold).points
    there = copies.There(
        truth.truth,
        dict(zip(operating_points(folder), (point() for point in points), strict=True)),
        plan.grid.frames,
        plan.grid.seconds,
    )
    file = checkpoint or released.place(system, project)
    method = Checkpoint(file, _no_weights, "cpu").method(plan, found.model)
    listen = listener(method, found.model, held_out)
    top = desed.recordings(held_out.subset.name, project)
    paths = {clip: top / f"{clip}.wav" for clip in truth.truth.clips}
    copy = copies.examine(there, paths, listen, plan.front_ends[held_out.inputs[0]].sample_rate)
    table = Path(layout.results, "checks", "desed.tsv")
    write_text(table, _table(copy))
    print(text(copy))
    print(table)
    return 1 if copy.faults else 0


def _of(system: Released | None) -> Released:
    assert system is not None
    return system


def _no_weights(resource: str) -> Path:
    raise SedreproError(f"{SYSTEM}: builds on no weights, and not on {resource}")


def _table(copy: Copy) -> str:
    lines = ["filename\tfault\tdetail\tagreement"]
    for clip in copy.there.truth.clips:
        fault, share = copy.faults.get(clip), copy.agreements.get(clip)
        told = (fault.kind, fault.detail) if fault else ("", "")
        lines.append("\t".join([f"{clip}.wav", *told, "" if share is None else f"{share:.3f}"]))
    return "\n".join(lines) + "\n"


def text(copy: Copy) -> str:
    """The clips by what is wrong with them, and what that makes of the scores."""
    from ..evaluation.copies import KINDS, MISSING

    clips, lines = copy.there.truth.clips, []
    for kind in KINDS:
        found = [(clip, copy.faults[clip]) for clip in clips if clip in copy.faults]
        named = [(clip, fault.detail) for clip, fault in found if fault.kind == kind]
        if named:
            told = [f"{clip} ({detail})" if detail else clip for clip, detail in named[:NAMED]]
            more = ", …" if len(named) > NAMED else ""
            lines.append(f"{len(named)} {kind}: {', '.join(told)}{more}")
    if not lines:
        lines = [f"all {len(clips):,} clips are here and sound as the organisers'"]
    values = copy.values()
    counts = [len(clips), int(copy.readable.sum()), int(copy.readable.sum())]
    lines += ["", f"{'detections':32}{'clips':>7}{'PSDS 1':>9}{'PSDS 2':>9}"]
    for (name, value), count in zip(values.items(), counts, strict=True):
        lines.append(f"{name:32}{count:7,}{value['psds1']:9.4f}{value['psds2']:9.4f}")
    everything, there, here = (value["psds1"] for value in values.values())
    lines.append(
        f"PSDS 1 moves by {there - everything:+.4f} for clips that are {MISSING}, and by "
        f"{here - there:+.4f} for what the others sound like"
    )
    return "\n".join(lines)


def _files(corpus: str, project: Project) -> Iterator[tuple[str, bool]]:
    """Every single file of the corpus with a known checksum, and those of them that are wanted."""
    from ..sources.verify import expected, fault, measure

    top = registry.raw(project, corpus)
    for name, resource in registry.load().resources.items():
        if resource.corpus != corpus:
            continue
        for file in resource.files:
            path = top / (file.place or "")
            if not file.place or not file.verifiable:
                continue
            if not path.exists():
                if resource.wanted(project.data):
                    yield f"{path}: is not there ({name})", False
                continue
            wrong = fault(path, expected(file, {}, {}), measure(path))
            yield f"{path}: {wrong or f'{file.checksum}, as it should be'} ({name})", not wrong


def _subsets(corpus: str, project: Project) -> Iterator[tuple[str, bool]]:
    """Clips that are there of those that should be, and what is odd about them."""
    adapt = declared.resolve(declared.CORPORA[corpus].adapt or "")
    for subset in CORPORA[corpus]:
        _, _, audit = adapt(subset, project)
        row = audit.iloc[0]
        note = f"; {row['note']}" if row["note"] else ""
        whole = row["found"] == row["expected"] and "not as long" not in note
        yield f"{subset}: {row['found']:,} of {row['expected']:,} clips{note}", bool(whole)


def _faults(corpus: str, project: Project) -> Iterator[tuple[str, bool]]:
    """Recordings by what is wrong with them."""
    source = import_module(f"{registry.__package__}.{corpus}")
    groups: dict[str, list[str]] = {}
    for words, name in source.faults(project):
        groups.setdefault(words, []).append(name)
    for words, names in groups.items():
        more = ", …" if len(names) > NAMED else ""
        yield f"{len(names):,} {words}: {', '.join(names[:NAMED])}{more}", False
