"""docs/formats.md: columns that the code declares, and fields that a test finds in real files."""

from __future__ import annotations

from collections.abc import Iterable

import structured

from sedrepro import tables
from sedrepro.cli import predict
from sedrepro.reporting import differences
from sedrepro.reporting import tables as printed
from sedrepro.settings import published
from sedrepro.sources import ledger

HEAD = """\
# File formats

Written by `make config-docs`. Files named `.tsv` have tabs between columns, those named `.csv` have
commas. A test compares the fields of HDF5, JSON, NumPy and PyTorch files with real ones. In a
field's name, a part in capitals stands for any name, `[]` for each entry of a list, and `@` for an
attribute of an HDF5 file; "JSON" is text that holds JSON.
[Architecture](architecture.md#what-flows) tells how the files depend on each other.
"""
FILES = (
    (
        "data/SCALE/corpora/CORPUS/SUBSET/clips.tsv",
        "The clips of a subset that exist.",
        tables.CLIPS,
    ),
    ("data/SCALE/corpora/CORPUS/SUBSET/events.tsv", "What is true of them.", tables.EVENTS),
    ("data/SCALE/corpora/CORPUS/SUBSET/audit.tsv", "How complete the subset is.", tables.AUDIT),
    (
        "data/SCALE/downloads/RESOURCE/clips.tsv",
        "Clips that are fetched one by one: a line for each attempt, without a heading.",
        [f"ledger.{column}" for column in ledger.COLUMNS],
    ),
    ("config/papers/PAPER/published.csv", "What the paper printed.", published.COLUMNS),
    ("results/NAME/tables/PAPER.csv", "Our numbers beside it, a cell per line.", printed.COLUMNS),
    (
        "results/NAME/tables/PAPER.differences.csv",
        "Rows subtracted from each other, a cell per line.",
        differences.COLUMNS,
    ),
    ("predictions/RECORDING.tsv", "What a run detects in a recording.", predict.COLUMNS),
)
ARCHIVE = """\
## NAME.sedrepro.zip

What `sedrepro archive` packs, to be cited. It holds no data, no weights and no recordings.

| file | meaning |
|---|---|
| `SHA256SUMS` | checksum of each other file |
| `tables/PAPER.*` | tables and their keys |
| `published/PAPER.csv` | what the paper printed |
| `runs/PAPER/ROW/CONDITION/SEED/run.json` | the record of a run |
| `runs/PAPER/ROW/CONDITION/SEED/metrics.json` | what it scores |
| `runs/PAPER/ROW/CONDITION/SEED/history.csv` | its losses, epoch by epoch |
| `settings.json` | all settings, without names of folders |
| `environment.json` | versions of Python and of all packages |
| `CITATION.cff`, `LICENSE`, `requirements.lock` | those of the checkout |
"""
MEANINGS = {
    "aggregate": "what the mean is of, and what the interval draws",
    "ci_high": "upper end of the interval",
    "ci_low": "lower end of the interval",
    "clip": "the clip's name, unique in its subset",
    "clips_high": "upper end for other clips alone",
    "clips_low": "lower end for other clips alone",
    "condition": "the variant of the data",
    "confidence": "how sure the annotators were; 1 where nobody says",
    "difference": "mean over the pairs of runs that both rows have",
    "event_label": "the class",
    "expected": "clips of the complete subset",
    "feature_row": "the clip's row in features that the corpus's authors released",
    "filename": "the recording, relative to what was given",
    "fold": "a cut of the subset: `train` or `held_out`, a fold's number, or empty",
    "found": "clips that are there",
    "gap": "ours minus published",
    "implementation": "the package that computed the metric",
    "interval": "what the interval draws: `clips`, `runs` or `both`",
    "label": "the class",
    "ledger.file": "the clip's file",
    "ledger.origin": "the host that was asked, or whence the clip came",
    "ledger.reason": "what the host said",
    "ledger.seconds": "length of what came",
    "ledger.state": "`ok`, or why it did not come ([words](data.md#when-a-part-is-gone))",
    "ledger.time": "when, seconds since 1970",
    "metric": "the metric",
    "minus": "the row that is subtracted",
    "model": "the network of the row, such as student or teacher",
    "n_clips": "clips that the number stands on",
    "n_expected": "clips that it would stand on if none were missing",
    "n_pairs": "pairs of runs with the same seed and fold",
    "n_runs": "runs that were averaged",
    "note": "what a reader has to know",
    "offset": "end, seconds; empty where only the presence is known",
    "onset": "start, seconds; empty where only the presence is known",
    "origin": "whose the recordings are: `official`, `rendered` or `own`",
    "ours_mean": "our number: the mean over seeds and folds",
    "ours_std": "standard deviation over the runs",
    "path": "the recording, relative to the working folder, or absolute",
    "published": "the published number; empty where nobody could read one",
    "published_source": "where it is printed",
    "published_status": "why it is empty or not comparable",
    "published_std": "the deviation that was published with it",
    "recipe": "of a mixture: the table that lists its sounds",
    "row": "the row of the paper's table",
    "runs_high": "upper end for other trainings alone",
    "runs_low": "lower end for other trainings alone",
    "score": "the mean score of the event's frames",
    "seconds": "length of the clip",
    "set": "the held-out set",
    "source": "where the number is printed",
    "start": "where in the recording the clip begins, seconds; empty for a whole recording",
    "status": "why the number is empty or not comparable",
    "subset": "the part of the corpus",
    "table": "the paper's table",
    "verdict": "how ours and the published number compare ([verdicts](results.md#verdicts))",
    "word": "`higher`, `lower` or `no clear difference`",
}


def page() -> str:
    """docs/formats.md."""
    columns = [_section(*file) for file in FILES]
    return "\n".join([HEAD, *columns, *map(_structured, structured.FILES), ARCHIVE])


def _section(name: str, what: str, columns: Iterable[str]) -> str:
    lines = [f"| `{column.rpartition('.')[2]}` | {MEANINGS[column]} |" for column in columns]
    return "\n".join([f"## {name}\n", f"{what}\n", "| column | meaning |", "|---|---|", *lines, ""])


def _structured(file: structured.File) -> str:
    lines = [f"| `{name}` | {kind} | {what} |" for name, (kind, what) in file.fields.items()]
    head = ["| field | kind | meaning |", "|---|---|---|"]
    return "\n".join([f"## {file.name}\n", f"{file.what}\n", *head, *lines, ""])
