"""`sedrepro predict`: a finished run on somebody's own recordings."""

from __future__ import annotations

import argparse
import csv
import io
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import SedreproError
from ..files import atomic, write_json, write_text
from ..places import typed, typed_run
from .naming import HELP

if TYPE_CHECKING:
    from ..inference.predict import Prediction, Predictor

SUFFIXES = {
    ".wav",
    ".flac",
    ".ogg",
    ".oga",
    ".opus",
    ".mp3",
    ".m4a",
    ".aac",
    ".aif",
    ".aiff",
    ".au",
    ".w64",
    ".wma",
    ".amr",
    ".mp4",
    ".m4v",
    ".mkv",
    ".mov",
    ".avi",
    ".webm",
    ".mpg",
}
"""What is taken from a folder. A file that is given by name is always tried."""
COLUMNS = ("filename", "onset", "offset", "event_label", "score")


def arguments(parser: argparse.ArgumentParser) -> None:
    """What the command takes."""
    parser.add_argument(
        "--run",
        required=True,
        type=typed_run,
        metavar="RUN",
        help=f"{HELP}, or a checkpoint that was exported",
    )
    parser.add_argument(
        "inputs", nargs="+", type=typed, metavar="FILE|FOLDER", help="recordings, any length"
    )
    parser.add_argument(
        "--out",
        default="predictions",
        type=typed,
        metavar="FOLDER",
        help="where results go (predictions)",
    )
    parser.add_argument("--model", help="student or teacher; by default the paper's headline")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (1)")
    parser.add_argument("--scores", action="store_true", help="write scores as HDF5 too")
    parser.add_argument("--no-png", action="store_true", help="draw no timelines")


def predict(options: argparse.Namespace, weights: Callable[[str], Path]) -> int:
    """Write TSV, JSON and PNG per recording, and one table of all; 1 if any could not be read.

    `weights` finds pre-trained weights by resource, for the papers that build on some.
    """
    files = {name: (path, below) for name, path, below in named(recordings(options.inputs))}
    predictor = _predictor(options, weights)
    out, failed, rows = Path(options.out), 0, []
    for name, (path, below) in files.items():
        try:
            found = predictor(path)
        except SedreproError as error:
            print(f"error: {error}", file=sys.stderr)
            failed += 1
            continue
        rows += [(str(below), e.onset, e.offset, e.label, e.score) for e in found.events]
        _write(out / name, path, predictor, found, options)
        print(f"{path}: {found.seconds:.1f} s, {len(found.events)} events")
    if rows or failed < len(files):
        write_text(out / "all.tsv", _table(rows))
        print(f"{out / 'all.tsv'}")
    return 1 if failed else 0


def recordings(inputs: Iterable[str]) -> list[tuple[Path, Path]]:
    """Each file, and its name below the folder that was given."""
    found = []
    for given in map(Path, inputs):
        if given.is_dir():
            inside = sorted(p for p in given.rglob("*") if p.suffix.lower() in SUFFIXES)
            found += [(path, path.relative_to(given)) for path in inside if path.is_file()]
            if not inside:
                raise SedreproError(f"{given}: no recordings in this folder")
        elif given.is_file():
            found.append((given, Path(given.name)))
        else:
            raise SedreproError(f"{given}: no such file or folder")
    return found


def named(found: Iterable[tuple[Path, Path]]) -> Iterator[tuple[str, Path, Path]]:
    """A name for each file's results: the file's without suffix, unless two would have the same."""
    found = list(found)
    stems = Counter(str(below.with_suffix("")) for _, below in found)
    whole = Counter(str(below) for _, below in found)
    for place, (path, below) in enumerate(found, 1):
        stem = str(below.with_suffix(""))
        if stem == "all" or stems[stem] > 1:
            stem = str(below) if whole[str(below)] == 1 else f"{place}.{below}"
        yield stem, path, below


def _predictor(options: argparse.Namespace, weights: Callable[[str], Path]) -> Predictor:
    import torch

    from ..inference.devices import choose, prepare
    from ..inference.predict import Predictor

    wanted = options.device == "cuda" or (options.device == "auto" and torch.cuda.is_available())
    device = choose(options.device, int(wanted))
    prepare(0, options.threads, deterministic=False)
    predictor = Predictor(options.run, model=options.model, device=device, weights=weights)
    torch.set_num_threads(options.threads)  # front ends may have changed it
    return predictor


def _write(
    base: Path, path: Path, predictor: Predictor, found: Prediction, options: argparse.Namespace
) -> None:
    rows = [(path.name, e.onset, e.offset, e.label, e.score) for e in found.events]
    write_text(Path(f"{base}.tsv"), _table(rows))
    decoding = predictor.plan.settings.decoding
    write_json(
        Path(f"{base}.json"),
        {
            "file": str(path),
            "seconds": round(found.seconds, 4),
            "run": predictor.plan.run.folder,
            "model": predictor.model,
            "threshold": decoding.threshold,
            "median_frames": dict(zip(found.classes, decoding.windows(found.classes), strict=True)),
            "hop": found.hop,
            "events": [
                {
                    "onset": round(e.onset, 3),
                    "offset": round(e.offset, 3),
                    "label": e.label,
                    "score": round(e.score, 4),
                }
                for e in found.events
            ],
            "clip_scores": {
                name: round(float(score), 4)
                for name, score in zip(found.classes, found.tags, strict=False)
            },
        },
    )
    if options.scores:
        _write_scores(Path(f"{base}.h5"), found, predictor)
    if not options.no_png:
        from ..reporting.prediction import draw

        events = [(e.label, e.onset, e.offset) for e in found.events]
        draw(f"{base}.png", path.name, found.seconds, found.classes, found.filtered, events)


def _write_scores(path: Path, found: Prediction, predictor: Predictor) -> None:
    import h5py

    with atomic(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["classes"] = json.dumps(found.classes)
        file.attrs["hop"] = found.hop
        file.attrs["seconds"] = found.seconds
        file.attrs["model"] = predictor.model
        file.attrs["run"] = predictor.plan.run.folder
        file.attrs["decoded"] = predictor.plan.settings.decoding.scores
        for name, values in found.scores.items():
            file[name] = values
        file["filtered"] = found.filtered


def _table(rows: Iterable[tuple[str, float, float, str, float]]) -> str:
    """DESED's columns, and the score."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    for name, onset, offset, label, score in rows:
        writer.writerow([name, f"{onset:.3f}", f"{offset:.3f}", label, f"{score:.4f}"])
    return text.getvalue()
