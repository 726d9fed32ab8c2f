"""The DCASE 2024 system as papers extend it: clips of two corpora, a CRNN beside frozen tokens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from ....errors import SedreproError
from ....features.normalise import decibels, min_max
from ....networks.beats import Beats, CachedLayers, PartialForward
from ....networks.crnn import Detection
from ....networks.hetero import Hetero, Source
from ....networks.pretrained import FrozenEncoder
from ....objectives import mixup
from ....objectives.aliases import overwritten
from ....settings import Plan
from ....settings.classes import MAESTRO_CLASSES
from ...contract import Batch
from ..mean_teacher import method as mean_teacher
from .settings import MAESTRO, Encoder, Network, Settings

ENCODING, VALID = "encoding", "valid"
"""What networks are given beside spectra: the encoder's part, the classes of each clip's corpus."""


class Seen(NamedTuple):
    """A batch as the networks read it."""

    mel: Tensor
    """Linear mel spectra (clip, mel, frame)."""
    encoder_input: Tensor
    """Pooled tokens (clip, frame, width) from stores, or waveforms (clip, samples)."""
    frames: Tensor
    clips: Tensor


class Method(mean_teacher.Method):
    """The mean teacher's losses; classes that a clip's corpus lacks cost nothing.

    A paper changes what it names: `build` (what joins the network), `shared_encoding` and `source`
    (what becomes of the encoder), `kinds` (what is mixed with what), `groups`, and the terms.
    """

    # They have all that the mean teacher reads of its own.
    settings: Settings  # type: ignore[assignment]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # Shared by student and teacher; a row that reads its tokens from a store has none.
        self.frozen: Any = None
        self.in_desed = ~self._among(MAESTRO_CLASSES)
        self.in_maestro = self._among([*MAESTRO_CLASSES, *self.settings.shared])

    def _among(self, names: Sequence[str]) -> Tensor:
        """(class,): whether it has one of these names."""
        return torch.tensor([name in names for name in self.plan.classes], device=self.device)

    # Networks

    def network(self, model: str) -> Hetero:
        """The student, or its teacher."""
        return cast(Hetero, self.networks[model])

    def build(self, **more: Any) -> dict[str, nn.Module]:
        """The CRNN with its late merge, and `more` that a paper puts into it."""
        return {"student": merged(self.plan, self.settings.network, self.settings.encoder, **more)}

    def load_weights(self, files: Mapping[str, Path]) -> None:
        encoder = self.settings.encoder
        if encoder.cached:  # stores hold what the frozen transformer says
            return
        path = files[encoder.resource]
        frozen = FrozenEncoder(encoder.resource, path, encoder.width)
        if frozen.encoder.depth != encoder.depth:
            raise SedreproError(
                f"{path}: has {frozen.encoder.depth} blocks; encoder.depth says {encoder.depth}"
            )
        self.take(frozen)

    def take(self, frozen: FrozenEncoder) -> None:
        """Keep the encoder, as it came."""
        self.frozen = frozen.to(self.device).eval()

    @property
    def beats(self) -> Beats:
        """The frozen transformer whose blocks are walked one by one."""
        assert isinstance(self.frozen.encoder, Beats)  # no other is, as settings check
        return self.frozen.encoder

    # Schedule

    def schedule(self, step: int) -> float:
        """A ramp, full rate, then a quarter of a cosine down."""
        start = self.settings.mean_teacher.decay_epoch * self.steps_per_epoch
        if step <= start:
            return self.ramp(step)
        end = self.settings.training.epochs * self.steps_per_epoch
        return max(1e-5, math.cos(math.pi / 2 * (step - start) / (end - start)))

    # What the networks see

    def valid(self, batch: Batch) -> Tensor:
        """(clip, class): the classes of each clip's corpus."""
        valid = self.in_desed.expand(len(batch.clips), -1).clone()
        valid[batch.parts[MAESTRO]] = self.in_maestro
        return valid

    def aliased(self, batch: Batch) -> Tensor:
        """Frame targets in which MAESTRO's windows have DESED's classes under their own names."""
        place = {name: index for index, name in enumerate(self.plan.classes)}
        frames, part = batch.frames.clone(), batch.parts[MAESTRO]
        for name, others in self.settings.aliases.items():
            if name not in place:
                continue
            said = batch.frames[part][..., [place[name], *(place[other] for other in others)]]
            last = self.settings.alias_overlap == "last"
            frames[part, :, place[name]] = overwritten(said) if last else said.amax(-1)
        return frames

    def kinds(self, parts: Mapping[str, slice]) -> list[slice]:
        """Clips that are mixed with their like."""
        return [parts["weak"], slice(parts["synth"].start, parts["strong"].stop), parts[MAESTRO]]

    def draw(self, batch: Batch, kinds: list[slice], fires: Tensor) -> mixup.Mixing:
        """One draw of mixup inside each kind of clip, or none at all."""
        return mixup.draw(
            len(batch.clips),
            kinds,
            alpha=self.settings.mixup.alpha,
            probability=1.0,
            device=self.device,
            fires=fires,
        )

    def seen(self, batch: Batch) -> Seen:
        """After mixup inside each labelled kind of clip, or none at all."""
        s, mel = self.settings, self.mel(batch.inputs[self.settings.front_end])
        clean = Seen(mel, self.encoder_input(batch.inputs), self.aliased(batch), batch.clips)
        fires = torch.rand((), device=self.device) < s.mixup.probability
        kinds = self.kinds(batch.parts)
        one = self.draw(batch, kinds, fires)
        if s.mixup.kind == "coherent":
            return Seen(*(one(values) for values in clean))
        if s.mixup.kind == "spectra":
            return Seen(one(clean.mel), clean.encoder_input, one(clean.frames), one(clean.clips))
        other = self.draw(batch, kinds, fires)
        return Seen(
            one(clean.mel),
            other(clean.encoder_input),
            other(one(clean.frames)),
            (other(one(clean.clips)) > 0).to(clean.clips.dtype),
        )

    def mixed(self, batch: Batch) -> tuple[Batch, dict[str, Any]]:
        valid, seen = self.valid(batch), self.seen(batch)
        encoding = self.shared_encoding(seen.encoder_input)
        inputs = {self.settings.front_end: seen.mel, ENCODING: encoding, VALID: valid}
        frames, clips = seen.frames * valid[:, None], seen.clips * valid
        return Batch(inputs, frames, clips, batch.parts), {}

    def normalised(self, mel: Tensor) -> Tensor:
        """Linear mel magnitudes as the CNN reads them: decibels, each clip within [-1, 1]."""
        return min_max(decibels(mel), low=-1.0, high=1.0)

    def encoder_input(self, inputs: Mapping[str, Tensor]) -> Tensor:
        """Stored tokens, or the waveforms to make them of."""
        encoder = self.settings.encoder
        return inputs[encoder.front_end if encoder.cached else self.settings.front_end]

    def shared_encoding(self, values: Tensor) -> Tensor | CachedLayers:
        """What student and teacher can share of the encoder's work: here all of it."""
        return values if self.settings.encoder.cached else self.cached_layers(values, [])

    def cached_layers(self, waves: Tensor, blocks: list[int]) -> CachedLayers:
        """The frozen encoder's tokens behind these blocks, and behind the last."""
        with torch.no_grad(), self.autocast():
            walk = PartialForward(self.beats, self.frozen.spectrum(waves))
            return CachedLayers({block: walk.to(block) for block in sorted({*blocks, walk.depth})})

    def source(self, model: str, encoding: Tensor | CachedLayers) -> Source:
        """The same, as one of the networks reads it."""
        return encoding

    def linear(self, inputs: Mapping[str, Tensor]) -> dict[str, Any]:
        encoding = self.shared_encoding(self.encoder_input(inputs))
        return {**super().linear(inputs), ENCODING: encoding}

    def detect(self, model: str, inputs: Mapping[str, Any]) -> Detection:
        (mel,) = self.read(inputs)
        with self.autocast():
            source = self.source(model, inputs[ENCODING])
            return self.forward(model, mel, source, inputs.get(VALID))

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp)

    # A step

    def groups(self, parts: Mapping[str, slice]) -> tuple[slice, slice, slice]:
        """The windows of MAESTRO are labelled, and no matter of the teacher's."""
        return slice(0, parts["strong"].stop), parts["weak"], slice(parts[MAESTRO].stop, None)

    # Scores

    def scores(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Nobody tells the corpus of a clip; `clip_desed` is for validation, which does."""
        found = self.detect(model, self.linear(inputs))
        # A softmax over some of the classes is the softmax over all of them, renormed.
        attention = found.attention * self.in_desed
        attention = attention / attention.sum(-1, keepdim=True)
        masked = (found.frame * attention).sum(1) / attention.sum(1).clamp(min=1e-12)
        return {"frame": found.frame, "clip": found.clip, "clip_desed": masked}

    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Also the map of the teacher's CNN behind one block."""
        given, block = self.linear(inputs), self.settings.shown_block
        (mel,) = self.read(given)
        with self.autocast():
            blocks = self.network("teacher").maps(mel, self.source("teacher", given[ENCODING]))
            shown = next(x for k, x in enumerate(blocks) if k == block)
        return {**super().explain(inputs), "cnn_map": shown.float().mean(1).mT}


def merged(plan: Plan, network: Network, encoder: Encoder, **more: Any) -> Hetero:
    """A CRNN with the late merge of an encoder's tokens, and what a paper puts into it."""
    return Hetero(
        len(plan.classes),
        encoder.width,
        frames=plan.grid.frames,
        **network.options,
        **encoder.options,
        **more,
    )
