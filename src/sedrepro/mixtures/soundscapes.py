"""DESED's synthetic soundscapes: the real scaper, driven through the real `desed` package.

Scaper and desed take a second to import, so they are imported by the functions that mix.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import warnings
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .. import audio, progress, tables
from ..errors import SedreproError
from ..files import digest, file_digest
from ..kept import Kept
from ..settings import Layout, Project, Subset
from ..settings.data import Soundscapes
from ..settings.tasks import MixTask
from ..sources import soundbank

if TYPE_CHECKING:
    from desed.soundscape import Soundscape

STRONG = ["filename", "onset", "offset", "event_label"]
SHARD = [*STRONG, "recipe"]
# Our subset → the split's folder in the sound bank, and the set's name in dcase_synth.zip.
SPLITS = {
    "synth_train": ("train", "synthetic21_train"),
    "synth_validation": ("validation", "synthetic21_validation"),
}
MISSING_SOX = (
    "the program `sox`, which scaper mixes with, is missing: install it with "
    "`sudo apt-get install sox` or `conda install -c conda-forge sox`"
)


class SoundBank:
    """The recordings of one split: each class with its files, and the backgrounds."""

    def __init__(self, folder: str | Path, classes: list[str]) -> None:
        self.foreground = Path(folder) / "foreground"
        self.background = Path(folder) / "background"
        if not any(self.background.glob("*/*.wav")):
            raise SedreproError(f"{self.background}: the sound bank has no background recordings")
        # A file in <class>_nOn begins before the recording does, one in _nOff goes on after it.
        self.files = {
            name: sorted(
                path
                for suffix in ("", "_nOn", "_nOff", "_nOn_nOff")
                for path in (self.foreground / f"{name}{suffix}").glob("*.wav")
            )
            for name in classes
        }
        for name, files in self.files.items():
            if not files:
                raise SedreproError(
                    f"{self.foreground / name}: the sound bank has no recordings of class {name!r}"
                )


def make_shard(task: MixTask, statuses: Iterable[str | Path], out: str | Path) -> None:
    """A shard's recordings and its table, mixed or, if all of them are there, published again."""
    project, recipe = task.project, task.project.data.desed.soundscapes
    kept = Kept.beside([out])
    depends = [task.depends(), [file_digest(status) for status in statuses]]
    names = range(task.shard, recipe.clips[task.name], recipe.shards)
    folder = _audio_folder(project, task.name)
    if not all((folder / _file_name(index)).is_file() for index in names):
        kept.drop()
    kept.or_make(digest(depends), lambda: mix_shard(project, task.name, task.shard))


def mix_shard(project: Project, subset: str, shard: int) -> None:
    """Mix every `shards`-th soundscape of a subset, from number `shard` on.

    Writes the recordings in the layout of dcase_synth.zip and then the shard's table: its events
    by desed's rules (an event-free clip has one row with empty cells).
    """
    recipe = project.data.desed.soundscapes
    if shutil.which("sox") is None:
        raise SedreproError(MISSING_SOX)
    split, _ = SPLITS[subset]
    bank = SoundBank(
        soundbank.root(project) / "audio" / split / "soundbank", project.data.desed.classes
    )
    folder = _audio_folder(project, subset)
    folder.mkdir(parents=True, exist_ok=True)
    events = []
    with _quiet():
        numbers = range(shard, recipe.clips[subset], recipe.shards)
        for index in progress.current().over(numbers, len(numbers), "soundscapes"):
            events.append(_mix(recipe, bank, subset, index, folder))
        table = _labels(recipe, events)
    table["recipe"] = _recipe_key(project, subset)
    tables.write(_shard_table(project, subset, shard), table, SHARD)


def collect(project: Project, subset: str) -> None:
    """Join the shards of a subset: dcase_synth's own tables, then ours by the corpus adapter.

    Recordings that are not of this recipe (left by an earlier, larger one) are removed.
    """
    from ..sources import desed

    recipe = project.data.desed.soundscapes
    events = pd.concat(
        [_read_shard(project, subset, shard) for shard in range(recipe.shards)], ignore_index=True
    )
    events = events.sort_values(["filename", "onset"], key=_in_number_order, kind="stable")
    present = {path.name for path in _audio_folder(project, subset).glob("*.wav")}
    wanted = {_file_name(index) for index in range(recipe.clips[subset])}
    if missing := sorted(wanted - present) or sorted(wanted ^ set(events["filename"])):
        raise SedreproError(
            f"{_audio_folder(project, subset) / missing[0]}: this soundscape is missing; "
            f"delete {Layout.of(project).mixtures('desed', subset)} to have the set mixed again"
        )
    for name in present - wanted:
        (_audio_folder(project, subset) / name).unlink()
    folder = _metadata_folder(project, subset)
    tables.write(folder / "soundscapes.tsv", events, STRONG)
    durations = pd.DataFrame({"filename": sorted(wanted, key=_number)})
    durations["duration"] = recipe.seconds
    tables.write(folder / "durations.tsv", durations, ["filename", "duration"])
    clips, strong, audit = desed.adapt(subset, project)
    layout, where = Layout.of(project), Subset("desed", subset)
    tables.write(layout.table(where, "events"), strong, tables.EVENTS)
    tables.write(layout.table(where, "audit"), audit, tables.AUDIT)
    tables.write(layout.table(where, "clips"), clips, tables.CLIPS)


def _mix(
    recipe: Soundscapes, bank: SoundBank, subset: str, index: int, folder: Path
) -> pd.DataFrame:
    """Mix one soundscape; everything random in it is a function of seed, subset and index."""
    from desed.soundscape import Soundscape

    random = np.random.RandomState([recipe.seed, zlib.crc32(subset.encode()), index])
    soundscape = Soundscape(
        recipe.seconds,
        str(bank.foreground),
        str(bank.background),
        ref_db=recipe.ref_db,
        samplerate=recipe.sample_rate,
        random_state=random,
    )
    soundscape.add_random_background()
    classes = list(bank.files)
    # The first event's class goes round, so that all classes occur about equally often.
    names = [classes[index % len(classes)]]
    names += random.choice(classes, size=random.randint(0, recipe.max_events)).tolist()
    for name in names:
        _add_event(soundscape, recipe, bank.files[name][random.randint(len(bank.files[name]))])
    samples, _, annotation, _ = soundscape.generate(
        reverb=recipe.reverb, disable_instantiation_warnings=True
    )
    audio.write(folder / _file_name(index), samples[:, 0], recipe.sample_rate)
    events = pd.DataFrame(annotation, columns=["onset", "offset", "event_label"])
    events.insert(0, "filename", _file_name(index))
    return events


def _add_event(soundscape: Soundscape, recipe: Soundscapes, source: Path) -> None:
    """Add one recording of a class: desed places those that begin or end outside the clip."""
    label = source.parent.name
    change: dict[str, Any] = {
        "snr": ("uniform", *recipe.snr),
        "pitch_shift": ("uniform", *recipe.pitch_shift),
        "time_stretch": None,
    }
    if label.endswith(("_nOn", "_nOff")):
        soundscape.add_fg_event_non_noff(label, **change)
        return
    length = min(audio.seconds(source), recipe.seconds)
    soundscape.add_event(
        label=("const", label),
        source_file=("const", str(source)),
        source_time=("const", 0.0),
        event_time=("truncnorm", *recipe.onset),
        event_duration=("const", length),
        **change,
    )


def _labels(recipe: Soundscapes, events: list[pd.DataFrame]) -> pd.DataFrame:
    """The events by desed's rules: same class closer than 150 ms merged, 250 ms at least."""
    from desed.post_process import post_process_df_labels

    if not events:  # a shard beyond the last soundscape
        return pd.DataFrame(columns=STRONG)
    mixed = pd.concat(events, ignore_index=True)
    clean = post_process_df_labels(mixed, float(recipe.seconds))
    silent = sorted(set(mixed["filename"]) - set(clean["filename"]))
    return pd.concat([clean, pd.DataFrame({"filename": silent})], ignore_index=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep scaper's and desed's running commentary out of the log."""
    logging.disable(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)


def _read_shard(project: Project, subset: str, shard: int) -> pd.DataFrame:
    path = _shard_table(project, subset, shard)
    table = tables.read(path, SHARD)
    if not (table["recipe"] == _recipe_key(project, subset)).all():
        raise SedreproError(f"{path}: mixed under other settings; delete it to have it mixed again")
    return table


def _recipe_key(project: Project, subset: str) -> str:
    desed = project.data.desed
    return digest([desed.soundscapes.model_dump(mode="json"), desed.classes, subset])


def _shard_table(project: Project, subset: str, shard: int) -> str:
    return f"{Layout.of(project).mixtures('desed', subset)}/shard{shard}.tsv"


def _audio_folder(project: Project, subset: str) -> Path:
    split, name = SPLITS[subset]
    root = Path(Layout.of(project).raw("desed")) / "dcase_synth"
    return root / "audio" / split / name / "soundscapes"


def _metadata_folder(project: Project, subset: str) -> Path:
    split, name = SPLITS[subset]
    return Path(Layout.of(project).raw("desed")) / "dcase_synth" / "metadata" / split / name


def _file_name(index: int) -> str:
    return f"{index}.wav"


def _number(name: str) -> int:
    return int(name.removesuffix(".wav"))


def _in_number_order(column: pd.Series) -> pd.Series:
    return column.map(_number) if column.name == "filename" else column
