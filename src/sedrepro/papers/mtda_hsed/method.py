"""MTDA-HSED: the DCASE 2024 baseline with adapters in its BEATs and fusion between its branches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...errors import SedreproError
from ...features.front_ends import Mel
from ...features.normalise import decibels, min_max
from ...networks import adapters
from ...networks.beats import Recorded, Walk
from ...networks.crnn import Detection
from ...networks.fusion import Fusion
from ...networks.hetero import Hetero, Source
from ...networks.pretrained import Listener
from ...networks.statistics import recompute
from ...objectives import mixup, ramps
from ...objectives.consistency import agreement
from ...settings.classes import MAESTRO_CLASSES
from .. import contract
from ..contract import Batch, Term
from .atst import AtstSed
from .settings import MAESTRO, Settings


class Seen(NamedTuple):
    """A batch as the networks read it."""

    mel: Tensor
    """Linear mel spectra (clip, mel, frame)."""
    heard: Tensor
    """Pooled tokens (clip, frame, width) from stores, or waveforms (clip, samples)."""
    frames: Tensor
    clips: Tensor


class Method(contract.Method):
    """L = BCE of frames and clips + 2r mean teacher, the latter on DESED only."""

    settings: Settings
    full_rate_first = True

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        s = self.settings
        self.average_before_step = s.mean_teacher.average_before_step
        self.mel = Mel(self.plan.front_ends[s.front_end]).to(self.device)
        self.listener: Listener | None = None  # frozen, and shared by student and teacher
        self.atst = AtstSed(self) if s.atst.stage else None
        ours = [name in MAESTRO_CLASSES for name in self.plan.classes]
        self.in_maestro = torch.tensor(
            [own or name in s.shared for own, name in zip(ours, self.plan.classes, strict=True)],
            device=self.device,
        )
        self.in_desed = ~torch.tensor(ours, device=self.device)

    # Networks

    def build(self) -> dict[str, nn.Module]:
        s, network = self.settings, self.settings.network
        adapter, encoder, dbmf = s.adapter, s.encoder, s.dbmf
        fusions, stages = [], dict(dbmf.stages) if dbmf.use else {}
        for block in stages:
            fusions.append(
                Fusion(
                    encoder.width, network.filters[block], operation=dbmf.operation,
                    back=dbmf.back, bands=encoder.bands, momentum=network.batch_norm_momentum,
                )
            )  # fmt: skip
        made = []
        if adapter.kind != "none":
            options = {
                name: getattr(adapter, name)
                for name in (
                    "inner",
                    "long",
                    "short",
                    "competitors",
                    "scale",
                    "parallel",
                    "dropout",
                )
            }
            made = [
                adapters.build(adapter.kind, encoder.width, bands=encoder.bands, **options)
                for _ in range(encoder.depth)
            ]
        student = Hetero(
            len(self.plan.classes), encoder.width,
            filters=network.filters, pooling=network.pooling, frames=self.plan.grid.frames,
            hidden=network.hidden, layers=network.layers, dropout=network.dropout,
            block_dropout=(
                network.dropout if network.block_dropout is None else network.block_dropout
            ),
            merge_dropout=network.merge_dropout, momentum=network.batch_norm_momentum,
            gate=network.gate_kind, identity_gate=network.gate == "identity", bias=network.bias,
            drop_longest=0 if network.drop_steps == "none" else network.drop_longest,
            drop_share=network.drop_share, drop_each=network.drop_steps == "example",
            token_pooling=encoder.pooling, depth=encoder.depth, bands=encoder.bands,
            stages=stages, fusions=fusions, adapters=made,
        )  # fmt: skip
        return {"student": student}

    def averaged(self) -> dict[str, str]:
        return {"teacher": "student"}

    def load_weights(self, files: Mapping[str, Path]) -> None:
        encoder = self.settings.encoder
        if encoder.cached:  # stores hold what the frozen transformer says
            return
        path = files[encoder.resource]
        listener = Listener(encoder.resource, path, encoder.width)
        if listener.encoder.depth != encoder.depth:
            raise SedreproError(
                f"{path}: has {listener.encoder.depth} blocks; encoder.depth says {encoder.depth}"
            )
        if self.atst:
            self.atst.take(listener)
        else:
            self.listener = listener.to(self.device).eval()

    def start_from(self, networks: Mapping[str, Mapping[str, Tensor]]) -> None:
        if self.atst:
            self.atst.start_from(networks)
        else:
            super().start_from(networks)

    def param_groups(self) -> list[dict[str, Any]]:
        """Adapters learn more slowly than the rest."""
        if self.atst:
            return self.atst.param_groups()
        rate, student = self.settings.training.learning_rate, self.networks["student"]
        inside = list(student.adapters.parameters()) if student.adapters is not None else []
        known = {id(parameter) for parameter in inside}
        rest = [p for p in student.parameters() if id(p) not in known]
        groups = [{"params": rest, "lr": rate}]
        if inside:
            groups.append({"params": inside, "lr": rate * self.settings.adapter.rate})
        return groups

    # Schedule

    def decay(self, step: int) -> float:
        if self.atst:
            return self.atst.decay(step)
        return ramps.decay(step, self.settings.mean_teacher.decay)

    def ramp(self, step: int) -> float:
        return ramps.exponential(
            step, self.settings.mean_teacher.ramp_epochs * self.steps_per_epoch
        )

    def rate(self, step: int) -> float:
        if self.atst:
            return self.atst.rate(step)
        # Update n runs at the factor of n, but the first (`full_rate_first`) at 1.
        step += 1
        start = self.settings.mean_teacher.decay_epoch * self.steps_per_epoch
        if step <= start:
            return self.ramp(step)
        end = self.settings.training.epochs * self.steps_per_epoch
        return max(1e-5, math.cos(math.pi / 2 * (step - start) / (end - start)))

    # A step

    def losses(self, batch: Batch, step: int) -> dict[str, Term]:
        if self.atst and self.atst.stage == 2:
            return self.atst.losses(batch, step)
        valid, seen = self.valid(batch), self.seen(batch)
        mel, heard = self.normalised(seen.mel), self.heard(seen.heard)
        student = self.run("student", mel, heard, valid)
        with torch.no_grad():
            teacher = self.run("teacher", mel, heard, valid)
        strong, weak = slice(0, batch.parts["strong"].stop), batch.parts["weak"]
        desed = slice(0 if self.atst else batch.parts[MAESTRO].stop, None)
        frames, clips = seen.frames * valid[:, None], seen.clips * valid
        consistency = agreement(student.frame[desed], teacher.frame[desed]) + agreement(
            student.clip[desed], teacher.clip[desed]
        )
        return {
            "strong": Term(1, F.binary_cross_entropy(student.frame[strong], frames[strong])),
            "weak": Term(1, F.binary_cross_entropy(student.clip[weak], clips[weak])),
            "mean_teacher": Term(self.consistency_weight(step), consistency),
        }

    def consistency_weight(self, step: int) -> float:
        if self.atst:
            return self.settings.atst.weight * self.atst.ramp(step)
        return self.settings.mean_teacher.weight * self.ramp(step)

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

    def seen(self, batch: Batch) -> Seen:
        """After mixup inside each labelled kind of clip, or none at all."""
        s, wave = self.settings, batch.inputs[self.settings.front_end]
        clean = Seen(
            self.mel(wave),
            batch.inputs[s.encoder.front_end] if s.encoder.cached else wave,
            self.aliased(batch),
            batch.clips,
        )
        parts = batch.parts
        kinds = [
            parts["weak"], slice(parts["synth"].start, parts["strong"].stop), parts[MAESTRO]
        ]  # fmt: skip
        if self.atst:
            kinds.append(parts["unlabelled"])
        fires = torch.rand((), device=self.device) < s.mixup.probability

        def draw() -> mixup.Mixing:
            return mixup.draw(
                len(wave), kinds, alpha=s.mixup.alpha, probability=1.0, device=self.device,
                fires=fires,
            )  # fmt: skip

        one = draw()
        if s.mixup.kind == "coherent":
            return Seen(*map(one, clean))
        if s.mixup.kind == "spectra":
            return Seen(one(clean.mel), clean.heard, one(clean.frames), one(clean.clips))
        other = draw()
        return Seen(
            one(clean.mel),
            other(clean.heard),
            other(one(clean.frames)),
            (other(one(clean.clips)) > 0).to(clean.clips.dtype),
        )

    def normalised(self, mel: Tensor) -> Tensor:
        """Linear mel magnitudes as the CNN reads them: decibels, each clip within [-1, 1]."""
        return min_max(decibels(mel), low=-1.0, high=1.0)

    def heard(self, values: Tensor) -> Tensor | Recorded:
        """What student and teacher can share of the transformer's work."""
        s = self.settings
        if s.encoder.cached:
            return values
        if self.atst:
            return self.atst.front(values)
        spectra = self.listener.heard(values)
        if s.adapter.kind != "none" or s.dbmf.back:
            return spectra
        blocks = {block for _, block in s.dbmf.stages} if s.dbmf.use else set()
        with torch.no_grad(), self.autocast():
            walk = Walk(self.listener.encoder, spectra)
            return Recorded({block: walk.to(block) for block in sorted({*blocks, walk.depth})})

    def run(
        self, model: str, mel: Tensor, heard: Tensor | Recorded, valid: Tensor | None = None
    ) -> Detection:
        with self.autocast():
            return self.forward(model, mel, self.source(model, heard), valid)

    def source(self, model: str, heard: Tensor | Recorded) -> Source:
        encoder = self.settings.encoder
        if encoder.cached or isinstance(heard, Recorded):
            return heard
        if self.atst:
            return self.atst.tokens(model, heard)
        return Walk(
            self.listener.encoder, heard, self.networks[model].adapters,
            gradient=encoder.gradient, drop=encoder.drop, save_memory=encoder.save_memory,
        )  # fmt: skip

    def autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.amp)

    # Scores

    def _inputs(self, inputs: Mapping[str, Tensor]) -> tuple[Tensor, Tensor | Recorded]:
        s = self.settings
        wave = inputs[s.front_end]
        heard = inputs[s.encoder.front_end] if s.encoder.cached else wave
        return self.normalised(self.mel(wave)), self.heard(heard)

    def scores(self, model: str, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Nobody tells the corpus of a clip; `clip_desed` is for validation, which does."""
        found = self.run(model, *self._inputs(inputs))
        # A softmax over some of the classes is the softmax over all of them, renormed.
        attention = found.attention * self.in_desed
        attention = attention / attention.sum(-1, keepdim=True)
        masked = (found.frame * attention).sum(1) / attention.sum(1).clamp(min=1e-12)
        return {"frame": found.frame, "clip": found.clip, "clip_desed": masked}

    def before_scores(self, batches: Callable[[], Iterable[Batch]]) -> None:
        if self.settings.network.batch_norm_recompute:
            for model in self.models():
                inputs = (self._inputs(batch.inputs) for batch in batches())
                recompute(
                    self.networks[model], inputs, lambda pair, name=model: self.run(name, *pair)
                )

    def explain(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Scores of both, and of the teacher the CNN's map at one block and M3A's last outputs."""
        network = self.networks["teacher"]
        outputs: dict[str, Tensor] = {}
        hooks = []
        last = network.adapters[-1] if network.adapters is not None else None
        if isinstance(last, adapters.M3a):
            for name in ("long", "short"):
                if (branch := getattr(last, name)) is not None:
                    keep = _keeper(outputs, name)
                    hooks.append(branch.register_forward_hook(keep))
        mel, heard = self._inputs(inputs)
        teacher = self.run("teacher", mel, heard)
        for hook in hooks:
            hook.remove()
        with self.autocast():
            maps = network.maps(mel, self.source("teacher", heard))
            shown = next(x for k, x in enumerate(maps) if k == self.settings.shown_block)
        bands = self.settings.encoder.bands
        return {
            "input": self.mel(inputs[self.settings.front_end]),
            "student": self.run("student", mel, heard).frame,
            "teacher": teacher.frame,
            "cnn_map": shown.float().mean(1).mT,
            **{
                name: values.float().abs().mean(-1).unflatten(-1, (-1, bands)).mT
                for name, values in outputs.items()
            },
        }


def overwritten(said: Tensor) -> Tensor:
    """What the last of several names (…, name) leaves, each writing over those before.

    As in the baseline's code a name that repeats the confidence of an earlier one writes nothing:
    its row is dropped as a duplicate. Nor does one that is silent.
    """
    left = said[..., 0]
    for k in range(1, said.shape[-1]):
        own = said[..., k]
        repeated = (said[..., :k] == own[..., None]).any(-1)
        left = torch.where((own > 0) & ~repeated, own, left)
    return left


def _keeper(outputs: dict[str, Tensor], name: str) -> Callable[..., None]:
    def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
        outputs[name] = output

    return keep
