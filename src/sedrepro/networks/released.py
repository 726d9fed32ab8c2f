"""The trained systems of others: whose weights go where in networks of ours.

The recipes of DCASE, and of papers that build on them, leave Lightning checkpoints. Their
`state_dict` has the student as `sed_student.*`, its teacher as `sed_teacher.*` and the front end as
`mel_spec.*`. ATST-SED saves the two alone, as `sed_student` and `sed_teacher`.
"""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor, nn

from ..errors import SedreproError
from .weights import load_checkpoint, tensors

MODELS = {"student": "sed_student.", "teacher": "sed_teacher."}
"""Ours, and what their names begin with."""

BANDS = 4
"""Of the sub-spectral norm."""

LAYOUTS = {
    # The CRNN of the DCASE baselines, 2021 to 2024: `networks.crnn.Crnn`. A frozen encoder beside
    # it lies under names of its own, and is not read: its tokens come from a store. ATST-SED's is
    # trained, and part of each network.
    "dcase_crnn": {
        "cnn.cnn.conv{n}": "cnn.blocks.{n}.conv",
        "cnn.cnn.batchnorm{n}": "cnn.blocks.{n}.norm",
        "cnn.cnn.glu{n}.linear": "cnn.blocks.{n}.gate.linear",
        "cnn.cnn.cg{n}.linear": "cnn.blocks.{n}.gate.linear",
        "rnn.rnn": "rnn",
        "dense": "heads.frame",
        "dense_softmax": "heads.attention",
        # Beside an encoder (`networks.hetero.Hetero`): where its tokens join.
        "cat_tf": "merge.linear",
        "atst_frame.atst": "transformer",
    },
    # The two-branch network of cross-task training: `networks.cross_task.CrossTask`.
    "cross_task": {
        "cnn_0_1.cnn.conv{n}": "shared.{n}.conv",
        "cnn_0_1.cnn.subspectralnorm{n}.norm": "shared.{n}.norm.norm",
        "cnn_0_1.cnn.cg{n}.linear": "shared.{n}.gate.linear",
        "cnn_{n}.cnn.conv0": "shared.{n}.conv",
        "cnn_{n}.cnn.subspectralnorm0.norm": "shared.{n}.norm.norm",
        "cnn_{n}.cnn.batchnorm0": "shared.{n}.norm",
        "cnn_{n}.cnn.cg0.linear": "shared.{n}.gate.linear",
        "cnn_sed.cnn.conv{n}": "events.{n}.conv",
        "cnn_sed.cnn.batchnorm{n}": "events.{n}.norm",
        "cnn_sed.cnn.cg{n}.linear": "events.{n}.gate.linear",
        "densenet.batchnorm": "activity.features.0",
        "densenet.conv": "activity.features.2",
        "densenet.batchnorm2": "activity.features.3",
        "densenet2.batchnorm": "event_features.0",
        "densenet2.conv": "event_features.2",
        "densenet2.batchnorm2": "event_features.3",
        "alpha": "activity.scale",
        "beta": "event_scale",
        "rnn_sed.rnn": "rnn",
        "rnn_vad.rnn": "activity.rnn",
        "dense": "heads.frame",
        "dense_softmax": "heads.attention",
        "dense_vad": "activity.head",
    },
}
"""By network of ours: their layers' names and ours. `{n}` is a number, the same in both."""


def released_networks(path: str | Path, layout: str) -> dict[str, dict[str, Tensor]]:
    """The states of our `student` and `teacher` in a checkpoint whose layout is known."""
    state = _state(path)
    found = {}
    for model, prefix in MODELS.items():
        own = {key.removeprefix(prefix): v for key, v in state.items() if key.startswith(prefix)}
        if not own:
            raise SedreproError(f"{path}: holds no {prefix}*, so no {model}")
        found[model] = {
            (name := _renamed(key, layout, path)): _shaped(name, value)
            for key, value in own.items()
        }
    return found


def fill(network: nn.Module, model: str, path: str | Path, row: str) -> None:
    """Put anybody's checkpoint into a row's network, which is that of `model`.

    It holds student and teacher of a recipe, or one network, with names of ours or of a layout.
    """
    state = _state(path)
    prefix = MODELS.get(model, "")
    if any(key.startswith(tuple(MODELS.values())) for key in state):
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        if not state or not prefix:
            raise SedreproError(f"{path}: holds no {prefix or model}*, so no {model}")
    named = _as_named(state, set(network.state_dict()), path)
    try:
        network.load_state_dict(named)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise SedreproError(
            f"{path}: does not fit the network of row {row!r}; --row names another ({reason})"
        ) from None


def _state(path: str | Path) -> dict[str, Tensor]:
    """All tensors of a file by name: of Lightning, of one network, or of two under their names."""
    saved = load_checkpoint(path)
    if isinstance(saved, dict):
        saved = saved.get("state_dict", saved)
    if isinstance(saved, dict):
        found = {name: saved.get(name.removesuffix(".")) for name in MODELS.values()}
        parts = {name: part for name, part in found.items() if isinstance(part, dict)}
        if len(parts) == len(found):
            saved = {f"{name}{key}": v for name, part in parts.items() for key, v in part.items()}
    return tensors(saved, path)


def _as_named(state: dict[str, Tensor], own: set[str], path: str | Path) -> dict[str, Tensor]:
    """A network's state under our names; as it is where no layout has a place for all of it."""
    for layout in LAYOUTS:
        if own & set(state):
            break
        try:
            names = {key: _renamed(key, layout, path) for key in state}
        except SedreproError:
            continue
        if set(names.values()) <= own:
            return {name: _shaped(name, state[key]) for key, name in names.items()}
    return state


def _shaped(name: str, value: Tensor) -> Tensor:
    """A weight as our layer of that name holds it."""
    if name.endswith("gate.linear.weight") and value.dim() == 2:
        return value[..., None, None]  # theirs maps the channels of a place, ours is a convolution
    if ".norm.norm." in name and value.dim() == 1 and len(value) % BANDS == 0:
        # Sub-spectral norm: theirs counts the bands of a channel, ours the channels of a band.
        return value.unflatten(0, (-1, BANDS)).T.flatten()
    return value


def _renamed(key: str, layout: str, path: str | Path) -> str:
    for theirs, ours in LAYOUTS[layout].items():
        pattern = re.escape(theirs).replace(r"\{n\}", r"(\d+)") + r"(?=\.|$)"
        if match := re.match(pattern, key):
            number = match[1] if match.re.groups else ""
            return ours.replace("{n}", number) + key[match.end() :]
    raise SedreproError(f"{path}: {key!r} has no place in a network of layout {layout}")
