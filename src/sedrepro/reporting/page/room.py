"""What the page's own scripts draw from: the listening room and the training curves, as JSON."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...features.logmel import LogMel
from ...papers import settings_models
from ...settings import FrontEnd, Layout, Project
from ..colours import class_colours, readable, row_colours, row_dashes
from ..examples import Examples, examples, ogg
from ..records import Record, read_series
from .inline import data_uri, shares, spectrum_png

POINTS = 160
HEARD = FrontEnd(kind="stft_logmel", n_fft=1024, n_mels=64)
"""The spectrum shown of clips whose networks read none."""


def room(project: Project, found: Sequence[Record], layout: Layout) -> dict[str, Any]:
    """The listening room's data, or {"problem": why there is none}."""
    shown = (
        examples(project, found, layout, settings_models())
        if found
        else Examples("no run is finished")
    )
    if not shown.problem and not shown.scored:
        shown = Examples("no finished run left scores of the example clips")
    if shown.problem:
        return {"problem": shown.problem}
    spec = project.papers[found[0].run.paper]
    colours = class_colours(shown.classes)
    several = len({scored.condition for scored in shown.scored}) > 1
    sources = [
        {
            "row": scored.row,
            "model": scored.model,
            "label": ", ".join(
                [spec.table[scored.row].label, scored.model.replace("_", " ")]
                + ([readable(scored.condition)] if several else [])
            ),
            "threshold": scored.threshold,
        }
        for scored in shown.scored
    ]
    return {
        "problem": "",
        "set": readable(shown.set),
        "classes": [{"name": readable(name), "colour": colours[name]} for name in shown.classes],
        "hop": shown.hop,
        "sources": sources,
        "silent": "not on this machine" if project.report.audio else "left out of this page",
        "clips": [
            _clip(shown, clip, spec.headline, audible=project.report.audio) for clip in shown.clips
        ],
    }


def _chosen(headline: Sequence[str], shown: Examples, clip: str) -> list[int]:
    """The sources shown first: the last two headline rows, by their teacher if there is one."""
    order = {row: place for place, row in enumerate(headline)}
    able = [i for i, scored in enumerate(shown.scored) if clip in scored.frames]
    if not able:
        return []
    ranked = sorted(
        able,
        key=lambda i: (-order.get(shown.scored[i].row, -1), shown.scored[i].model != "teacher"),
    )
    first = ranked[0]
    others = [i for i in ranked if shown.scored[i].row != shown.scored[first].row]
    return [others[0] if others else ranked[-1], first]


def _clip(shown: Examples, clip: str, headline: Sequence[str], *, audible: bool) -> dict[str, Any]:
    sound = ogg(shown.files[clip], shown.seconds[clip]) if clip in shown.files else None
    spectrum = shown.spectra.get(clip)
    place = {name: index for index, name in enumerate(shown.classes)}
    if spectrum is not None:
        covered = max(1, round(spectrum.shape[1] * shown.seconds[clip] / shown.span[clip]))
        spectrum = spectrum[:, :covered]
    elif sound:
        spectrum = spectrum_of(sound)
    return {
        "id": clip,
        "seconds": round(shown.seconds[clip], 3),
        "audio": data_uri(sound, "audio/ogg") if sound and audible else "",
        "image": data_uri(spectrum_png(spectrum), "image/png") if spectrum is not None else "",
        "truth": [
            [place[name], onset, offset]
            for name, onset, offset in shown.truth[clip]
            if name in place
        ],
        "scores": {
            index: shares(scored.frames[clip])
            for index, scored in enumerate(shown.scored)
            if clip in scored.frames
        },
        "chosen": _chosen(headline, shown, clip),
    }


def spectrum_of(sound: bytes) -> np.ndarray:
    """A sound's spectrum (mel, frame) in decibels below its maximum, from its start to its end."""
    import soundfile

    samples, _ = soundfile.read(io.BytesIO(sound), dtype="float32")
    level = LogMel(HEARD)(np.pad(samples, HEARD.n_fft // 2)) * (20 / math.log(10))
    return level - level.max()


def curves(project: Project, found: Sequence[Record]) -> dict[str, Any]:
    """Every finished run's history, thinned, for the chart that compares rows."""
    lines: list[dict[str, Any]] = []
    quantities: dict[str, None] = {}
    for record in found:
        series = read_series(record.file("history.csv")) if record.done else {}
        epochs = series.get("epoch", [])
        if len(epochs) < 2:
            continue
        keep = sorted({round(k * (len(epochs) - 1) / (POINTS - 1)) for k in range(POINTS)})
        values = {
            name: [_short(column[k]) for k in keep]
            for name, column in series.items()
            if name not in ("epoch", "step")
        }
        spec = project.papers[record.run.paper]
        quantities |= dict.fromkeys(values)
        dashes = row_dashes(spec)[record.run.row]
        lines.append(
            {
                "row": record.run.row,
                "condition": record.run.condition,
                "label": spec.table[record.run.row].label,
                "name": record.run.variant + f", seed {record.run.seed}",
                "colour": row_colours(spec)[record.run.row],
                "dash": " ".join(f"{2 * part:g}" for part in dashes),
                "epochs": [epochs[k] + 1 for k in keep],
                "values": values,
            }
        )
    ordered = sorted(quantities, key=lambda name: (name != "select", not name.startswith("loss/")))
    conditions = list(dict.fromkeys(line["condition"] for line in lines))
    return {
        "quantities": [{"key": q, "name": quantity_name(q)} for q in ordered],
        "conditions": [{"key": c, "name": readable(c)} for c in conditions],
        "lines": lines,
    }


def quantity_name(key: str) -> str:
    """A history column for people."""
    kind, _, rest = key.partition("/")
    if key == "select":
        return "score that selects the checkpoint"
    if key == "rate":
        return "learning rate"
    words = {"loss": "loss", "weight": "weight of the loss", "select": "validation"}
    return (
        f"{words.get(kind, kind)}: {readable(rest.replace('/', ', '))}" if rest else readable(key)
    )


def _short(value: float) -> float | None:
    return float(f"{value:.4g}") if math.isfinite(value) else None
